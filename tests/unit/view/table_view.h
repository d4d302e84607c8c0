/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table_view.h - a view for tests, with a table of extents instead of an image. */
#ifndef UNIT_VIEW_TABLE_VIEW_H
#define UNIT_VIEW_TABLE_VIEW_H

#include <stdatomic.h>
#include <stddef.h>

#include "view/view.h"

struct cache;
struct io;

/* A view with a table of consecutive extents.  Reading an extent of the additional kind DAMAGED
 * fails; its pos is the length of the damage that the map reports. */
#define DAMAGED ((enum extent_kind)99)

struct table {
	struct view view;
	struct io *io;
	const struct extent *x;
	size_t n;
	atomic_uint fills; /* number of units that were decoded */
	unsigned fail_fill;
};

#define UNIT_STORED 1000 /* bytes */

extern const struct view_ops table_ops;

/* A view of these extents, one after the other, of io. */
struct table table_of(const struct extent *x, size_t n, struct io *io, struct cache *cache);

/* A file of len bytes in data, which is filled with pattern 1. */
struct io *pattern_io(unsigned char *data, size_t len);

#endif
