/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export.h - a disk as a file of another format, generated while it is read.
 *
 * The granules of the disk that hold data lie in the file one after another, in order.  The
 * headers, tables and checksums around them follow from which granules those are: they are computed
 * when they are read and never stored.  So the exact size of the file is known at once, each byte
 * of it can be read at any time, and it is the same each time.
 *
 * The file is a view: data is mapped to the disk below, holes are holes.
 */
#ifndef VDISK_EXPORT_EXPORT_H
#define VDISK_EXPORT_EXPORT_H

#include <stdint.h>

struct cache;
struct err;
struct allocmap;
struct image;
struct state;
struct view;

#define EXPORT_BITS 16 /* of the granules that all layouts start from: 64 KiB */
#define EXPORT_ID   32 /* bytes */

/* A disk and its properties, as the files state them.  All of it outlives the files. */
struct export_source {
	struct view *disk;             /* must never change */
	const struct allocmap *stored; /* of the disk, in granules of 1 << EXPORT_BITS bytes */
	struct cache *cache;
	unsigned char id[EXPORT_ID]; /* all ids in the files are derived from it */
	int64_t when;                /* the disk's date: seconds since 1970 */
	uint32_t sector_size;        /* the guest's, 512 or 4096; 0: not known */
};

/* A kind of file that can be generated. */
struct export_format {
	const char *variant; /* qemu-img's "subformat", as far as it has one; else NULL */
	const char *suffix;  /* usual end of a file's name, with the dot */
	uint64_t max_disk;   /* bytes; the format has no larger disks */
	uint64_t max_file;   /* bytes; for a larger file make fails with EFBIG */
	/* name: of the file, for formats that contain it; it is copied. */
	int (*make)(
		const struct export_source *s, const char *name, struct view **file, struct err *e);
};

/* Derives id and when from a state of an image: the same each time it is opened, unless it has
 * changed. */
int export_identify(
	struct export_source *s, const struct image *img, const struct state *state, struct err *e);

/* Makes the file.  EFBIG: the disk or the file is larger than the format allows; EINVAL: the disk
 * has no bytes, which few readers accept. */
int export_make(const struct export_format *l, const struct export_source *s, const char *name,
	struct view **file, struct err *e);

/* The result of view_stored for a file of export_make, computed from that for the disk,
 * which is not walked again. */
uint64_t export_stored(const struct view *file, uint64_t disk_stored);

/* Can a disk of so many bytes be exported?  EXPORT_MAYBE: it depends on how much it stores. */
enum export_fit { EXPORT_NEVER, EXPORT_MAYBE, EXPORT_ALWAYS };
enum export_fit export_fit(const struct export_format *l, uint64_t disk_size);

#endif
