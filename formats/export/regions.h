/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* regions.h - for layouts: a file as a list of pieces, each of which is a table of things that can
 * be computed, or the stored granules of the disk below.  Between pieces there are zeroes.
 *
 * A layout's own struct begins with a struct made; its numbers are fixed before the first piece is
 * read, so that any thread may read.
 */
#ifndef VDISK_EXPORT_REGIONS_H
#define VDISK_EXPORT_REGIONS_H

#include "util/guid.h"
#include "export.h"
#include "view/view.h"

struct made;

/* Writes the entries [first, first+n) of a table to out, of zeroes. */
typedef int made_fill(
	const struct made *m, uint64_t first, size_t n, unsigned char *out, struct err *e);

struct made_piece {
	uint64_t pos, len; /* of the file */
	uint32_t width;    /* bytes of an entry, or of a granule with its head */
	uint32_t head;     /* bytes in front of each granule; all heads are the same */
	made_fill *fill;   /* of the table, or of a head; NULL: there are no heads */
	/* A table: entry i is zero unless set has granule i; NULL: any may be something.
	 * Data: the granules. */
	const struct granules *set;
	bool data;
};

#define MADE_PIECES 10

struct made {
	struct view view;
	struct layout_source source;
	const struct granules *stored; /* in the granules of the format */
	struct granules *owned[2];     /* sets that go with the file */
	unsigned npieces;
	struct made_piece pieces[MADE_PIECES];
};

/* A struct of bytes that begins with a struct made, over the disk; the rest is zero. */
void *made_new(size_t bytes, const struct layout_source *s, struct err *e);

/* The source's set in larger granules, which goes with the file. */
const struct granules *made_coarsen(struct made *m, unsigned bits, struct err *e);

/* Each adds a piece behind the last one, at pos, and returns where it ends. */
uint64_t made_add_table(
	struct made *m, uint64_t pos, uint64_t entries, uint32_t width, made_fill *fill);
uint64_t made_add_sparse_table(struct made *m, uint64_t pos, uint64_t entries, uint32_t width,
	made_fill *fill, const struct granules *set);
uint64_t made_add_data(
	struct made *m, uint64_t pos, const struct granules *set, uint32_t head, made_fill *fill);

/* The file is this long; it is finished.  A file that is too long for its format is refused, and
 * freed. */
int made_end(
	struct made *m, uint64_t size, const struct layout *l, struct view **file, struct err *e);

/* The size of the disk as formats have it that count sectors: a file has no part of one. */
uint64_t made_disk_size(const struct made *m);

/* An id of the file's own, for one use; never zero.  It says that it follows from something else
 * (RFC 9562, version 8), whichever way its fields are stored. */
void made_id(const struct made *m, const char *use, unsigned char id[GUID_LEN]);

#endif
