/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* l1.c - another L1 table for the live disk, or one more for a snapshot. */
#include <errno.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "write.h"
#include "qcow2.h"
#include "io/writeback.h"
#include "view/writer.h"

static int copy(
	const struct qcow2 *q, struct qcow2_l1 from, uint64_t to, uint64_t mask, struct err *e)
{
	unsigned char buf[META_PAGE];
	int r = 0;

	for (uint64_t i = 0, n, at; r == 0 && i < from.entries; i += n) {
		n = MIN(from.entries - i, sizeof buf / QCOW2_ENTRY_SIZE);
		at = i * QCOW2_ENTRY_SIZE;
		r = meta_read(q->cache, q->io, buf, n * QCOW2_ENTRY_SIZE, from.pos + at, e);
		for (unsigned char *p = buf; r == 0 && p < buf + n * QCOW2_ENTRY_SIZE;
			p += QCOW2_ENTRY_SIZE)
			store_be64(p, load_be64(p) & mask);
		if (r == 0)
			r = meta_write(
				q->io, buf, n * QCOW2_ENTRY_SIZE, to + at, ORDER_TABLES_ROOT, e);
	}
	return r;
}

static uint64_t clusters_of(const struct qcow2 *q, struct qcow2_l1 l1)
{
	return div_round_up((uint64_t)l1.entries * QCOW2_ENTRY_SIZE, q->cluster_size);
}

void qcow2_l1_drop(struct qcow2 *q, struct qcow2_l1 l1)
{
	if (l1.entries > 0)
		qcow2_alloc_drop(q->alloc, l1.pos >> q->header.cluster_bits, clusters_of(q, l1));
}

int qcow2_l1_make(struct qcow2 *q, struct qcow2_l1 from, uint64_t mask, uint32_t entries,
	struct qcow2_l1 *to, struct err *e)
{
	struct qcow2_clusters c = {.n = 0};
	bool fresh;
	int r = qcow2_alloc_prepare(q->alloc, 2, e);

	*to = (struct qcow2_l1){.entries = entries};
	if (r == 0 && entries > 0)
		r = qcow2_alloc_take(q->alloc, clusters_of(q, *to), true, &c, &fresh, e);
	if (r < 0)
		return r;
	to->pos = c.first << q->header.cluster_bits;
	r = meta_zero(q->io, c.n << q->header.cluster_bits, to->pos, ORDER_TABLES_ROOT, e);
	if (r == 0)
		r = copy(q, from, to->pos, mask, e);
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
