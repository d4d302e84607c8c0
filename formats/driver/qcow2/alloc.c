/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alloc.c - clusters allocated and freed.
 *
 * A cluster is free when its refcount is 0.  The search reads the refcounts themselves, from the
 * lowest cluster that may be free on.
 */
#include "alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/writer.h"
#include "l1.h"

#define SPARE 8 /* for old refcount tables, dropped while an operation that prepared allocates */
#define FREED_MAX                                                                                  \
	65536 /* runs of clusters, before they are released early where that is possible */

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
	a->q = q;
	a->writer = w;
	a->table = t;
	a->next = 1;
	return a;
}

static void free_tables(struct qcow2_reftable *t)
{
	while (t) {
		struct qcow2_reftable *before = t->before;

		free(t);
		t = before;
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
	uint64_t count, n;

	*c = (struct qcow2_clusters){.first = a->next};
	while (c->n < want) {
		uint64_t at = c->first + c->n;
		int r = qcow2_refcount_get(a, at, UINT64_MAX, &count, &n, e);

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

/* Makes the first refcount block that the clusters lack, or unless whole, shortens c to the
 * clusters before it. */
static int make_block(
	struct qcow2_alloc *a, struct qcow2_clusters *c, bool whole, bool *made, struct err *e)
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
	*made = false;
	if (r < 0 || exists)
		return r;
	if (!whole && at > c->first) {
		c->n = at - c->first;
		return 0;
	}
	*made = true;
	r = qcow2_alloc_prepare(a, 1, e);
	if (r < 0)
		return r;
	/* A block takes one of the clusters that it counts, so this many need several. */
	r = qcow2_refcount_make_blocks(a, at, whole && c->n >= per_block ? c->n : 0, &old, e);
	if (old.n > 0)
		qcow2_alloc_drop(a, old.first, old.n);
	return r;
}

/* Makes the file long enough for these clusters. */
static int extend_file(const struct qcow2_alloc *a, const struct qcow2_clusters *c,
	bool *reads_zero, struct err *e)
{
	struct io *io = a->q->io;
	unsigned bits = a->q->header.cluster_bits;
	uint64_t end = (c->first + c->n) << bits;

	*reads_zero = c->first << bits >= io->size;
	return end > io->size ? io_resize(io, end, e) : 0;
}

int qcow2_alloc_take(struct qcow2_alloc *a, uint64_t want, bool whole, struct qcow2_clusters *got,
	bool *reads_zero, struct err *e)
{
	bool made = true;
	int r = 0;

	/* A new block may take the clusters that were found. */
	while (r == 0 && made) {
		r = find_free(a, want, whole, got, e);
		if (r == 0 && got->first + got->n > (QCOW2_OFFSET >> a->q->header.cluster_bits))
			r = err_set(e, EFBIG, "a file cannot have more than 2^56 bytes");
		if (r == 0)
			r = make_block(a, got, whole, &made, e);
	}
	if (r == 0)
		r = extend_file(a, got, reads_zero, e);
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

/* Can the cluster that the last compressed one ended in be shared by one more? */
static int check_shared(const struct qcow2_alloc *a, bool *shared, struct err *e)
{
	uint64_t count, n;
	int r;

	*shared = false;
	if (a->compressed_end == 0)
		return 0;
	r = qcow2_refcount_get(a, a->compressed_end >> a->q->header.cluster_bits, 1, &count, &n, e);
	*shared = r == 0 && count < qcow2_refcount_max(a->q);
	return r;
}

/* In a new cluster; or from the end of the last compressed one, if the new cluster follows it. */
static int compressed_in_new(struct qcow2_alloc *a, bool shared, uint64_t *pos, struct err *e)
{
	unsigned bits = a->q->header.cluster_bits;
	uint64_t last = a->compressed_end >> bits;
	struct qcow2_clusters c;
	bool reads_zero;
	int r = qcow2_alloc_take(a, 1, true, &c, &reads_zero, e);

	if (r < 0)
		return r;
	*pos = c.first << bits;
	if (!shared || c.first != last + 1)
		return 0;
	*pos = a->compressed_end;
	r = qcow2_refcount_add(a, last, 1, 1, e);
	if (r < 0)
		qcow2_alloc_cancel(a, c);
	return r;
}

int qcow2_alloc_compressed(struct qcow2_alloc *a, uint32_t len, uint64_t *pos, struct err *e)
{
	uint32_t size = a->q->cluster_size;
	bool shared;
	int r = check_shared(a, &shared, e);

	if (r < 0)
		return r;
	*pos = a->compressed_end;
	if (shared && len <= size - a->compressed_end % size)
		r = qcow2_refcount_add(a, a->compressed_end >> a->q->header.cluster_bits, 1, 1, e);
	else
		r = compressed_in_new(a, shared, pos, e);
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
	freed_add(&a->freed, first, n);
}

int qcow2_alloc_give_back(struct qcow2_alloc *a, struct err *e)
{
	struct view *v = a->writer->view;
	int r = writer_write_back(a->writer, e);

	return r == 0 && qcow2_alloc_durable(v) ? qcow2_alloc_release_freed(v, e) : r;
}

int qcow2_alloc_relieve(struct qcow2_alloc *a, struct err *e)
{
	if (a->freed.n < FREED_MAX &&
		writeback_pending(a->writer->writeback) < a->writer->pending_max)
		return 0;
	return qcow2_alloc_give_back(a, e);
}

bool qcow2_alloc_durable(struct view *v)
{
	return freed_set_durable(&((struct qcow2_view *)v)->q->alloc->freed);
}

/* The last cluster of a block device need not be whole. */
static void discard(struct io *io, uint64_t pos, uint64_t len)
{
	if (pos < io->size)
		io_discard(io, pos, MIN(len, io->size - pos));
}

/* Takes one reference from each cluster; the host frees those that have none left. */
static int release(void *arg, struct freed_run run, struct err *e)
{
	struct qcow2_alloc *a = arg;
	struct io *io = a->q->io;
	unsigned bits = a->q->header.cluster_bits;
	int r = qcow2_refcount_add(a, run.first, run.n, -1, e);

	if (r < 0)
		return r;
	for (uint64_t count, n; run.n > 0; run.first += n, run.n -= n) {
		r = qcow2_refcount_get(a, run.first, run.n, &count, &n, e);
		if (r < 0)
			return r;
		if (count > 0)
			continue;
		discard(io, run.first << bits, n << bits);
		a->next = MIN(a->next, run.first);
	}
	return 0;
}

/* Frees the refcount tables that were replaced: nobody is inside who might read them. */
static void forget_tables(struct qcow2_alloc *a)
{
	struct qcow2 *q = a->q;
	struct qcow2_reftable *t = a->table;

	free_tables(t->before);
	t->before = NULL;
	qcow2_range_set(q, "refcount table", t->pos, t->entries * QCOW2_ENTRY_SIZE);
}

int qcow2_alloc_release_freed(struct view *v, struct err *e)
{
	struct qcow2_alloc *a = ((struct qcow2_view *)v)->q->alloc;

	forget_tables(a);
	/* The cluster that it is in may be freed. */
	a->compressed_end = 0;
	return freed_release(&a->freed, release, a, e);
}
