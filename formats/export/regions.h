/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* regions.h - for layouts: a file as a list of pieces, each of which is a table of things that can
 * be computed, or the stored granules of the disk below.  Between pieces there are zeroes.
 *
 * A layout's own struct begins with a struct regions; its numbers are fixed before the first piece
 * is read, so that any thread may read.
 */
#ifndef VDISK_EXPORT_REGIONS_H
#define VDISK_EXPORT_REGIONS_H

#include "util/guid.h"
#include "export.h"
#include "view/view.h"

struct regions;

/* Writes the entries [first, first+n) of a table to out, of zeroes. */
typedef int region_fill(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e);

struct region {
	uint64_t pos, len; /* of the file */
	uint32_t width;    /* bytes of an entry, or of a granule with its head */
	uint32_t head;     /* bytes in front of each granule; all heads are the same */
	region_fill *fill; /* of the table, or of a head; NULL: there are no heads */
	/* A table: entry i is zero unless set has granule i; NULL: any may be something.
	 * Data: the granules. */
	const struct allocmap *set;
	bool data;
};

#define EXPORT_REGIONS_MAX 10

struct regions {
	struct view view;
	struct export_source source;
	const struct allocmap *stored; /* in the granules of the format */
	struct allocmap *owned[2];     /* sets that go with the file */
	unsigned npieces;
	struct region pieces[EXPORT_REGIONS_MAX];
};

/* A struct of bytes that begins with a struct regions, over the disk; the rest is zero. */
void *regions_new(size_t bytes, const struct export_source *s, struct err *e);

/* The source's set in larger granules, which goes with the file. */
const struct allocmap *regions_coarsen(struct regions *m, unsigned bits, struct err *e);

/* Each adds a piece behind the last one, at pos, and returns where it ends. */
uint64_t regions_add_table(
	struct regions *m, uint64_t pos, uint64_t entries, uint32_t width, region_fill *fill);
uint64_t regions_add_sparse_table(struct regions *m, uint64_t pos, uint64_t entries, uint32_t width,
	region_fill *fill, const struct allocmap *set);
uint64_t regions_add_data(struct regions *m, uint64_t pos, const struct allocmap *set,
	uint32_t head, region_fill *fill);

/* The file is this long; it is finished.  A file that is too long for its format is refused, and
 * freed. */
int regions_end(struct regions *m, uint64_t size, const struct export_format *l, struct view **file,
	struct err *e);

/* The size of the disk as formats have it that count sectors: a file has no part of one. */
uint64_t regions_disk_size(const struct regions *m);

/* An id of the file's own, for one use; never zero.  It says that it follows from something else
 * (RFC 9562, version 8), whichever way its fields are stored. */
void regions_id(const struct regions *m, const char *use, unsigned char id[GUID_LEN]);

#endif
