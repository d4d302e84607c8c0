/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* regions.h - for export formats: a generated file as a list of pieces, each of which is a table
 * whose entries are computed, or the stored granules of the disk below.  Between pieces there are
 * zeroes.
 *
 * The struct of an export format begins with a struct regions; it does not change after
 * regions_end, so that any thread may read.
 */
#ifndef VDISK_EXPORT_REGIONS_H
#define VDISK_EXPORT_REGIONS_H

#include "util/guid.h"
#include "export.h"
#include "view/view.h"

struct regions;

/* Writes the entries [first, first+n) of a table to out, which is zeroed. */
typedef int region_fill(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e);

struct region {
	uint64_t pos, len; /* of the file */
	uint32_t width;    /* bytes of an entry, or of a granule with its head */
	uint32_t head;     /* bytes in front of each granule; all heads are the same */
	region_fill *fill; /* of the table, or of a head; NULL: there are no heads */
	/* In a table, entry i is zero unless set has granule i; NULL: none need be zero.  In data,
	 * the granules. */
	const struct allocmap *set;
	bool data;
};

#define EXPORT_REGIONS_MAX 10

struct regions {
	struct view view;
	struct export_source source;
	const struct allocmap *stored; /* of the source */
	struct allocmap *coarse;       /* the same set in larger granules; NULL: not needed */
	unsigned npieces;
	struct region pieces[EXPORT_REGIONS_MAX];
};

/* A struct of bytes that begins with a struct regions, over the disk; the rest is zero.  bits: of
 * the coarse granules; 0: none. */
void *regions_new(size_t bytes, const struct export_source *s, unsigned bits, struct err *e);

/* Each adds a piece after the last one, at pos, and returns its end. */
uint64_t regions_add_table(
	struct regions *m, uint64_t pos, uint64_t entries, uint32_t width, region_fill *fill);
uint64_t regions_add_sparse_table(struct regions *m, uint64_t pos, uint64_t entries, uint32_t width,
	region_fill *fill, const struct allocmap *set);
uint64_t regions_add_data(struct regions *m, uint64_t pos, const struct allocmap *set,
	uint32_t head, region_fill *fill);

/* Finishes a file of size bytes.  EFBIG: its format allows no such size; m is freed. */
int regions_end(struct regions *m, uint64_t size, const struct export_format *l, struct view **file,
	struct err *e);

/* The size of the disk, rounded up to sectors. */
uint64_t regions_disk_size(const struct regions *m);

/* An id of the file for one use; never zero.  It has the version 8 of RFC 9562, in either byte
 * order of its fields, since it is derived and not random. */
void regions_id(const struct regions *m, const char *use, unsigned char id[GUID_LEN]);

/* As export_stored. */
uint64_t regions_stored(const struct view *file, uint64_t disk_stored);

#endif
