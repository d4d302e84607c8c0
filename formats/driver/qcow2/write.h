/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.h - writes to the live disk, as in struct write_ops. */
#ifndef VDISK_DRIVER_QCOW2_WRITE_H
#define VDISK_DRIVER_QCOW2_WRITE_H

#include <stdint.h>

struct err;
struct reservation;
struct view;

int qcow2_write_reserve(
	struct view *view, uint64_t off, uint64_t len, struct reservation *res, struct err *e);
int qcow2_write_commit(struct view *view, const struct reservation *res, struct err *e);
void qcow2_write_cancel(struct view *view, const struct reservation *res);
int qcow2_write_clear(struct view *view, uint64_t off, uint64_t len, struct err *e);

#endif
