/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitmap-bits.c - the bits of a persistent bitmap in the file. */
#include "bitmap-bits.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "io/meta.h"
#include "io/writeback.h"
#include "view/writer.h"
#include "alloc.h"
#include "bitmap-directory.h"
#include "l1.h"
#include "qcow2.h"

/* A cluster of bits: at pos, or if that is 0, all bits are 0, or 1 if ones. */
struct part {
	uint64_t pos;
	bool ones;
};

static int read_part(const struct qcow2 *q, const struct qcow2_bitmap *b, uint64_t i,
	struct part *part, struct err *e)
{
	unsigned char raw[QCOW2_ENTRY_SIZE];
	uint64_t entry;
	int r = meta_read(q->cache, q->io, raw, sizeof raw, b->table_pos + i * sizeof raw, e);

	if (r < 0)
		return r;
	entry = load_be64(raw);
	*part = (struct part){.pos = entry & QCOW2_OFFSET, .ones = entry & QCOW2_BITMAP_ONES};
	if (entry & (QCOW2_BITMAP_RESERVED | (part->pos ? QCOW2_BITMAP_ONES : 0)) ||
		(part->pos && (qcow2_in_cluster(q, part->pos) ||
				      !range_fits(part->pos, q->cluster_size, q->io->size))))
		return err_set(
			e, EUCLEAN, "entry %" PRIu64 " of its table is 0x%016" PRIx64, i, entry);
	return 0;
}

static int write_part(const struct qcow2 *q, const struct qcow2_bitmap *b, uint64_t i,
	uint64_t entry, struct err *e)
{
	unsigned char raw[QCOW2_ENTRY_SIZE];

	store_be64(raw, entry);
	return meta_write(q->io, raw, sizeof raw, b->table_pos + i * sizeof raw, ORDER_TABLES, e);
}

static int write_back_if_full(const struct qcow2 *q, struct err *e)
{
	struct writer *w = q->alloc->writer;

	return writer_is_full(w) ? writer_write_back(w, e) : 0;
}

/* Gives the i-th cluster of bits a place in the file, with the bits that it has. */
static int store_part(const struct qcow2 *q, const struct qcow2_bitmap *b, uint64_t i,
	struct part *part, struct err *e)
{
	unsigned char page[META_PAGE];
	struct qcow2_clusters c;
	int r;

	if (part->pos) {
		if (qcow2_refcount_is_one(q->alloc, part->pos >> q->header.cluster_bits, 1))
			return 0;
		return err_set(e, EUCLEAN, "its cluster at 0x%" PRIx64 " is used otherwise, too",
			part->pos);
	}
	r = qcow2_alloc_prepare(q->alloc, 1, e);
	if (r == 0)
		r = qcow2_alloc_take(q->alloc, 1, true, &c, NULL, e);
	if (r < 0)
		return r;
	part->pos = c.first << q->header.cluster_bits;
	memset(page, part->ones ? 0xff : 0, sizeof page);
	for (uint64_t at = 0, n; r == 0 && at < q->cluster_size; at += n) {
		n = MIN(sizeof page, q->cluster_size - at);
		r = meta_write(q->io, page, n, part->pos + at, ORDER_TABLES, e);
	}
	if (r == 0)
		r = write_part(q, b, i, part->pos, e);
	if (r < 0) /* a part of it may be written yet */
		qcow2_alloc_drop(q->alloc, c.first, 1);
	part->ones = false;
	return r;
}

static bool any_set(const atomic_uchar *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (atomic_load_explicit(&p[i], memory_order_relaxed))
			return true;
	return false;
}

/* Sets the bits of one cluster, len bytes. */
static int add_to_part(const struct qcow2 *q, const struct qcow2_bitmap *b, uint64_t i,
	const atomic_uchar *added, uint64_t len, struct err *e)
{
	unsigned char page[META_PAGE];
	struct part part;
	int r = read_part(q, b, i, &part, e);

	if (r < 0 || part.ones)
		return r;
	r = store_part(q, b, i, &part, e);
	for (uint64_t at = 0, n; r == 0 && at < len; at += n) {
		n = MIN(sizeof page, len - at);
		if (!any_set(added + at, n))
			continue;
		r = meta_read(q->cache, q->io, page, n, part.pos + at, e);
		for (uint64_t k = 0; k < n; k++)
			page[k] |= added[at + k];
		if (r == 0)
			r = meta_write(q->io, page, n, part.pos + at, ORDER_TABLES, e);
	}
	return r == 0 ? write_back_if_full(q, e) : r;
}

int qcow2_bits_add(const struct qcow2 *q, const struct qcow2_bitmap *b, const atomic_uchar *added,
	uint64_t bytes, struct err *e)
{
	int r = 0;

	for (uint64_t at = 0, n; r == 0 && at < bytes; at += n) {
		n = MIN(q->cluster_size, bytes - at);
		if (any_set(added + at, n))
			r = add_to_part(q, b, at / q->cluster_size, added + at, n, e);
	}
	return r;
}

int qcow2_bits_read(const struct qcow2 *q, const struct qcow2_bitmap *b, uint64_t at,
	unsigned char *bits, uint64_t len, struct err *e)
{
	struct part part;
	int r = read_part(q, b, at / q->cluster_size, &part, e);

	if (r < 0)
		return r;
	if (part.pos)
		return meta_read(q->cache, q->io, bits, len, part.pos + qcow2_in_cluster(q, at), e);
	memset(bits, part.ones ? 0xff : 0, len);
	return 0;
}

