/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* l2.c - L2 tables: their entries decoded, and tables that the live disk has for itself. */
#include "l2.h"

#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/writeback.h"
#include "alloc.h"
#include "l1.h"

#define SECTOR_BITS 9

enum qcow2_l2_kind qcow2_l2_kind(const struct qcow2 *q, uint64_t entry)
{
	bool placed = entry & QCOW2_OFFSET;

	if (entry & QCOW2_COMPRESSED)
		return QCOW2_L2_COMPRESSED;
	if (!q->extended && entry & QCOW2_ZERO)
		return placed ? QCOW2_L2_ZERO_ALLOCATED : QCOW2_L2_ZERO;
	/* In a data file, position 0 is valid: COPIED marks the cluster as allocated. */
	if (placed || (q->external && entry & QCOW2_COPIED))
		return QCOW2_L2_DATA;
	return QCOW2_L2_UNALLOCATED;
}

bool qcow2_l2_has_cluster(const struct qcow2 *q, uint64_t entry)
{
	enum qcow2_l2_kind kind = qcow2_l2_kind(q, entry);

	return kind == QCOW2_L2_DATA || kind == QCOW2_L2_ZERO_ALLOCATED;
}

uint64_t qcow2_l2_bitmap(const struct qcow2 *q, const unsigned char *p)
{
	return q->extended ? load_be64(p + 8) : 0;
}

bool qcow2_l2_is_misplaced_zero(const struct qcow2 *q, uint64_t entry, uint64_t bitmap)
{
	bool data = q->extended ? bitmap & UINT32_MAX : !(entry & QCOW2_ZERO);

	return !data && qcow2_in_cluster(q, entry & QCOW2_OFFSET);
}

static unsigned compressed_bits(const struct qcow2 *q)
{
	return 62 - (q->header.cluster_bits - 8);
}

uint64_t qcow2_l2_compressed_range(const struct qcow2 *q, uint64_t entry, uint64_t *len)
{
	unsigned bits = compressed_bits(q);
	uint64_t pos = entry & ((UINT64_C(1) << bits) - 1);
	uint64_t more = (entry & (QCOW2_COMPRESSED - 1)) >> bits;

	*len = ((more + 1) << SECTOR_BITS) - (pos & ((1u << SECTOR_BITS) - 1));
	return pos;
}

bool qcow2_l2_compressed_entry(const struct qcow2 *q, uint64_t pos, uint64_t len, uint64_t *entry)
{
	unsigned bits = compressed_bits(q);
	uint64_t more = ((pos + len - 1) >> SECTOR_BITS) - (pos >> SECTOR_BITS);

	*entry = QCOW2_COMPRESSED | more << bits | pos;
	return pos + len <= UINT64_C(1) << MIN(bits, QCOW2_OFFSET_BITS);
}

struct qcow2_clusters qcow2_l2_clusters(const struct qcow2 *q, uint64_t entry)
{
	unsigned bits = q->header.cluster_bits;
	struct qcow2_clusters c = {.n = 0};
	uint64_t pos, len;

	if (qcow2_l2_kind(q, entry) == QCOW2_L2_COMPRESSED) {
		pos = qcow2_l2_compressed_range(q, entry, &len);
		c.first = pos >> bits;
		c.n = qcow2_clusters_of(q, pos, len);
	} else if (qcow2_l2_has_cluster(q, entry) && !q->external) {
		c.first = (entry & QCOW2_OFFSET) >> bits;
		c.n = 1;
	}
	return c;
}

int qcow2_l2_read(const struct qcow2 *q, uint64_t table, uint64_t off, uint64_t max,
	struct qcow2_l2_entries *t, struct err *e)
{
	uint64_t all = UINT64_C(1) << q->entries_bits,
		 i = off >> q->header.cluster_bits & (all - 1);

	t->pos = table + i * q->entry_size;
	t->n = MIN((META_PAGE - t->pos % META_PAGE) / q->entry_size, all - i);
	t->n = MIN(t->n, max);
	return meta_read(q->cache, q->io, t->raw, t->n * q->entry_size, t->pos, e);
}

