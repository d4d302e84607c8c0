/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refcount.c - refcounts read and changed, and new refcount blocks and tables.
 *
 * New blocks lie in the clusters whose refcounts they hold, which are free as long as there is no
 * block for them; so does a new table, after the blocks.
 */
#include "refcount.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/writer.h"
#include "alloc.h"
#include "qcow2.h"

uint64_t qcow2_refcount_load(const struct qcow2 *q, const unsigned char *p, uint64_t i)
{
	unsigned order = q->header.refcount_order, bits = 1u << order;

	switch (order) {
	case 4:
		return load_be16(p + 2 * i);
	case 5:
		return load_be32(p + 4 * i);
	case 6:
		return load_be64(p + 8 * i);
	default:
		return p[i * bits / 8] >> (i * bits % 8) & ((1u << bits) - 1);
	}
}

void qcow2_refcount_store(const struct qcow2 *q, unsigned char *p, uint64_t i, uint64_t count)
{
	unsigned order = q->header.refcount_order, bits = 1u << order, shift;

	switch (order) {
	case 4:
		store_be16(p + 2 * i, count);
		break;
	case 5:
		store_be32(p + 4 * i, count);
		break;
	case 6:
		store_be64(p + 8 * i, count);
		break;
	default:
		shift = i * bits % 8;
		p += i * bits / 8;
		*p = (*p & ~(((1u << bits) - 1) << shift)) | count << shift;
	}
}

uint64_t qcow2_refcount_max(const struct qcow2 *q)
{
	unsigned bits = 1u << q->header.refcount_order;

	return bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}

/* The position of refcount block number i; 0: there is none, its refcounts are 0. */
static int find_block(const struct qcow2_alloc *a, uint64_t i, uint64_t *pos, struct err *e)
{
	const struct qcow2 *q = a->q;
	const struct qcow2_reftable *t = a->table;
	unsigned char raw[QCOW2_ENTRY_SIZE];
	int r;

	*pos = 0;
	if (i >= t->entries)
		return 0;
	r = meta_read(q->cache, q->io, raw, sizeof raw, t->pos + i * sizeof raw, e);
	if (r < 0)
		return r;
	*pos = load_be64(raw);
	if (qcow2_in_cluster(q, *pos) || !range_fits(*pos, q->cluster_size, q->io->size)) {
		err_set(e, EUCLEAN, "refcount table: entry %" PRIu64 " is 0x%016" PRIx64, i, *pos);
		return err_hint_code(e, HINT_REPAIR, NULL);
	}
	return 0;
}

/* Refcounts in one page of a refcount block. */
struct refcounts {
	uint64_t pos;   /* of the byte that the first is in; 0: there is no block */
	unsigned first; /* its index in that byte */
	uint64_t n;
	size_t len; /* bytes */
};

static int find_refcounts(const struct qcow2_alloc *a, uint64_t first, uint64_t max,
	struct refcounts *p, struct err *e)
{
	const struct qcow2 *q = a->q;
	unsigned order = q->header.refcount_order;
	uint64_t per_block = UINT64_C(1) << qcow2_block_bits(q), i = first & (per_block - 1);
	uint64_t block, bit = i << order, bits;
	int r = find_block(a, first >> qcow2_block_bits(q), &block, e);

	p->pos = p->first = p->len = 0;
	p->n = MIN(max, per_block - i);
	if (r < 0 || block == 0)
		return r;
	p->pos = block + bit / 8;
	p->first = (bit & 7) >> order;
	bits = (META_PAGE - p->pos % META_PAGE) * 8 - (bit & 7);
	p->n = MIN(p->n, bits >> order);
	p->len = div_round_up((bit & 7) + (p->n << order), 8);
	return 0;
}

int qcow2_refcount_get(const struct qcow2_alloc *a, uint64_t first, uint64_t max, uint64_t *count,
	uint64_t *n, struct err *e)
{
	const struct qcow2 *q = a->q;
	struct refcounts p;
	struct meta m;
	int r = find_refcounts(a, first, max, &p, e);

	*count = 0;
	*n = p.n;
	if (r < 0 || p.pos == 0)
		return r;
	r = meta_pin(q->cache, q->io, p.pos, &m, e);
	if (r < 0)
		return r;
	*count = qcow2_refcount_load(q, m.p, p.first);
	for (*n = 1; *n < p.n; ++*n)
		if (qcow2_refcount_load(q, m.p, p.first + *n) != *count)
			break;
	meta_unpin(q->cache, &m);
	return 0;
}

