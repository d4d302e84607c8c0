/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alloc.c - clusters allocated and freed.
 *
 * A cluster is free when its refcount is 0.  The search reads the refcounts themselves, from the
 * lowest cluster that may be free on.
 */
#include "alloc.h"

#include <errno.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/writer.h"
#include "l1.h"

#define SPARE     8     /* runs: old refcount tables that an operation drops besides its own */
#define FREED_MAX 65536 /* runs that wait to be released before a long operation flushes */

struct qcow2_alloc *qcow2_alloc_new(struct qcow2 *q, struct writer *w, struct err *e)
{
	const struct qcow2_header *h = &q->header;
	struct qcow2_alloc *a = calloc(1, sizeof *a);
	struct qcow2_reftable *t = calloc(1, sizeof *t);

	if (!a || !t) {
		free(a);
		free(t);
		err_nomem(e);
		return NULL;
	}
	t->pos = h->reftable_pos;
	t->entries = ((uint64_t)h->reftable_clusters << h->cluster_bits) / QCOW2_ENTRY_SIZE;
	*a = (struct qcow2_alloc){.q = q, .writer = w, .table = t, .next = 1};
	return a;
}

static void free_tables(struct qcow2_reftable *t)
{
	for (struct qcow2_reftable *before; t; t = before) {
		before = t->before;
		free(t);
	}
}

void qcow2_alloc_free(struct qcow2_alloc *a)
{
	if (!a)
		return;
	free_tables(a->table);
	freed_end(&a->freed);
	free(a);
}

/* Finds want free clusters that follow each other, or unless whole, up to as many. */
static int find_free(const struct qcow2_alloc *a, uint64_t want, bool whole,
	struct qcow2_clusters *c, struct err *e)
{
	uint64_t count = 0, n;

	*c = (struct qcow2_clusters){.first = a->next};
	while (c->n < want) {
		/* Used clusters are skipped by the page, free ones are not counted to its end. */
		uint64_t at = c->first + c->n, max = count > 0 ? UINT64_MAX : want - c->n;
		int r = qcow2_refcount_get(a, at, max, &count, &n, e);

		if (r < 0)
			return r;
		if (count == 0)
			c->n += n;
		else if (c->n > 0 && !whole)
			break;
		else
			*c = (struct qcow2_clusters){.first = at + n};
	}
	c->n = MIN(c->n, want);
	return 0;
}

/* Adds the first refcount block that the clusters lack, or unless whole, shortens c to the clusters
 * before it. */
static int add_block(
	struct qcow2_alloc *a, struct qcow2_clusters *c, bool whole, bool *added, struct err *e)
{
	uint64_t per_block = UINT64_C(1) << qcow2_block_bits(a->q), at = c->first;
	struct qcow2_clusters old;
	bool exists = true;
	int r = 0;

	for (; r == 0 && at < c->first + c->n; at = (at / per_block + 1) * per_block) {
		r = qcow2_refcount_has_block(a, at, &exists, e);
		if (!exists)
			break;
	}
	*added = false;
	if (r < 0 || exists)
		return r;
	if (!whole && at > c->first) {
		c->n = at - c->first;
		return 0;
	}
	*added = true;
	r = qcow2_alloc_prepare(a, 1, e);
	if (r < 0)
		return r;
	/* A block takes one of the clusters that it counts, so this many need several. */
	r = qcow2_refcount_make_blocks(a, at, whole && c->n >= per_block ? c->n : 0, &old, e);
	qcow2_alloc_drop(a, old.first, old.n);
	return r;
}

int qcow2_alloc_take(struct qcow2_alloc *a, uint64_t want, bool whole, struct qcow2_clusters *got,
	bool *reads_zero, struct err *e)
{
	struct io *io = a->q->io;
	unsigned bits = a->q->header.cluster_bits;
	uint64_t end;
	bool added = true;
	int r = 0;

	/* A new block may take the clusters that were found. */
	while (r == 0 && added) {
		r = find_free(a, want, whole, got, e);
		if (r == 0 && got->first + got->n > (QCOW2_OFFSET >> bits))
			r = err_set(e, EFBIG, "a file cannot have more than 2^56 bytes");
		if (r == 0)
			r = add_block(a, got, whole, &added, e);
	}
	if (r < 0)
		return r;
	end = (got->first + got->n) << bits;
	if (reads_zero)
		*reads_zero = got->first << bits >= io->size;
	if (end > io->size)
		r = io_resize(io, end, e);
	if (r == 0)
		r = qcow2_refcount_add(a, got->first, got->n, 1, e);
	if (r == 0 && (!whole || got->first == a->next))
		a->next = got->first + got->n;
	return r;
}

