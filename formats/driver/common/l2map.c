/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* l2map.c - maps guest offsets to clusters through two levels of tables.
 *
 * Tables stay in the file and are read through the cache, one page of a table at a time.
 */
#include "l2map.h"

#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"

static unsigned l1_bits(const struct l2map *t)
{
	return t->cluster_bits + t->table_bits;
}

uint64_t l2map_l1_needed(const struct l2map *t, uint64_t size)
{
	return div_round_up(size, UINT64_C(1) << l1_bits(t));
}

int l2map_check_place(
	const struct l2map *t, const char *what, uint64_t pos, uint64_t len, struct err *e)
{
	const char *hit = metadata_regions_find(&t->metadata, pos, len);

	if (pos >= t->end)
		return err_set(e, EIO, "%s at 0x%" PRIx64 ", past the end of the file, 0x%" PRIx64,
			what, pos, t->end);
	if (hit)
		return err_set(e, EUCLEAN, "%s at 0x%" PRIx64 ", where the %s is", what, pos, hit);
	return 0;
}

static int check_aligned(const char *what, uint64_t pos, uint64_t align, struct err *e)
{
	if (pos & (align - 1))
		return err_set(e, EUCLEAN, "%s at 0x%" PRIx64 ", not at a multiple of %" PRIu64,
			what, pos, align);
	return 0;
}

/* The entries of a table from a position to the end of the page. */
struct entries {
	const unsigned char *p;
	uint64_t n;
	struct meta page;
	unsigned char single[L2MAP_ENTRY]; /* an entry that crosses a page boundary */
};

static int entries_pin(const struct l2map *t, uint64_t pos, struct entries *s, struct err *e)
{
	int r = meta_pin(t->cache, t->io, pos, &s->page, e);

	if (r < 0)
		return r;
	s->p = s->page.p;
	s->n = s->page.n / L2MAP_ENTRY;
	if (s->n > 0)
		return 0;
	s->p = s->single;
	s->n = 1;
	r = meta_read(t->cache, t->io, s->single, sizeof s->single, pos, e);
	if (r < 0)
		meta_unpin(t->cache, &s->page);
	return r;
}

/* The L2 table of guest offset off.  *table is 0 where there is none; then *len is the length of
 * the range without table, as far as one page of the L1 table goes. */
static int l1_look(
	const struct l2map *t, uint64_t off, uint64_t *table, uint64_t *len, struct err *e)
{
	uint64_t i = off >> l1_bits(t), n = 0, max,
		 table_len = (uint64_t)L2MAP_ENTRY << t->table_bits;
	struct entries s;
	int r = entries_pin(t, t->l1_pos + i * L2MAP_ENTRY, &s, e);

	if (r < 0)
		return r;
	*table = t->ops->load(s.p);
	max = MIN(s.n, t->l1_size - i);
	while (n < max && t->ops->load(s.p + n * L2MAP_ENTRY) == 0)
		n++;
	meta_unpin(t->cache, &s.page);
	*len = ((i + MAX(n, 1)) << l1_bits(t)) - off;
	if (*table == 0)
		return 0;
	r = check_aligned("L2 table", *table, t->table_align, e);
	if (r == 0)
		r = l2map_check_place(t, "L2 table", *table, table_len, e);
	/* The missing entries of a table that is cut off would read as "not allocated". */
	if (r == 0 && table_len > t->end - *table)
		r = err_set(e, EIO,
			"L2 table at 0x%" PRIx64 " passes the end of the file, 0x%" PRIx64, *table,
			t->end);
	return r < 0 ? err_in(e, "L1 entry %" PRIu64, i) : 0;
}

static int decode(const struct l2map *t, uint64_t entry, struct cluster *c, struct err *e)
{
	int r = t->ops->decode(t, entry, c, e);

	if (r < 0 || c->kind != EXTENT_FILE)
		return r;
	r = check_aligned("data cluster", c->host, t->cluster_align, e);
	return r < 0 ? r
		     : l2map_check_place(
			       t, "data cluster", c->host, UINT64_C(1) << t->cluster_bits, e);
}

/* The number of entries, of n at p, that continue the first one, which was decoded to c. */
static uint64_t run_length(
	const struct l2map *t, const unsigned char *p, uint64_t n, const struct cluster *c)
{
	uint64_t i;

	for (i = 1; i < n && c->kind != EXTENT_GENERATED; i++) {
		struct cluster next;
		struct err ignored; /* an invalid entry begins the next run */

		if (decode(t, t->ops->load(p + i * L2MAP_ENTRY), &next, &ignored) < 0 ||
			next.kind != c->kind)
			return i;
		if (c->kind == EXTENT_FILE && next.host != c->host + (i << t->cluster_bits))
			return i;
	}
	return i;
}

/* Decodes the entry of guest offset off; n clusters from there on make a run. */
static int l2_look(const struct l2map *t, uint64_t table, uint64_t off, uint64_t wanted,
	struct cluster *c, uint64_t *n, struct err *e)
{
	uint64_t size = UINT64_C(1) << t->table_bits, i = off >> t->cluster_bits & (size - 1);
	struct entries s;
	int r = entries_pin(t, table + i * L2MAP_ENTRY, &s, e);

	if (r < 0)
		return r;
	r = decode(t, t->ops->load(s.p), c, e);
	if (r == 0)
		*n = run_length(t, s.p, MIN(wanted, MIN(s.n, size - i)), c);
	meta_unpin(t->cache, &s.page);
	return r < 0 ? err_in(e, "L2 table at 0x%" PRIx64 ", entry %" PRIu64, table, i) : 0;
}

int l2map_map(const struct l2map *t, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	uint64_t size = UINT64_C(1) << t->cluster_bits, skip = off & (size - 1);
	uint64_t table, n = 1;
	struct cluster c;
	int r = l1_look(t, off, &table, &x->len, e);

	if (r == 0 && table == 0) {
		x->kind = EXTENT_BELOW;
		x->pos = off;
		return 0;
	}
	if (r == 0) {
		x->len = size - skip;
		r = l2_look(t, table, off, div_round_up(skip + len, size), &c, &n, e);
	}
	if (r < 0)
		return err_in(e, "guest offset 0x%" PRIx64, off);
	x->kind = c.kind;
	x->len = n * size - skip;
	x->pos = off;
	if (c.kind == EXTENT_FILE) {
		r = extent_in_file(x, t->io, c.host, skip, x->len, size, e);
	} else if (c.kind == EXTENT_GENERATED) {
		x->pos = skip;
		x->io = t->io;
		x->unit_id = c.host;
		x->unit_len = size;
	}
	return r < 0 ? err_in(e, "guest offset 0x%" PRIx64, off) : 0;
}