bool qcow2_refcount_is_one(const struct qcow2_alloc *a, uint64_t first, uint64_t n)
{
	struct err ignored = ERR_INIT;

	for (uint64_t count, run; n > 0; first += run, n -= run)
		if (qcow2_refcount_get(a, first, n, &count, &run, &ignored) < 0 || count != 1)
			return false;
	return true;
}

static int check_add(const struct qcow2 *q, uint64_t cluster, uint64_t count, int by, struct err *e)
{
	if (by > 0 && count == qcow2_refcount_max(q))
		return err_set(e, ERANGE,
			"cluster %" PRIu64 " has %" PRIu64 " references: refcounts of %u bits are "
			"full",
			cluster, count, 1u << q->header.refcount_order);
	if (by < 0 && count == 0) {
		err_set(e, EUCLEAN, "cluster %" PRIu64 " is in use, but its refcount is 0",
			cluster);
		return err_hint_code(e, HINT_REPAIR, NULL);
	}
	return 0;
}

/* With only_check, checks that all refcounts can be changed, so that none is when one cannot. */
static int add(
	struct qcow2_alloc *a, struct qcow2_clusters c, int by, bool only_check, struct err *e)
{
	const struct qcow2 *q = a->q;
	unsigned char buf[META_PAGE];
	struct refcounts p;
	int r = 0;

	for (; r == 0 && c.n > 0; c.first += p.n, c.n -= p.n) {
		r = find_refcounts(a, c.first, c.n, &p, e);
		if (r == 0 && p.pos == 0)
			r = check_add(q, c.first, 0, -1, e);
		if (r == 0)
			r = meta_read(q->cache, q->io, buf, p.len, p.pos, e);
		for (uint64_t i = 0; r == 0 && i < p.n; i++) {
			uint64_t count = qcow2_refcount_load(q, buf, p.first + i);

			r = check_add(q, c.first + i, count, by, e);
			qcow2_refcount_store(q, buf, p.first + i, count + by);
		}
		if (r == 0 && !only_check)
			r = meta_write(q->io, buf, p.len, p.pos, ORDER_COUNTS, e);
	}
	return r;
}

int qcow2_refcount_add(struct qcow2_alloc *a, uint64_t first, uint64_t n, int by, struct err *e)
{
	struct qcow2_clusters c = {.first = first, .n = n};
	/* A single one is checked before it is changed anyway. */
	int r = n > 1 ? add(a, c, by, true, e) : 0;

	return r == 0 ? add(a, c, by, false, e) : r;
}

int qcow2_refcount_has_block(
	const struct qcow2_alloc *a, uint64_t cluster, bool *exists, struct err *e)
{
	uint64_t pos;
	int r = find_block(a, cluster >> qcow2_block_bits(a->q), &pos, e);

	*exists = pos != 0;
	return r;
}

/* Writes zeroes to n clusters at pos, the first n refcounts of which are 1: they are the start of
 * the block, or the blocks, that hold their own refcounts.  The file becomes longer if need be. */
static int put_blocks(struct qcow2_alloc *a, uint64_t pos, uint64_t n, struct err *e)
{
	const struct qcow2 *q = a->q;
	unsigned order = q->header.refcount_order;
	uint64_t len = n << q->header.cluster_bits;
	unsigned char buf[META_PAGE];
	int r = pos + len > q->io->size ? io_resize(q->io, pos + len, e) : 0;

	if (r == 0)
		r = meta_zero(q->io, len, pos, ORDER_COUNTS, e);
	for (uint64_t k; r == 0 && n > 0; n -= k, pos += len) {
		k = MIN(n, sizeof buf * 8 >> order);
		len = div_round_up(k << order, 8);
		memset(buf, 0, len);
		for (uint64_t i = 0; i < k; i++)
			qcow2_refcount_store(q, buf, i, 1);
		r = meta_write(q->io, buf, len, pos, ORDER_COUNTS, e);
	}
	return r;
}

/* New blocks for the clusters from number i << block_bits on, of which none has one. */
struct plan {
	uint64_t i;
	uint64_t blocks;
	uint64_t table; /* clusters of a new refcount table; 0: the old one is long enough */
	uint64_t pos;   /* of the first block */
};

/* Computes how many blocks are needed for themselves, the new table and want clusters after them.
 */
