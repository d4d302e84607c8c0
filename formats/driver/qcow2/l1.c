/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* l1.c - L1 tables: checked, looked up, allocated for the live disk or a snapshot, and replaced. */
#include "l1.h"

#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/writer.h"
#include "alloc.h"

int qcow2_l1_check_shape(const struct qcow2 *q, uint64_t pos, uint32_t entries, struct err *e)
{
	if ((uint64_t)entries * QCOW2_ENTRY_SIZE > QCOW2_MAX_L1_BYTES)
		return err_set(e, EFBIG, "L1 table: %" PRIu32 " entries are more than %u", entries,
			QCOW2_MAX_L1_BYTES / QCOW2_ENTRY_SIZE);
	if (qcow2_in_cluster(q, pos))
		return err_set(e, EINVAL,
			"L1 table: offset 0x%" PRIx64 " is not a multiple of %" PRIu32, pos,
			q->cluster_size);
	return 0;
}

int qcow2_l1_check_place(const struct qcow2 *q, uint64_t pos, uint32_t entries, struct err *e)
{
	uint64_t len = (uint64_t)entries * QCOW2_ENTRY_SIZE;
	const struct qcow2_range *hit;

	if (len == 0)
		return 0;
	if (!range_fits(pos, len, q->io->size))
		return err_set(e, EINVAL,
			"L1 table: %" PRIu32 " entries at 0x%" PRIx64
			" pass the end of the file, 0x%" PRIx64,
			entries, pos, q->io->size);
	hit = qcow2_range_hit(q, pos, len);
	if (hit)
		return err_set(
			e, EINVAL, "L1 table: offset 0x%" PRIx64 " is in the %s", pos, hit->what);
	return 0;
}

int qcow2_l1_check(const struct qcow2 *q, uint64_t pos, uint32_t entries, struct err *e)
{
	int r = qcow2_l1_check_shape(q, pos, entries, e);

	return r == 0 ? qcow2_l1_check_place(q, pos, entries, e) : r;
}

int qcow2_l1_decode(const struct qcow2 *q, uint64_t entry, uint64_t *table, struct err *e)
{
	const struct qcow2_range *hit;

	*table = entry & QCOW2_OFFSET;
	if (entry == 0)
		return 0;
	if (entry & QCOW2_L1_RESERVED)
		return err_set(e, EUCLEAN, "reserved bits are set in 0x%016" PRIx64, entry);
	if (qcow2_in_cluster(q, *table))
		return err_set(e, EUCLEAN,
			"L2 table at 0x%" PRIx64 ", not at a multiple of %" PRIu32, *table,
			q->cluster_size);
	hit = qcow2_range_hit(q, *table, q->cluster_size);
	if (hit)
		return err_set(e, EUCLEAN, "L2 table at 0x%" PRIx64 ", where the %s is", *table,
			hit->what);
	/* A table that is cut off would read as "not allocated" in its second half. */
	if (!range_fits(*table, q->cluster_size, q->io->size))
		return err_set(e, EIO,
			"L2 table at 0x%" PRIx64 ", past the end of the file, 0x%" PRIx64, *table,
			q->io->size);
	return 0;
}

int qcow2_l1_lookup(const struct qcow2_view *v, uint64_t off, uint64_t *entry, uint64_t *table,
	uint64_t *len, struct err *e)
{
	const struct qcow2 *q = v->q;
	unsigned bits = qcow2_l1_bits(q);
	uint64_t i = off >> bits, skip = off & ((UINT64_C(1) << bits) - 1), n = 0, max;
	struct meta m;
	int r;

	*entry = *table = 0;
	*len = UINT64_MAX;
	if (i >= v->l1_size) /* the table of a snapshot may be shorter than its disk */
		return 0;
	r = meta_pin(q->cache, q->io, v->l1_pos + i * QCOW2_ENTRY_SIZE, &m, e);
	if (r < 0)
		return r;
	max = MIN(m.n / QCOW2_ENTRY_SIZE, v->l1_size - i);
	while (n < max && load_be64(m.p + n * QCOW2_ENTRY_SIZE) == 0)
		n++;
	if (n == 0) {
		n = 1;
		*entry = load_be64(m.p);
		r = qcow2_l1_decode(q, *entry, table, e);
	}
	meta_unpin(q->cache, &m);
	*len = (n << bits) - skip;
	return r < 0 ? err_in(e, "L1 entry %" PRIu64, i) : 0;
}

int qcow2_l1_copy_entries(const struct qcow2 *q, uint64_t from, uint64_t to, uint64_t len,
	uint32_t size, uint64_t mask, enum write_order order, struct err *e)
{
	unsigned char buf[META_PAGE];
	int r = 0;

	for (uint64_t at = 0, n; r == 0 && at < len; at += n) {
		n = MIN(len - at, sizeof buf);
		r = meta_read(q->cache, q->io, buf, n, from + at, e);
		for (uint64_t i = 0; r == 0 && i < n; i += size)
			store_be64(buf + i, load_be64(buf + i) & mask);
		if (r == 0)
			r = meta_write(q->io, buf, n, to + at, order, e);
	}
	return r;
}

static uint64_t clusters_of(const struct qcow2 *q, struct qcow2_l1 l1)
{
	return div_round_up((uint64_t)l1.entries * QCOW2_ENTRY_SIZE, q->cluster_size);
}

void qcow2_l1_drop(struct qcow2 *q, struct qcow2_l1 l1)
{
	qcow2_alloc_drop(q->alloc, l1.pos >> q->header.cluster_bits, clusters_of(q, l1));
}

int qcow2_l1_make(struct qcow2 *q, struct qcow2_l1 from, uint64_t mask, uint32_t entries,
	struct qcow2_l1 *to, struct err *e)
{
	struct qcow2_clusters c = {.n = 0};
	int r = qcow2_alloc_prepare(q->alloc, 2, e);

	*to = (struct qcow2_l1){.entries = entries};
	if (r == 0 && entries > 0)
		r = qcow2_alloc_take(q->alloc, clusters_of(q, *to), true, &c, NULL, e);
	if (r < 0)
		return r;
	to->pos = c.first << q->header.cluster_bits;
	r = meta_zero(q->io, c.n << q->header.cluster_bits, to->pos, ORDER_TABLES_ROOT, e);
	if (r == 0)
		r = qcow2_l1_copy_entries(q, from.pos, to->pos,
			(uint64_t)from.entries * QCOW2_ENTRY_SIZE, QCOW2_ENTRY_SIZE, mask,
			ORDER_TABLES_ROOT, e);
	if (r < 0)
		qcow2_l1_drop(q, *to);
	return r;
}

int qcow2_l1_switch(struct qcow2_view *v, struct qcow2_l1 to, struct err *e)
{
	struct qcow2 *q = v->q;
	struct qcow2_header *h = &q->header;
	unsigned char raw[12];
	int r;

	store_be32(raw, to.entries);
	store_be64(raw + 4, to.pos);
	r = meta_write(q->io, raw, sizeof raw, QCOW2_AT_L1, ORDER_HEADER, e);
	if (r < 0)
		return r;
	qcow2_l1_drop(q, qcow2_l1_of(v));
	qcow2_range_set(q, "L1 table", to.pos, (uint64_t)to.entries * QCOW2_ENTRY_SIZE);
	v->l1_pos = h->l1_pos = to.pos;
	v->l1_size = h->l1_size = to.entries;
	return writer_write_back(q->alloc->writer, e);
}
