/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.h - creating, deleting, renaming and applying internal snapshots of an image that is
 * open for writing.
 *
 * Each is done alone, with request_lock held exclusively, and durable on return.  Readers of
 * other states wait for it and go on; a deleted state that is still held reads ESTALE.
 * ENOTSUP: images of this format, or this one, have none.
 */
#ifndef VDISK_IMAGE_SNAPSHOT_H
#define VDISK_IMAGE_SNAPSHOT_H

#include <stddef.h>

struct err;
struct image;

#define SNAPSHOT_NAME_MAX 255 /* bytes, as in QEMU */

/* The operations of a driver, between writer_begin_exclusive and writer_end_exclusive.  The i-th
 * state is a snapshot, and they are in the image's order.  When a call fails, the disk and all
 * snapshots are as before; space may be leaked. */
struct snapshot_ops {
	/* Keeps the disk as it is; adds a state. */
	int (*create)(struct image *img, const char *name, struct err *e);
	int (*delete)(struct image *img, size_t i, struct err *e);
	int (*rename)(struct image *img, size_t i, const char *name, struct err *e);
	/* The disk becomes that of the snapshot. */
	int (*apply)(struct image *img, size_t i, struct err *e);
};

/* no: the number of the state. */
int snapshot_create(struct image *img, const char *name, unsigned *no, struct err *e);
int snapshot_delete(struct image *img, unsigned no, struct err *e);
int snapshot_rename(struct image *img, unsigned no, const char *name, struct err *e);
int snapshot_apply(struct image *img, unsigned no, struct err *e);

#endif
