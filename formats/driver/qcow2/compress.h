/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compress.h - compressed clusters, read and written. */
#ifndef VDISK_DRIVER_QCOW2_COMPRESS_H
#define VDISK_DRIVER_QCOW2_COMPRESS_H

#include <stdint.h>
#include <sys/types.h>

struct err;
struct reservation;
struct qcow2;
struct view;

/* Decompresses the cluster of an L2 entry, which begins inside the file. */
int qcow2_compress_decode(const struct qcow2 *q, uint64_t entry, void *cluster, struct err *e);

/* As in struct write_ops. */
ssize_t qcow2_compress(
	const struct view *v, const void *unit, uint64_t off, void *out, struct err *e);
int qcow2_compress_reserve(
	struct view *v, uint64_t off, uint32_t len, struct reservation *res, struct err *e);

#endif