static int plan_blocks(
	const struct qcow2_alloc *a, struct plan *p, uint64_t want, bool grow, struct err *e)
{
	const struct qcow2 *q = a->q;
	uint64_t per_block = UINT64_C(1) << qcow2_block_bits(q), before = 0;
	uint64_t per_cluster = q->cluster_size / QCOW2_ENTRY_SIZE;
	uint64_t max = QCOW2_MAX_REFTABLE_BYTES >> q->header.cluster_bits;

	p->table = 0;
	for (p->blocks = 1; p->blocks != before;) {
		before = p->blocks;
		if (grow)
			p->table = div_round_up((p->i + before) * 3 / 2, per_cluster);
		if (p->table > max)
			p->table = MAX(max, div_round_up(p->i + before, per_cluster));
		p->blocks = MAX(before, div_round_up(before + p->table + want, per_block));
	}
	p->pos = p->i << qcow2_block_bits(q) << q->header.cluster_bits;
	if (p->table > max)
		return err_set(e, EFBIG, "the refcount table of an image cannot be larger than %u",
			QCOW2_MAX_REFTABLE_BYTES);
	return 0;
}

/* Moves the plan to the first index from which on none of its blocks exists. */
static int find_place(const struct qcow2_alloc *a, struct plan *p, uint64_t want, struct err *e)
{
	uint64_t k = 0, pos;
	int r = plan_blocks(a, p, want, false, e);

	while (r == 0 && k < p->blocks) {
		r = find_block(a, p->i + k, &pos, e);
		k++;
		if (r == 0 && pos != 0) {
			p->i += k;
			k = 0;
			r = plan_blocks(a, p, want, false, e);
		}
	}
	if (r == 0 && p->i + p->blocks > ((const struct qcow2_reftable *)a->table)->entries)
		r = plan_blocks(a, p, want, true, e);
	return r;
}

/* Makes the refcount table at table point to the new blocks. */
static int put_entries(struct qcow2_alloc *a, const struct plan *p, uint64_t table,
	enum write_order order, struct err *e)
{
	unsigned char raw[QCOW2_ENTRY_SIZE];
	int r = 0;

	for (uint64_t k = 0; r == 0 && k < p->blocks; k++) {
		store_be64(raw, p->pos + (k << a->q->header.cluster_bits));
		r = meta_write(
			a->q->io, raw, sizeof raw, table + (p->i + k) * sizeof raw, order, e);
	}
	return r;
}

/* Makes a table with the new blocks after them, and the header point to it.  A cluster whose
 * refcount only the new table has cannot be used before that is durable. */
static int make_table(
	struct qcow2_alloc *a, const struct plan *p, struct qcow2_clusters *old, struct err *e)
{
	struct qcow2 *q = a->q;
	struct qcow2_header *h = &q->header;
	struct qcow2_reftable *before = a->table, *t = calloc(1, sizeof *t);
	unsigned char raw[12];
	int r;

	if (!t)
		return err_nomem(e);
	t->pos = p->pos + (p->blocks << h->cluster_bits);
	t->entries = (p->table << h->cluster_bits) / QCOW2_ENTRY_SIZE;
	t->before = before;
	store_be64(raw, t->pos);
	store_be32(raw + 8, p->table);
	r = meta_copy(q->cache, q->io, before->pos, before->entries * QCOW2_ENTRY_SIZE, t->pos,
		ORDER_COUNTS, e);
	if (r == 0)
		r = put_entries(a, p, t->pos, ORDER_COUNTS, e);
	if (r == 0)
		r = meta_write(q->io, raw, sizeof raw, QCOW2_AT_REFTABLE, ORDER_COUNTS_ROOT, e);
	if (r < 0) {
		free(t);
		return r;
	}
	a->table = t;
	old->first = h->reftable_pos >> h->cluster_bits;
	old->n = h->reftable_clusters;
	h->reftable_pos = t->pos;
	h->reftable_clusters = p->table;
	return writer_write_back(a->writer, e);
}

int qcow2_refcount_make_blocks(struct qcow2_alloc *a, uint64_t cluster, uint64_t want,
	struct qcow2_clusters *old, struct err *e)
{
	const struct qcow2 *q = a->q;
	const struct qcow2_reftable *t = a->table;
	struct plan p = {.i = cluster >> qcow2_block_bits(q)};
	int r = find_place(a, &p, want, e);

	*old = (struct qcow2_clusters){.n = 0};
	if (r == 0)
		r = put_blocks(a, p.pos, p.blocks + p.table, e);
	if (r < 0)
		return r;
	return p.table ? make_table(a, &p, old, e)
		       : put_entries(a, &p, t->pos, ORDER_COUNTS_ROOT, e);
}
