/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitmaps.h - persistent bitmaps of an image, which record the changes of its disk.
 *
 * Each change is done alone, with request_lock held exclusively, and durable on return; a crash
 * leaves the bitmaps as they were before, or as they are after.  The messages are those of QEMU.
 * ENOTSUP: images of this format, or this one, have none.
 */
#ifndef VDISK_IMAGE_BITMAPS_H
#define VDISK_IMAGE_BITMAPS_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct image;

struct bitmap_info {
	const char *name;
	uint64_t granularity; /* bytes of disk that a bit stands for */
	bool enabled;         /* writes to the disk set bits */
	bool in_use;          /* it may lack changes, and cannot be used */
};

typedef int bitmaps_visit(void *arg, const struct bitmap_info *info, struct err *e);

/* The operations of a driver; all but visit are called between writer_begin_exclusive and
 * writer_end_exclusive.  When one fails, the bitmaps are as before. */
struct bitmap_ops {
	int (*add)(struct image *img, const struct bitmap_info *info, struct err *e);
	int (*remove)(struct image *img, const char *name, struct err *e); /* NULL: all */
	int (*clear)(struct image *img, const char *name, struct err *e);
	int (*enable)(struct image *img, const char *name, bool on, struct err *e);
	int (*merge)(struct image *img, const char *name, const struct image *from,
		const char *from_name, struct err *e);
	int (*visit)(const struct image *img, bitmaps_visit *each, void *arg, struct err *e);
};

/* Adds an empty bitmap; granularity 0: the size of a cluster, between 4 KiB and 64 KiB. */
int bitmaps_add(struct image *img, const struct bitmap_info *info, struct err *e);

int bitmaps_remove(struct image *img, const char *name, struct err *e);
int bitmaps_remove_all(struct image *img, struct err *e);
int bitmaps_clear(struct image *img, const char *name, struct err *e);
int bitmaps_enable(struct image *img, const char *name, bool on, struct err *e);

/* Sets the bits that from_name has; from may be the same image, or another one of a disk of the
 * same size. */
int bitmaps_merge(struct image *img, const char *name, const struct image *from,
	const char *from_name, struct err *e);

/* Calls each for the bitmaps until it fails; an image that can have none has none. */
int bitmaps_visit_all(const struct image *img, bitmaps_visit *each, void *arg, struct err *e);

#endif
