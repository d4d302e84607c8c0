/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2-check.c - are the refcounts what everything that refers to clusters makes them? */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "cache.h"
#include "err.h"
#include "image.h"
#include "io.h"
#include "qcow2-check.h"
#include "qcow2.h"

#define WINDOW_LEAST ((64u << 20) / sizeof(uint32_t)) /* clusters */

/* Refcounts as the file has them. */

/* The position of the block that has the refcounts from cluster number i << block_bits on; 0: there
 * is none, all are 0. */
static uint64_t block_pos(const struct qcow2_check *c, uint64_t i)
{
	return i < c->nreftable ? c->reftable[i] & QCOW2_REFTABLE_OFFSET : 0;
}

static bool is_aligned(const struct qcow2_check *c, uint64_t pos)
{
	return !(pos & (c->q->cluster_size - 1));
}

/* Can QEMU look at a block there?  Past the end of the file it can, and finds zeroes. */
static bool is_readable(const struct qcow2_check *c, uint64_t pos)
{
	return is_aligned(c, pos) && pos <= (uint64_t)INT64_MAX - c->q->cluster_size;
}

/* The refcount of a cluster, with the page of its block at hand that was looked at last. */
struct lookup {
	const struct qcow2_check *c;
	uint64_t page; /* position */
	struct meta m; /* of that page when block is set */
};

static void lookup_end(struct lookup *l)
{
	if (l->m.block)
		meta_unpin(l->c->q->cache, &l->m);
	l->m.block = NULL;
}

/* 1: found, 0: its block is nowhere, or -errno. */
static int lookup_refcount(struct lookup *l, uint64_t cluster, uint64_t *count, struct err *e)
{
	const struct qcow2 *q = l->c->q;
	unsigned order = q->header.refcount_order;
	uint64_t pos = block_pos(l->c, cluster >> qcow2_block_bits(q));
	uint64_t i = cluster & ((UINT64_C(1) << qcow2_block_bits(q)) - 1);
	uint64_t at = pos + (i << order) / 8, page = at & ~(uint64_t)(META_PAGE - 1);
	struct meta m;

	*count = 0;
	if (pos == 0)
		return 1;
	if (!is_readable(l->c, pos))
		return 0;
	if (!l->m.block || l->page != page) {
		lookup_end(l);
		if (meta_pin(q->cache, q->io, page, &m, e) < 0)
			return -e->code;
		l->m = m;
		l->page = page;
	}
	*count = qcow2_refcount_load(
		q, l->m.p + (at - page), order < 3 ? i & ((8u >> order) - 1) : 0);
	return 1;
}

/* Refcounts and references. */

static void compare_cluster(struct qcow2_check *c, uint64_t cluster, uint64_t count, uint32_t refs)
{
	if (count > 0 || refs > 0)
		c->r->image_end_offset = (cluster + 1) << c->q->header.cluster_bits;
	if (count < refs) {
		check_corruption(c->r,
			"ERROR cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu32,
			cluster, count, refs);
		c->rebuild |= count == 0;
	} else if (count > refs) {
		check_leak(c->r,
			"Leaked cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu32,
			cluster, count, refs);
	}
}

static bool all_zero(const uint32_t *refs, uint64_t n)
{
	return n == 0 || (refs[0] == 0 && memcmp(refs, refs + 1, (n - 1) * sizeof refs[0]) == 0);
}

/* Clusters [first, first+n), whose refcounts are all in block number i. */
static int compare_block(
	struct qcow2_check *c, uint64_t i, uint64_t first, uint64_t n, struct err *e)
{
	const struct qcow2 *q = c->q;
	const uint32_t *refs = c->refs + (first - c->first);
	uint64_t pos = block_pos(c, i), skip = first & ((UINT64_C(1) << qcow2_block_bits(q)) - 1);
	bool empty = pos == 0;
	int r = 0;

	if (!is_readable(c, pos)) {
		check_tell(c->r, "Can't get refcount for cluster %" PRIu64 ": %s", first,
			strerror(EIO));
		c->r->check_errors += n;
		return 0;
	}
	if (!empty)
		r = qcow2_check_read(c, pos, c->buf, q->cluster_size, &empty, e);
	if (r < 0)
		return err_in(e, "refcount block %" PRIu64, i);
	if (empty && all_zero(refs, n))
		return 0;
	for (uint64_t k = 0; k < n; k++)
		compare_cluster(c, first + k, empty ? 0 : qcow2_refcount_load(q, c->buf, skip + k),
			refs[k]);
	return 0;
}

static int compare_window(struct qcow2_check *c, struct err *e)
{
	uint64_t at = c->first, end = MIN(c->nclusters, c->first + c->nwindow);
	unsigned bits = qcow2_block_bits(c->q);
	int r = 0;

	while (r == 0 && at < end) {
		uint64_t i = at >> bits, n = MIN(end, (i + 1) << bits) - at;

		r = compare_block(c, i, at, n, e);
		at += n;
	}
	return r;
}

/* Clusters behind the last window are none but one that begins at the end of the file. */
static int compare_all(struct qcow2_check *c, struct err *e)
{
	int r = 0;

	c->say = c->r;
	for (c->first = 0; r == 0 && c->first < c->nclusters; c->first += c->nwindow) {
		if (c->first > 0)
			memset(c->refs, 0, c->nwindow * sizeof c->refs[0]);
		r = qcow2_refs_count(c, e);
		if (r == 0)
			r = compare_window(c, e);
		c->say = &c->silence;
	}
	return r;
}

