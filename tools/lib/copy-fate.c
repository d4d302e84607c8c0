/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copy-fate.c - see copy-fate.h. */
#include "copy-fate.h"

#include <string.h>

#include "copy.h"
#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"

#define CHUNK (64u << 10)

/* Does the backing file have these bytes, and zeroes beyond its end? */
static int reads_same(const struct copy *c, const unsigned char *buf, size_t len, uint64_t off,
	bool *is, struct err *e)
{
	unsigned char below[CHUNK];
	int r = 0;

	*is = true;
	for (size_t n, inside; *is && len > 0; buf += n, off += n, len -= n) {
		n = MIN(len, CHUNK);
		inside = off < c->below->size ? MIN(n, c->below->size - off) : 0;
		r = inside > 0 ? view_read(c->below, below, inside, off, e) : 0;
		*is = r == 0 && memcmp(buf, below, inside) == 0 &&
		      is_zero(buf + inside, n - inside);
	}
	return r;
}

/* Is the whole range unallocated in the output? */
static int is_unallocated(const struct copy *c, size_t len, uint64_t off, bool *is, struct err *e)
{
	struct extent x = {.kind = EXTENT_BELOW};
	int r = 0;

	view_enter(c->out);
	for (; r == 0 && len > 0 && x.kind == EXTENT_BELOW; off += x.len, len -= x.len)
		r = view_map(c->out, off, len, &x, e);
	view_leave(c->out);
	*is = r == 0 && x.kind == EXTENT_BELOW;
	return r;
}

int copy_fate(const struct copy *c, const unsigned char *buf, size_t len, uint64_t off,
	enum copy_fate *fate, struct err *e)
{
	bool below = c->below != NULL;
	int r = below && !c->is_new ? is_unallocated(c, len, off, &below, e) : 0;

	if (r == 0 && below)
		r = reads_same(c, buf, len, off, &below, e);

	*fate = below ? COPY_SKIP : COPY_WRITE;
	if (!below && is_zero(buf, len))
		*fate = c->is_new && !c->below ? COPY_SKIP : COPY_ZERO;
	return r;
}