int qcow2_l2_is_owned(const struct qcow2 *q, const unsigned char *p, bool *owned, struct err *e)
{
	uint64_t entry = load_be64(p), cluster = (entry & QCOW2_OFFSET) >> q->header.cluster_bits;

	*owned = qcow2_l2_has_cluster(q, entry) && entry & QCOW2_COPIED;
	if (!*owned || q->external || qcow2_refcount_is_one(q->alloc, cluster, 1))
		return 0;
	err_set(e, EUCLEAN, "cluster %" PRIu64 ": COPIED is set, but its refcount is not 1",
		cluster);
	return err_hint_code(e, HINT_REPAIR, NULL);
}

void qcow2_l2_drop_entry(struct qcow2_alloc *a, const unsigned char *p)
{
	struct qcow2_clusters c = qcow2_l2_clusters(a->q, load_be64(p));

	qcow2_alloc_drop(a, c.first, c.n);
}

int qcow2_l2_drop_entries(
	const struct qcow2 *q, uint64_t table, uint64_t off, bool clear, struct err *e)
{
	uint64_t span = UINT64_C(1) << qcow2_l1_bits(q), end = (off / span + 1) * span;
	struct qcow2_l2_entries t;
	int r = 0;

	for (; r == 0 && off < end; off += (uint64_t)t.n << q->header.cluster_bits) {
		r = qcow2_l2_read(q, table, off, UINT64_MAX, &t, e);
		if (r == 0)
			r = qcow2_alloc_prepare(q->alloc, t.n, e);
		if (r == 0 && clear)
			r = meta_zero(q->io, t.n * q->entry_size, t.pos, ORDER_TABLES, e);
		for (size_t i = 0; r == 0 && i < t.n; i++)
			qcow2_l2_drop_entry(q->alloc, t.raw + i * q->entry_size);
	}
	return r;
}

int qcow2_l2_drop_table(const struct qcow2 *q, uint64_t table, struct err *e)
{
	int r = qcow2_l2_drop_entries(q, table, 0, false, e);

	if (r == 0)
		r = qcow2_alloc_prepare(q->alloc, 1, e);
	if (r == 0)
		qcow2_alloc_drop(q->alloc, table >> q->header.cluster_bits, 1);
	return r;
}

/* Replaces the table at old, or none when that is 0, by a copy, or an empty one. */
static int make_table(
	struct qcow2_view *v, uint64_t i, uint64_t old, uint64_t *table, struct err *e)
{
	struct qcow2 *q = v->q;
	unsigned bits = q->header.cluster_bits;
	/* The clusters of a shared table are shared, too. */
	uint64_t mask = q->external ? UINT64_MAX : ~QCOW2_COPIED;
	unsigned char raw[QCOW2_ENTRY_SIZE];
	struct qcow2_clusters c;
	int r = qcow2_alloc_prepare(q->alloc, 1, e);

	if (r == 0)
		r = qcow2_alloc_take(q->alloc, 1, true, &c, NULL, e);
	if (r < 0)
		return r;
	*table = c.first << bits;
	if (old)
		r = qcow2_l1_copy_entries(
			q, old, *table, q->cluster_size, q->entry_size, mask, ORDER_TABLES, e);
	else
		r = meta_zero(q->io, q->cluster_size, *table, ORDER_TABLES, e);
	store_be64(raw, *table | QCOW2_COPIED);
	if (r == 0)
		r = meta_write(
			q->io, raw, sizeof raw, v->l1_pos + i * sizeof raw, ORDER_TABLES_ROOT, e);
	if (r < 0) /* a part of it will be written: the cluster can be used after that */
		qcow2_alloc_drop(q->alloc, c.first, 1);
	else if (old)
		qcow2_alloc_drop(q->alloc, old >> bits, 1);
	return r;
}

int qcow2_l2_own(struct qcow2_view *v, uint64_t off, uint64_t *table, struct err *e)
{
	struct qcow2 *q = v->q;
	uint64_t i = off >> qcow2_l1_bits(q), entry, len;
	int r = qcow2_l1_lookup(v, off, &entry, table, &len, e);

	if (r < 0)
		return r;
	if (*table == 0 || !(entry & QCOW2_COPIED))
		return make_table(v, i, *table, table, e);
	if (qcow2_refcount_is_one(q->alloc, *table >> q->header.cluster_bits, 1))
		return 0;
	err_set(e, EUCLEAN, "L2 table at 0x%" PRIx64 ": COPIED is set, but its refcount is not 1",
		*table);
	return err_hint_code(e, HINT_REPAIR, NULL);
}
