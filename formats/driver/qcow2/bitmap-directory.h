/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitmap-directory.h - the directory of persistent bitmaps in memory, to be changed and stored, and
 * the tables of single bitmaps.
 *
 * The image is open for writing, and the meta lock is held.
 */
#ifndef VDISK_DRIVER_QCOW2_BITMAP_DIRECTORY_H
#define VDISK_DRIVER_QCOW2_BITMAP_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "bitmaps.h"

struct err;
struct qcow2;

/* The entries as in the file, one after the other. */
struct qcow2_bitmap_directory {
	unsigned char *p;
	uint64_t len;
	uint32_t n;
};

/* An entry, decoded. */
struct qcow2_bitmap {
	uint64_t at, len; /* of the entry in the directory */
	uint64_t table_pos;
	uint32_t table_entries;
	uint32_t flags;
	uint32_t extra_len;
	unsigned type, granularity; /* log2 of the bytes of disk that a bit stands for */
	unsigned name_len;
	const char *name; /* name_len bytes of the directory, without a NUL */
};

/* Loads the directory, with memory for more bytes; p is to be freed.  -EUCLEAN: its entries do not
 * fill it, or its clusters are shared.  An image without bitmaps has an empty one. */
int qcow2_bitmap_directory_load(
	const struct qcow2 *q, uint64_t more, struct qcow2_bitmap_directory *d, struct err *e);

/* Decodes the entry after b, or the first one when b->len is 0; false: there is none. */
bool qcow2_bitmap_next(const struct qcow2_bitmap_directory *d, struct qcow2_bitmap *b);

/* Decodes the entry of that name; false: there is none. */
bool qcow2_bitmap_find(
	const struct qcow2_bitmap_directory *d, const char *name, struct qcow2_bitmap *b);

/* Changes the table and the flags of an entry; adds one, of the type of dirty bitmaps, for which
 * there is memory; removes one. */
void qcow2_bitmap_directory_set(struct qcow2_bitmap_directory *d, const struct qcow2_bitmap *b);
void qcow2_bitmap_directory_append(struct qcow2_bitmap_directory *d, const struct qcow2_bitmap *b);
void qcow2_bitmap_directory_remove(struct qcow2_bitmap_directory *d, const struct qcow2_bitmap *b);

/* Stores the directory in new clusters and makes the header point to it, durably; the clusters of
 * the old one are dropped. */
int qcow2_bitmap_directory_store(
	struct qcow2 *q, const struct qcow2_bitmap_directory *d, struct err *e);

/* The bits of a bitmap of a disk of size bytes, and the entries of its table. */
uint64_t qcow2_bitmap_bits(unsigned granularity, uint64_t size);
uint64_t qcow2_bitmap_table_entries(const struct qcow2 *q, unsigned granularity, uint64_t size);

/* Can the bitmap be read and changed?  If not, e has the reason. */
bool qcow2_bitmap_is_usable(const struct qcow2 *q, const struct qcow2_bitmap *b, struct err *e);

/* Writes the table's size and the flags of an entry to its place in the file. */
int qcow2_bitmap_put_entry(const struct qcow2 *q, const struct qcow2_bitmap *b, struct err *e);

#endif