void qcow2_alloc_cancel(struct qcow2_alloc *a, struct qcow2_clusters c)
{
	struct err ignored = ERR_INIT;

	if (qcow2_refcount_add(a, c.first, c.n, -1, &ignored) == 0)
		a->next = MIN(a->next, c.first);
}

int qcow2_alloc_compressed(struct qcow2_alloc *a, uint32_t len, uint64_t *pos, struct err *e)
{
	uint32_t size = a->q->cluster_size, bits = a->q->header.cluster_bits;
	uint64_t end = a->compressed_end, last = end >> bits, count = 0, n;
	struct qcow2_clusters c;
	bool shared;
	int r = end ? qcow2_refcount_get(a, last, 1, &count, &n, e) : 0;

	if (r < 0)
		return r;
	/* Can the cluster of the last compressed one have one more? */
	shared = end != 0 && count < qcow2_refcount_max(a->q);
	*pos = end;
	if (shared && len <= size - end % size) {
		r = qcow2_refcount_add(a, last, 1, 1, e);
	} else {
		r = qcow2_alloc_take(a, 1, true, &c, NULL, e);
		if (r < 0)
			return r;
		if (!shared || c.first != last + 1)
			*pos = c.first << bits;
		else
			r = qcow2_refcount_add(a, last, 1, 1, e);
		if (r < 0)
			qcow2_alloc_cancel(a, c);
	}
	if (r == 0)
		a->compressed_end = (*pos + len) % size ? *pos + len : 0;
	return r;
}

void qcow2_alloc_cancel_compressed(struct qcow2_alloc *a, uint64_t pos, uint32_t len)
{
	qcow2_alloc_cancel(a, (struct qcow2_clusters){.first = pos >> a->q->header.cluster_bits,
				      .n = qcow2_clusters_of(a->q, pos, len)});
	a->compressed_end = 0;
}

int qcow2_alloc_prepare(struct qcow2_alloc *a, size_t n, struct err *e)
{
	return freed_prepare(&a->freed, n + SPARE, e);
}

void qcow2_alloc_drop(struct qcow2_alloc *a, uint64_t first, uint64_t n)
{
	if (n > 0)
		freed_add(&a->freed, first, n);
}

int qcow2_alloc_flush(struct qcow2_alloc *a, struct err *e)
{
	struct view *v = a->writer->view;
	int r = writer_write_back(a->writer, e);

	return r == 0 && qcow2_alloc_durable(v) ? qcow2_alloc_release_freed(v, e) : r;
}

int qcow2_alloc_flush_if_full(struct qcow2_alloc *a, struct err *e)
{
	if (a->freed.n < FREED_MAX &&
		writeback_pending(a->writer->writeback) < a->writer->pending_max)
		return 0;
	return qcow2_alloc_flush(a, e);
}

bool qcow2_alloc_durable(struct view *v)
{
	return freed_set_durable(&((struct qcow2_view *)v)->q->alloc->freed);
}

/* Takes one reference from each cluster, and discards those that have no other. */
static int release(void *arg, struct freed_run run, struct err *e)
{
	struct qcow2_alloc *a = arg;
	struct io *io = a->q->io;
	unsigned bits = a->q->header.cluster_bits;
	int r = qcow2_refcount_add(a, run.first, run.n, -1, e);

	if (r < 0)
		return r;
	for (uint64_t count, n; run.n > 0; run.first += n, run.n -= n) {
		uint64_t pos = run.first << bits;

		r = qcow2_refcount_get(a, run.first, run.n, &count, &n, e);
		if (r < 0)
			return r;
		if (count > 0)
			continue;
		if (pos < io->size) /* the last cluster of a block device need not be whole */
			io_discard(io, pos, MIN(n << bits, io->size - pos));
		a->next = MIN(a->next, run.first);
	}
	return 0;
}

int qcow2_alloc_release_freed(struct view *v, struct err *e)
{
	struct qcow2 *q = ((struct qcow2_view *)v)->q;
	struct qcow2_alloc *a = q->alloc;
	struct qcow2_reftable *t = a->table;

	/* No reader is left of the refcount tables that were replaced. */
	free_tables(t->before);
	t->before = NULL;
	qcow2_range_set(q, "refcount table", t->pos, t->entries * QCOW2_ENTRY_SIZE);
	/* The cluster of the last compressed one may be freed. */
	a->compressed_end = 0;
	return freed_release(&a->freed, release, a, e);
}
