/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.h - writes to the live disk. */
#ifndef VDISK_DRIVER_QCOW2_WRITE_H
#define VDISK_DRIVER_QCOW2_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct qcow2;
struct reservation;
struct view;

/* As in struct write_ops. */
int qcow2_write_reserve(
	struct view *view, uint64_t off, uint64_t len, struct reservation *res, struct err *e);
int qcow2_write_commit(struct view *view, const struct reservation *res, struct err *e);
void qcow2_write_cancel(struct view *view, const struct reservation *res);
int qcow2_write_clear(struct view *view, uint64_t off, uint64_t len, struct err *e);

/* Allocates up to *n clusters for guest offset off; in a data file, that is their position.
 * reads_zero: as for qcow2_alloc_take. */
int qcow2_write_allocate(const struct qcow2 *q, uint64_t off, size_t *n, uint64_t *pos,
	bool *reads_zero, struct err *e);

#endif