/* The flag COPIED in the tables of the live disk: writers change what has it in place. */

static int copied_wrong(
	struct lookup *l, uint64_t cluster, uint64_t entry, uint64_t *count, struct err *e)
{
	int r = lookup_refcount(l, cluster, count, e);

	return r <= 0 ? r : (*count == 1) != !!(entry & QCOW2_COPIED);
}

static int check_copied_l1(struct qcow2_check *c, struct lookup *l, struct err *e)
{
	const struct qcow2_header *h = &c->q->header;
	int r = 0;

	for (uint32_t i = 0; r >= 0 && i < h->l1_size; i++) {
		unsigned char raw[QCOW2_ENTRY_SIZE];
		uint64_t entry, count;

		r = meta_read(c->q->cache, c->q->io, raw, sizeof raw,
			h->l1_pos + (uint64_t)i * QCOW2_ENTRY_SIZE, e);
		entry = load_be64(raw);
		if (r < 0 || !(entry & QCOW2_OFFSET))
			continue;
		r = copied_wrong(l, (entry & QCOW2_OFFSET) >> h->cluster_bits, entry, &count, e);
		if (r > 0)
			check_corruption(c->r,
				"ERROR OFLAG_COPIED L2 cluster: l1_index=%" PRIu32
				" l1_entry=%" PRIx64 " refcount=%" PRIu64,
				i, entry, count);
	}
	return MIN(r, 0);
}

static int check_copied_entry(
	struct qcow2_check *c, struct lookup *l, uint64_t entry, uint32_t times, struct err *e)
{
	enum qcow2_entry kind = qcow2_entry_kind(c->q, entry);
	uint64_t count = 1; /* of clusters in a data file */
	int r;

	if (kind != QCOW2_ENTRY_DATA && kind != QCOW2_ENTRY_ZERO_ALLOCATED)
		return 0;
	if (c->q->external)
		r = !(entry & QCOW2_COPIED);
	else
		r = copied_wrong(
			l, (entry & QCOW2_OFFSET) >> c->q->header.cluster_bits, entry, &count, e);
	if (r <= 0)
		return r;
	check_corruption(c->r,
		"ERROR OFLAG_COPIED data cluster: l2_entry=%" PRIx64 " refcount=%" PRIu64, entry,
		count);
	c->r->corruptions += times - 1;
	return 0;
}

static int check_copied_table(
	struct qcow2_check *c, struct lookup *l, const struct qcow2_table *table, struct err *e)
{
	const struct qcow2 *q = c->q;
	bool empty;
	int r = qcow2_check_read(c, table->pos, c->buf, q->cluster_size, &empty, e);

	for (unsigned i = 0; r == 0 && !empty && i < 1u << q->entries_bits; i++)
		r = check_copied_entry(
			c, l, load_be64(c->buf + i * q->entry_size), table->active, e);
	return r < 0 ? err_in(e, "L2 table at 0x%" PRIx64, table->pos) : 0;
}

static int check_copied(struct qcow2_check *c, struct err *e)
{
	struct lookup l = {.c = c};
	int r = check_copied_l1(c, &l, e);

	qcow2_check_rewind(c);
	for (size_t i = 0; r == 0 && i < c->ntables && c->tables[i].active; i++)
		if (c->tables[i].pos)
			r = check_copied_table(c, &l, &c->tables[i], e);
	lookup_end(&l);
	return r;
}

/* The check. */

static int start(struct qcow2_check *c, struct err *e)
{
	const struct qcow2 *q = c->q;
	const struct qcow2_header *h = &q->header;
	uint64_t real = q->io->sparse ? q->io->stored : q->io->size;

	c->file_len = round_up(q->io->size, 512);
	c->nclusters = div_round_up(c->file_len, q->cluster_size);
	if (c->nclusters > INT_MAX)
		return err_set(e, EFBIG,
			"the file has %" PRIu64 " clusters, at most %d can be checked",
			c->nclusters, INT_MAX);
	if ((uint64_t)h->reftable_clusters << h->cluster_bits > QCOW2_MAX_REFTABLE_BYTES ||
		!is_aligned(c, h->reftable_pos))
		return err_set(e, EINVAL, "refcount table: %" PRIu32 " clusters at 0x%" PRIx64,
			h->reftable_clusters, h->reftable_pos);
	c->r->image_end_offset = q->cluster_size;
	c->r->total_clusters = div_round_up(q->size, q->cluster_size);
	c->nwindow = MAX(WINDOW_LEAST, real / q->cluster_size);
	c->nwindow = MIN(c->nwindow, c->nclusters + 1);
	c->refs = calloc(c->nwindow, sizeof c->refs[0]);
	c->buf = malloc(q->cluster_size);
	return c->refs && c->buf ? 0 : err_nomem(e);
}

static void finish(struct qcow2_check *c)
{
	free(c->used);
	free(c->tables);
	free(c->index);
	free(c->reftable);
	free(c->refs);
	free(c->buf);
}

static int check_all(struct qcow2_check *c, struct err *e)
{
	int r = start(c, e);

	qcow2_check_rewind(c);
	if (r == 0)
		r = qcow2_refs_collect(c, e);
	if (r == 0)
		r = compare_all(c, e);
	if (r == 0)
		r = check_copied(c, e);
	return r;
}

int qcow2_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	struct qcow2_check c = {.q = img->priv, .r = r};
	int rc;

	if (repair)
		return err_set(e, ENOTSUP, "qcow2 images cannot be repaired");
	rc = check_all(&c, e);
	finish(&c);
	return rc;
}
