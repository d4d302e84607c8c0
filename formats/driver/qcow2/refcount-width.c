/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refcount-width.c - refcounts of another width.
 *
 * The new blocks and their table are written after the end of the file, to clusters that nothing
 * counts yet; then the header, in one sector, points to them.  They count the clusters of the old
 * blocks and table as free.
 */
#include "refcount-width.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "io/meta.h"
#include "io/writeback.h"
#include "view/writer.h"
#include "alloc.h"
#include "head.h"
#include "qcow2.h"

struct widening {
	struct qcow2 *q;
	struct qcow2 new; /* a copy of q with the new width, to store refcounts */
	uint64_t first;   /* of the new clusters: blocks, then the table */
	uint64_t nblocks, ntable;
	unsigned char *block;
};

/* How many blocks and clusters of the table count the first clusters and themselves. */
static void plan(struct widening *w)
{
	uint64_t per_block = UINT64_C(1) << qcow2_block_bits(&w->new);
	uint64_t per_table = w->q->cluster_size / QCOW2_ENTRY_SIZE, n;

	w->first = div_round_up(w->q->io->size, w->q->cluster_size);
	w->nblocks = w->ntable = 0;
	do {
		n = w->nblocks + w->ntable;
		w->nblocks = div_round_up(w->first + n, per_block);
		w->ntable = div_round_up(w->nblocks, per_table);
	} while (w->nblocks + w->ntable != n);
}

/* Does each refcount fit? */
static int check_counts(const struct widening *w, struct err *e)
{
	const struct qcow2 *q = w->q;
	uint64_t count, n;
	int r = 0;

	for (uint64_t c = 0; r == 0 && c < w->first; c += n) {
		r = qcow2_refcount_get(q->alloc, c, w->first - c, &count, &n, e);
		if (r == 0 && count > qcow2_refcount_max(&w->new))
			return err_set(e, ERANGE,
				"Cannot decrease refcount entry width to %u bits: Cluster at "
				"offset 0x%" PRIx64 " has a refcount of %" PRIu64,
				1u << w->new.header.refcount_order, c << q->header.cluster_bits,
				count);
	}
	return r;
}

/* Does the cluster belong to the old table, which is free in the end? */
static bool is_old(const struct widening *w, uint64_t cluster)
{
	const struct qcow2 *q = w->q;
	const struct qcow2_reftable *t = q->alloc->table;
	uint64_t first = t->pos >> q->header.cluster_bits;

	return cluster >= first &&
	       cluster - first < div_round_up(t->entries * QCOW2_ENTRY_SIZE, q->cluster_size);
}

/* The refcounts of old blocks become 0 in the new blocks. */
static int forget_old(const struct widening *w, uint64_t first, uint64_t n, struct err *e)
{
	const struct qcow2 *q = w->q;
	const struct qcow2_reftable *t = q->alloc->table;
	unsigned char buf[META_PAGE];
	int r = 0;

	for (uint64_t i = 0, k; r == 0 && i < t->entries; i += k) {
		k = MIN(t->entries - i, sizeof buf / QCOW2_ENTRY_SIZE);
		r = meta_read(q->cache, q->io, buf, k * QCOW2_ENTRY_SIZE,
			t->pos + i * QCOW2_ENTRY_SIZE, e);
		for (uint64_t j = 0; r == 0 && j < k; j++) {
			uint64_t at =
				load_be64(buf + j * QCOW2_ENTRY_SIZE) >> q->header.cluster_bits;

			if (at != 0 && at >= first && at - first < n)
				qcow2_refcount_store(&w->new, w->block, at - first, 0);
		}
	}
	return r;
}

