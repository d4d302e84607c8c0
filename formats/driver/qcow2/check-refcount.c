/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check-refcount.c - refcounts as the file has them, however damaged they are. */
#include "check-refcount.h"

#include "util/err.h"
#include "refcount.h"

uint64_t qcow2_check_refcount_block(const struct qcow2_check *c, uint64_t i)
{
	return i < c->nreftable ? c->reftable[i] & QCOW2_REFTABLE_OFFSET : 0;
}

/* Beyond the end of the file a block reads as zeroes, as in QEMU. */
bool qcow2_check_refcount_readable(const struct qcow2_check *c, uint64_t pos)
{
	return qcow2_in_cluster(c->q, pos) == 0 && pos <= (uint64_t)INT64_MAX - c->q->cluster_size;
}

void qcow2_check_refcount_end(struct qcow2_lookup *l)
{
	if (l->m.block)
		meta_unpin(l->c->q->cache, &l->m);
	l->m.block = NULL;
}

int qcow2_check_refcount_lookup(
	struct qcow2_lookup *l, uint64_t cluster, uint64_t *count, struct err *e)
{
	const struct qcow2 *q = l->c->q;
	unsigned order = q->header.refcount_order;
	uint64_t pos = qcow2_check_refcount_block(l->c, cluster >> qcow2_block_bits(q));
	uint64_t i = cluster & ((UINT64_C(1) << qcow2_block_bits(q)) - 1);
	uint64_t at = pos + (i << order) / 8, page = at & ~(uint64_t)(META_PAGE - 1);
	struct meta m;

	*count = 0;
	if (pos == 0)
		return 1;
	if (!qcow2_check_refcount_readable(l->c, pos))
		return 0;
	if (!l->m.block || l->page != page) {
		qcow2_check_refcount_end(l);
		if (meta_pin(q->cache, q->io, page, &m, e) < 0)
			return -e->code;
		l->m = m;
		l->page = page;
	}
	*count = qcow2_refcount_load(
		q, l->m.p + (at - page), order < 3 ? i & ((8u >> order) - 1) : 0);
	return 1;
}
