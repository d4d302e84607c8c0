/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize.h - the size of the live disk, and its preallocation.
 *
 * The request lock is held exclusively.
 */
#ifndef VDISK_DRIVER_QCOW2_RESIZE_H
#define VDISK_DRIVER_QCOW2_RESIZE_H

#include <stdint.h>

#include "qcow2.h"

struct err;
struct io;

/* As in struct write_ops. */
int qcow2_resize(struct view *v, uint64_t size, struct err *e);

/* Checks that a disk can have this size. */
int qcow2_resize_check(const struct qcow2 *q, uint64_t size, struct err *e);

/* Sets the size in the header and of the view. */
int qcow2_resize_put_size(struct qcow2_view *v, uint64_t size, struct err *e);

/* Is called with each range of a file that was allocated. */
typedef int qcow2_resize_allocated(
	void *arg, struct io *io, uint64_t pos, uint64_t len, struct err *e);

/* Allocates the clusters from off to end, which have none. */
int qcow2_resize_preallocate(struct qcow2_view *v, uint64_t off, uint64_t end,
	qcow2_resize_allocated *allocated, void *arg, struct err *e);

#endif