/* Copies the refcounts of the clusters that block number i counts. */
static int fill_block(const struct widening *w, uint64_t i, struct err *e)
{
	uint64_t per_block = UINT64_C(1) << qcow2_block_bits(&w->new);
	uint64_t first = i * per_block, end = first + per_block, count, n;
	uint64_t ours_end = w->first + w->nblocks + w->ntable;
	int r = 0;

	for (uint64_t c = first; r == 0 && c < MIN(end, w->first); c += n) {
		r = qcow2_refcount_get(w->q->alloc, c, MIN(end, w->first) - c, &count, &n, e);
		for (uint64_t k = 0; r == 0 && k < n; k++)
			qcow2_refcount_store(
				&w->new, w->block, c + k - first, is_old(w, c + k) ? 0 : count);
	}
	if (r == 0)
		r = forget_old(w, first, per_block, e);
	for (uint64_t c = MAX(first, w->first); r == 0 && c < MIN(end, ours_end); c++)
		qcow2_refcount_store(&w->new, w->block, c - first, 1);
	return r;
}

static int write_cluster(const struct widening *w, uint64_t cluster, struct err *e)
{
	const struct qcow2 *q = w->q;

	struct writer *writer = q->alloc->writer;
	int r = meta_write(q->io, w->block, q->cluster_size, cluster << q->header.cluster_bits,
		ORDER_COUNTS, e);

	return r == 0 && writer_is_full(writer) ? writer_write_back(writer, e) : r;
}

static int write_all(const struct widening *w, struct err *e)
{
	const struct qcow2 *q = w->q;
	uint64_t per_table = q->cluster_size / QCOW2_ENTRY_SIZE;
	uint64_t end = w->first + w->nblocks + w->ntable;
	int r = io_resize(q->io, end << q->header.cluster_bits, e);

	for (uint64_t i = 0; r == 0 && i < w->nblocks; i++) {
		memset(w->block, 0, q->cluster_size);
		r = fill_block(w, i, e);
		if (r == 0)
			r = write_cluster(w, w->first + i, e);
	}
	for (uint64_t i = 0; r == 0 && i < w->ntable; i++) {
		memset(w->block, 0, q->cluster_size);
		for (uint64_t k = 0; k < per_table && i * per_table + k < w->nblocks; k++)
			store_be64(w->block + k * QCOW2_ENTRY_SIZE,
				(w->first + i * per_table + k) << q->header.cluster_bits);
		r = write_cluster(w, w->first + w->nblocks + i, e);
	}
	return r;
}

/* Makes the header point to the new table. */
static int switch_to(struct widening *w, struct err *e)
{
	struct qcow2 *q = w->q;
	struct qcow2_alloc *a = q->alloc;
	struct qcow2_reftable *t = calloc(1, sizeof *t);
	struct qcow2_header h = q->header;
	int r;

	if (!t)
		return err_nomem(e);
	t->pos = (w->first + w->nblocks) << h.cluster_bits;
	t->entries = w->ntable * q->cluster_size / QCOW2_ENTRY_SIZE;
	t->before = a->table;
	h.reftable_pos = t->pos;
	h.reftable_clusters = w->ntable;
	h.refcount_order = w->new.header.refcount_order;
	r = qcow2_head_write(q, &h, e);
	if (r < 0) {
		free(t);
		return r;
	}
	a->table = t;
	a->next = 1;
	a->compressed_end = 0;
	qcow2_range_set(q, "refcount table", t->pos, t->entries * QCOW2_ENTRY_SIZE);
	qcow2_range_set(q, "refcount block", w->first << h.cluster_bits, q->cluster_size);
	return qcow2_alloc_flush(a, e);
}

int qcow2_refcount_set_width(struct qcow2 *q, unsigned order, struct err *e)
{
	struct widening w = {.q = q, .new = *q};
	int r = qcow2_alloc_flush(q->alloc, e);

	if (r < 0)
		return r;
	w.new.header.refcount_order = order;
	w.block = malloc(q->cluster_size);
	if (!w.block)
		return err_nomem(e);
	plan(&w);
	if (w.ntable * q->cluster_size > QCOW2_MAX_REFTABLE_BYTES)
		r = err_set(e, EFBIG, "the refcount table would have more than %u bytes",
			QCOW2_MAX_REFTABLE_BYTES);
	if (r == 0)
		r = check_counts(&w, e);
	if (r == 0)
		r = write_all(&w, e);
	if (r == 0)
		r = switch_to(&w, e);
	free(w.block);
	return r;
}
