/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "table_view.h"

#include <assert.h>
#include <errno.h>

#include "util/bytes.h"
#include "io/crypt.h"
#include "util/err.h"
#include "io/io.h"
#include "common/unit.h"

static int table_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct table *t = (const struct table *)v;
	const struct extent *at = t->x;
	uint64_t skip = off;

	assert(len > 0 && range_fits(off, len, v->size)); /* precondition of every map */
	for (; skip >= at->len; at++)
		skip -= at->len;
	x->kind = at->kind;
	if (at->kind == DAMAGED) {
		x->len = at->pos;
		return err_set(e, EUCLEAN, "damaged at %d", (int)off);
	}
	x->len = at->len - skip;
	x->pos = at->pos + skip;
	x->io = t->io;
	x->unit_id = at->unit_id;
	x->unit_len = at->unit_len;
	x->crypt = at->crypt;
	x->sector = x->pos / CRYPT_SECTOR; /* number of the sector in the file, as in qcow2 */
	return 0;
}

static int table_fill(const struct view *v, const struct extent *x, void *buf, struct err *e)
{
	struct table *t = (struct table *)v;

	if (t->fail_fill)
		return err_set(e, EUCLEAN, "unit %d is damaged", (int)x->unit_id);
	atomic_fetch_add(&t->fills, 1);
	fill_pattern(buf, x->unit_len, x->unit_id);
	return 0;
}

/* The units are stored one after the other, each in UNIT_STORED bytes. */
static uint64_t table_locate(const struct view *v, const struct extent *x, uint64_t *pos)
{
	(void)v;
	*pos = x->unit_id * UNIT_STORED;
	return UNIT_STORED;
}

const struct view_ops table_ops = {.map = table_map, .fill = table_fill, .locate = table_locate};

struct table table_of(const struct extent *x, size_t n, struct io *io, struct cache *cache)
{
	struct table t = {.view = {.ops = &table_ops, .cache = cache}, .io = io, .x = x, .n = n};

	for (size_t i = 0; i < n; i++)
		t.view.size += x[i].len;
	return t;
}

struct io *pattern_io(unsigned char *data, size_t len)
{
	struct err e = ERR_INIT;
	struct io *io;

	fill_pattern(data, len, 1);
	io = io_from_memory(data, len, "data", &e);
	ck_assert_ptr_nonnull(io);
	return io;
}