/* Clears the bits of the i-th cluster of bits from bit number first on. */
static int clear_rest(const struct qcow2 *q, const struct qcow2_bitmap *b, uint64_t i,
	uint64_t first, struct err *e)
{
	uint64_t at = first / 8;
	unsigned char byte;
	struct part part;
	int r = read_part(q, b, i, &part, e);

	if (r < 0 || (!part.pos && !part.ones))
		return r;
	r = store_part(q, b, i, &part, e);
	if (r == 0)
		r = meta_read(q->cache, q->io, &byte, 1, part.pos + at, e);
	if (r < 0)
		return r;
	byte &= (1u << first % 8) - 1;
	r = meta_write(q->io, &byte, 1, part.pos + at, ORDER_TABLES, e);
	if (r == 0 && at + 1 < q->cluster_size)
		r = meta_zero(q->io, q->cluster_size - at - 1, part.pos + at + 1, ORDER_TABLES, e);
	return r;
}

/* Drops the clusters of bits from the i-th on. */
static int drop_from(struct qcow2 *q, const struct qcow2_bitmap *b, uint64_t i, struct err *e)
{
	struct part part;
	int r = 0;

	for (; r == 0 && i < b->table_entries; i++) {
		r = read_part(q, b, i, &part, e);
		if (r == 0 && part.pos)
			r = qcow2_alloc_prepare(q->alloc, 1, e);
		if (r == 0 && part.pos)
			qcow2_alloc_drop(q->alloc, part.pos >> q->header.cluster_bits, 1);
	}
	return r;
}

static uint64_t table_clusters(const struct qcow2 *q, uint64_t entries)
{
	return div_round_up(entries * QCOW2_ENTRY_SIZE, q->cluster_size);
}

/* Moves the first n entries of the table to a new one of so many entries. */
static int move_table(
	struct qcow2 *q, struct qcow2_bitmap *b, uint64_t n, uint64_t entries, struct err *e)
{
	uint64_t had = table_clusters(q, b->table_entries), need = table_clusters(q, entries);
	uint64_t old = b->table_pos, pos = old, len = n * QCOW2_ENTRY_SIZE;
	struct qcow2_clusters c = {0};
	int r = qcow2_alloc_prepare(q->alloc, 2, e);

	if (r == 0 && had != need && need > 0)
		r = qcow2_alloc_take(q->alloc, need, true, &c, NULL, e);
	if (r < 0)
		return r;
	if (had != need) {
		pos = c.first << q->header.cluster_bits;
		r = qcow2_l1_copy_entries(
			q, old, pos, len, QCOW2_ENTRY_SIZE, UINT64_MAX, ORDER_TABLES, e);
	}
	if (r == 0 && need > 0)
		r = meta_zero(q->io, need * q->cluster_size - len, pos + len, ORDER_TABLES, e);
	if (r < 0) {
		qcow2_alloc_drop(q->alloc, c.first, c.n);
		return r;
	}
	if (had != need)
		qcow2_alloc_drop(q->alloc, old >> q->header.cluster_bits, had);
	b->table_pos = pos;
	b->table_entries = entries;
	return 0;
}

int qcow2_bits_resize(struct qcow2 *q, struct qcow2_bitmap *b, uint64_t old, struct err *e)
{
	uint64_t size = q->header.size, per_cluster = (uint64_t)q->cluster_size * 8;
	uint64_t bits = qcow2_bitmap_bits(b->granularity, MIN(old, size));
	uint64_t entries = qcow2_bitmap_table_entries(q, b->granularity, size);
	uint64_t keep = div_round_up(bits, per_cluster);
	int r = 0;

	if (entries * QCOW2_ENTRY_SIZE > QCOW2_MAX_BITMAP_TABLE)
		return err_set(e, EFBIG,
			"it would need a table of %" PRIu64 " entries, more than %u", entries,
			QCOW2_MAX_BITMAP_TABLE / QCOW2_ENTRY_SIZE);
	if (bits % per_cluster)
		r = clear_rest(q, b, keep - 1, bits % per_cluster, e);
	if (r == 0)
		r = drop_from(q, b, keep, e);
	return r == 0 ? move_table(q, b, MIN(keep, entries), entries, e) : r;
}

int qcow2_bits_make_table(struct qcow2 *q, uint64_t entries, uint64_t *pos, struct err *e)
{
	uint64_t n = table_clusters(q, entries);
	struct qcow2_clusters c;
	int r = qcow2_alloc_prepare(q->alloc, 1, e);

	if (r == 0)
		r = qcow2_alloc_take(q->alloc, n, true, &c, NULL, e);
	if (r < 0)
		return r;
	*pos = c.first << q->header.cluster_bits;
	r = meta_zero(q->io, n * q->cluster_size, *pos, ORDER_TABLES, e);
	if (r < 0)
		qcow2_alloc_drop(q->alloc, c.first, c.n);
	return r;
}

int qcow2_bits_put(const struct qcow2 *q, const struct qcow2_bitmap *b, uint64_t i,
	const unsigned char *bits, struct err *e)
{
	struct part part = {.pos = 0};
	int r = store_part(q, b, i, &part, e);

	if (r == 0)
		r = meta_write(q->io, bits, q->cluster_size, part.pos, ORDER_TABLES, e);
	return r == 0 ? write_back_if_full(q, e) : r;
}

int qcow2_bits_drop(struct qcow2 *q, const struct qcow2_bitmap *b, struct err *e)
{
	int r = drop_from(q, b, 0, e);

	if (r == 0)
		r = qcow2_alloc_prepare(q->alloc, 1, e);
	if (r == 0)
		qcow2_alloc_drop(q->alloc, b->table_pos >> q->header.cluster_bits,
			table_clusters(q, b->table_entries));
	return r;
}
