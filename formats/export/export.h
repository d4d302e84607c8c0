/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export.h - a disk as a file of some format, made up while it is read.
 *
 * The granules of the disk that hold data lie in the file one after another, in order.  All that
 * the format wants round them - headers, tables, checksums - follows from which granules those are:
 * it is computed when somebody reads it and never stored.  So the file's exact size is known at
 * once, any byte of it can be read at any time, and it is the same each time.
 *
 * What is made is a view: data goes straight through to the disk below, holes are holes.
 */
#ifndef VDISK_EXPORT_EXPORT_H
#define VDISK_EXPORT_EXPORT_H

#include <stddef.h>
#include <stdint.h>

struct cache;
struct err;
struct format;
struct allocmap;
struct image;
struct state;
struct view;

#define EXPORT_BITS 16 /* of the granules that all layouts start from: 64 KiB */
#define EXPORT_ID   32 /* bytes */

/* A disk, and what its files say about it.  All of it outlives the files. */
struct export_source {
	struct view *disk;             /* must never change */
	const struct allocmap *stored; /* of the disk, in granules of 1 << EXPORT_BITS bytes */
	struct cache *cache;
	unsigned char id[EXPORT_ID]; /* all ids in the files follow from it */
	int64_t when;                /* the disk's date: seconds since 1970 */
	uint32_t sector_size;        /* the guest's, 512 or 4096; 0: not known */
};

/* A kind of file that can be made up. */
struct export_format {
	const char *variant; /* qemu-img's "subformat", as far as it has one; else NULL */
	const char *suffix;  /* usual end of a file's name, with the dot */
	uint64_t max_disk;   /* bytes; the format has no larger disks */
	uint64_t max_file;   /* bytes; no larger files: make fails with EFBIG */
	/* The file's name is for formats that say it; it is copied. */
	int (*make)(
		const struct export_source *s, const char *name, struct view **file, struct err *e);
};

/* Fills in id and when from what is known of a state: the same each time it is opened, another one
 * when it changed. */
int export_identify(
	struct export_source *s, const struct image *img, const struct state *state, struct err *e);

/* Makes the file.  EFBIG: the disk is, or the file would be, larger than the format has them;
 * EINVAL: the disk has no bytes at all, which few readers take. */
int export_make(const struct export_format *l, const struct export_source *s, const char *name,
	struct view **file, struct err *e);

/* What view_stored would count of a file that export_make made, given what it counts of the disk:
 * the disk is not walked again. */
uint64_t export_stored(const struct view *file, uint64_t disk_stored);

/* Is there such a file of a disk of so many bytes?  EXPORT_MAYBE: that depends on what is stored.
 */
enum export_fit { EXPORT_NEVER, EXPORT_MAYBE, EXPORT_ALWAYS };
enum export_fit export_fit(const struct export_format *l, uint64_t disk_size);

#endif
