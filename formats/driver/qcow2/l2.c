/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* l2.c - L2 tables that the live disk has for itself, and what their entries refer to. */
#include "l2.h"

#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/writeback.h"
#include "alloc.h"
#include "l1.h"
#include "qcow2.h"
#include "refcount.h"

#define SECTOR_BITS 9

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

enum qcow2_l2_kind qcow2_l2_kind(const struct qcow2 *q, uint64_t entry)
{
	bool placed = entry & QCOW2_OFFSET;

	if (entry & QCOW2_COMPRESSED)
		return QCOW2_L2_COMPRESSED;
	if (!q->extended && entry & QCOW2_ZERO)
		return placed ? QCOW2_L2_ZERO_ALLOCATED : QCOW2_L2_ZERO;
	/* In a data file position 0 is good for data. */
	if (placed || (q->external && entry & QCOW2_COPIED))
		return QCOW2_L2_DATA;
	return QCOW2_L2_UNALLOCATED;
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

int qcow2_l2_is_owned(const struct qcow2 *q, const unsigned char *p, bool *held, struct err *e)
{
	uint64_t entry = load_be64(p), cluster = (entry & QCOW2_OFFSET) >> q->header.cluster_bits;
	enum qcow2_l2_kind kind = qcow2_l2_kind(q, entry);

	*held = (kind == QCOW2_L2_DATA || kind == QCOW2_L2_ZERO_ALLOCATED) && entry & QCOW2_COPIED;
	if (!*held || q->external || qcow2_refcount_is_one(q->alloc, cluster, 1))
		return 0;
	err_set(e, EUCLEAN, "cluster %" PRIu64 ": not referred to once, as its flag says", cluster);
	return err_hint(e, "vdisk check -r all mends refcounts");
}

void qcow2_l2_drop_entry(struct qcow2_alloc *a, const unsigned char *p)
{
	const struct qcow2 *q = a->q;
	uint64_t entry = load_be64(p), pos, len;
	unsigned bits = q->header.cluster_bits;

	switch (qcow2_l2_kind(q, entry)) {
	case QCOW2_L2_COMPRESSED:
		pos = qcow2_l2_compressed_range(q, entry, &len);
		qcow2_alloc_drop(a, pos >> bits, qcow2_clusters_of(q, pos, len));
		break;
	case QCOW2_L2_DATA:
	case QCOW2_L2_ZERO_ALLOCATED:
		if (!q->external)
			qcow2_alloc_drop(a, (entry & QCOW2_OFFSET) >> bits, 1);
		break;
	case QCOW2_L2_UNALLOCATED:
	case QCOW2_L2_ZERO:
		break;
	}
}

/* What is shared is no longer alone with whoever shared it first: no entry says so. */
static void clear_copied(const struct qcow2 *q, unsigned char *p, size_t len)
{
	for (size_t i = 0; i < len; i += q->entry_size)
		store_be64(p + i, load_be64(p + i) & ~QCOW2_COPIED);
}

static int copy_table(const struct qcow2 *q, uint64_t from, uint64_t to, struct err *e)
{
	unsigned char buf[META_PAGE];
	size_t n = MIN(sizeof buf, q->cluster_size);
	int r = 0;

	for (uint32_t at = 0; r == 0 && at < q->cluster_size; at += n) {
		r = meta_read(q->cache, q->io, buf, n, from + at, e);
		if (!q->external)
			clear_copied(q, buf, n);
		if (r == 0)
			r = meta_write(q->io, buf, n, to + at, ORDER_TABLES, e);
	}
	return r;
}

/* In the place of the table at old, 0: of none. */
static int make_table(
	struct qcow2_view *v, uint64_t i, uint64_t old, uint64_t *table, struct err *e)
{
	struct qcow2 *q = v->q;
	unsigned bits = q->header.cluster_bits;
	unsigned char raw[QCOW2_ENTRY_SIZE];
	struct qcow2_clusters c;
	bool fresh;
	int r = qcow2_alloc_prepare(q->alloc, 1, e);

	if (r == 0)
		r = qcow2_alloc_take(q->alloc, 1, true, &c, &fresh, e);
	if (r < 0)
		return r;
	*table = c.first << bits;
	if (old)
		r = copy_table(q, old, *table, e);
	else
		r = meta_zero(q->io, q->cluster_size, *table, ORDER_TABLES, e);
	store_be64(raw, *table | QCOW2_COPIED);
	if (r == 0)
		r = meta_write(
			q->io, raw, sizeof raw, v->l1_pos + i * sizeof raw, ORDER_TABLES_ROOT, e);
	if (r < 0) /* some of it will be written: it can be used after that */
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
	err_set(e, EUCLEAN, "L2 table at 0x%" PRIx64 ": not referred to once, as its flag says",
		*table);
	return err_hint(e, "vdisk check -r all mends refcounts");
}
