/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table.h - a view that is put together from ranges of others, as a table of the device mapper is:
 * segments that are linear, striped, zero or that cannot be read.
 *
 * It only arranges bytes: it can be written where all that it stands on can.
 */
#ifndef VDISK_VOLUME_TABLE_H
#define VDISK_VOLUME_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct view;

/* A piece of a member: from pos on. */
struct table_stripe {
	size_t member;
	uint64_t pos; /* bytes */
};

enum table_kind {
	TABLE_STRIPED, /* chunk after chunk from each stripe in turn; one stripe: linear */
	TABLE_ZERO,
	TABLE_ERROR, /* reads fail with EIO */
};

struct table_segment {
	enum table_kind kind;
	uint64_t len;   /* bytes */
	uint64_t chunk; /* bytes; of a single stripe it does not matter */
	const struct table_stripe *stripes;
	size_t nstripes;
	const char *error; /* TABLE_ERROR: the reason */
};

/* A description that views are made from; it copies all that it is given. */
struct table;

struct table *table_new(void);    /* NULL without memory */
void table_free(struct table *t); /* NULL is fine */

/* Appends a segment.  EINVAL: a length of 0, a chunk of 0, a sum that is no off_t. */
int table_add(struct table *t, const struct table_segment *segment, struct err *e);

/* The sum of the segments, in bytes. */
uint64_t table_size(const struct table *t);

/* The view over members, which it owns on success; the table must outlive it.  EUCLEAN: a segment
 * passes the end of a member. */
struct view *table_view(
	const struct table *t, struct view *const *members, size_t n, struct err *e);

#endif
