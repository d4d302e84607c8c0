/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fetch.c - reading ahead of a sequential reader, on the host.
 *
 * The readahead of the host follows the file, and so misses clusters that lie in another order, or
 * in another file; this one follows the map.
 */
#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "view.h"

/* A range of a file that extents have been collected into. */
struct stored {
	struct io *io; /* NULL: none yet */
	uint64_t pos, end;
};

/* Fetches the range and begins another, unless [pos, pos+len) continues it. */
static void collect(struct stored *s, struct io *io, uint64_t pos, uint64_t len)
{
	if (s->io == io && s->pos <= pos && pos <= s->end) {
		s->end = MAX(s->end, pos + len);
		return;
	}
	if (s->io)
		io_fetch(s->io, s->pos, s->end - s->pos);
	*s = (struct stored){io, pos, pos + len};
}

static void collect_extent(struct stored *s, const struct extent *x)
{
	uint64_t pos = x->pos, len = x->len;

	if (x->kind == EXTENT_ZERO || !x->io)
		return;
	if (x->kind == EXTENT_GENERATED) {
		if (!x->owner->ops->locate)
			return;
		len = x->owner->ops->locate(x->owner, x, &pos);
	}
	collect(s, x->io, pos, len);
}

void view_fetch(const struct view *v, uint64_t off, uint64_t len)
{
	struct stored s = {.io = NULL};
	struct err ignored = ERR_INIT;
	struct extent x;

	view_enter(v);
	for (; len > 0 && off < v->size; off += x.len, len -= x.len) {
		if (view_resolve(v, off, MIN(len, v->size - off), &x, &ignored) < 0)
			break;
		collect_extent(&s, &x);
	}
	collect(&s, NULL, 0, 0);
	view_leave(v);
}
