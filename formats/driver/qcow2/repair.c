/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* repair.c - refcounts set to the number of references, in place or in a new refcount table.
 *
 * If some entry is invalid, a cluster in use may appear to be free: no refcount is lowered then.
 * At any time, no refcount on disk is lower than it was or than the references are, and no pointer
 * leads to a table that is not durable yet.
 */
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "l1.h"
#include "l2.h"

/* Sets refcount number i of the block in c->buf; true: it was changed. */
static bool repair_refcount(
	struct qcow2_check *c, uint64_t cluster, uint64_t i, uint32_t refs, unsigned repair)
{
	uint64_t count = qcow2_refcount_load(c->q, c->buf, i);
	unsigned needed = count < refs ? CHECK_ERRORS : CHECK_LEAKS;

	if (count == refs || !(repair & needed) || (count > refs && c->uncertain))
		return false;
	check_tell(c->r, "Repairing cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu32,
		cluster, count, refs);
	qcow2_refcount_store(c->q, c->buf, i, refs);
	return true;
}

static int repair_window(struct qcow2_check *c, void *arg, struct err *e)
{
	const unsigned *repair = arg;
	const struct qcow2 *q = c->q;
	unsigned bits = qcow2_block_bits(q);
	uint64_t at = c->first, end = MIN(c->nclusters, c->first + c->nwindow), next;
	int r = 0;

	for (; r == 0 && at < end; at = next) {
		uint64_t start = at >> bits << bits, pos = qcow2_check_block(c, at >> bits);
		bool empty = pos == 0, changed = false;

		next = MIN(end, start + (UINT64_C(1) << bits));
		if (!empty)
			r = qcow2_check_read(c, pos, c->buf, q->cluster_size, &empty, e);
		for (uint64_t i = at; r == 0 && !empty && i < next; i++)
			changed |= repair_refcount(c, i, i - start, c->refs[i - c->first], *repair);
		if (r == 0 && changed)
			r = io_write(q->io, c->buf, q->cluster_size, pos, e);
	}
	return r < 0 ? err_in(e, "refcounts") : 0;
}

int qcow2_repair_refcounts(struct qcow2_check *c, unsigned repair, struct err *e)
{
	int r;

	if (c->uncertain && c->r->leaks > 0)
		check_tell(c->r,
			"Leaks are not repaired: an invalid entry may refer to these clusters");
	qcow2_check_read_restart(c);
	r = qcow2_check_references(c, 0, repair_window, &repair, e);
	return r == 0 ? io_sync(c->q->io, e) : r;
}

struct rebuild {
	unsigned char *needed; /* a bit for each refcount block */
	uint64_t max;          /* blocks that a table can have */
	uint64_t nblocks;      /* that are needed */
	uint64_t entries;      /* of the table */
	uint64_t used_end;     /* the cluster after the last one that is referred to */
	uint64_t start, end;   /* the new clusters: blocks, then the table */
	uint64_t ntable;       /* clusters of the table */
	uint64_t next;         /* cluster of the block that is written next */
	uint64_t *table;       /* big-endian */
	unsigned char *old;    /* an old block */
};

static int need_block(struct rebuild *b, uint64_t i, struct err *e)
{
	if (i >= b->max)
		return err_set(e, EFBIG, "the file is too large for a refcount table");
	b->nblocks += !(b->needed[i / 8] >> i % 8 & 1);
	b->needed[i / 8] |= 1u << i % 8;
	b->entries = MAX(b->entries, i + 1);
	return 0;
}

/* Reads old block number i when refcounts must not become lower. */
static int read_old(
	struct qcow2_check *c, struct rebuild *b, uint64_t i, bool *empty, struct err *e)
{
	uint64_t pos = qcow2_check_block(c, i);

	*empty = true;
	if (!c->uncertain || pos == 0 || !qcow2_check_block_readable(c, pos))
		return 0;
	return qcow2_check_read(c, pos, b->old, c->q->cluster_size, empty, e);
}

/* The new refcount of cluster k of block i. */
static uint64_t new_count(
	const struct qcow2_check *c, const struct rebuild *b, uint64_t i, uint64_t k, bool empty)
{
	uint64_t cluster = (i << qcow2_block_bits(c->q)) + k;
	uint64_t old = empty ? 0 : qcow2_refcount_load(c->q, b->old, k);
	uint64_t refs = cluster < c->nclusters ? c->refs[cluster - c->first] : 0;

	return MAX(old, refs + (cluster >= b->start && cluster < b->end));
}

/* Marks the blocks that are needed for the clusters of this window. */
static int plan_window(struct qcow2_check *c, void *arg, struct err *e)
{
	struct rebuild *b = arg;
	unsigned bits = qcow2_block_bits(c->q);
	uint64_t end = MIN(c->nclusters, c->first + c->nwindow);
	int r = 0;

	if (!c->dirty && !c->uncertain) /* no reference, and no old refcount to keep */
		return 0;
	for (uint64_t i = c->first >> bits; r == 0 && i << bits < end; i++) {
		bool empty;

		r = read_old(c, b, i, &empty, e);
		for (uint64_t k = UINT64_C(1) << bits; r == 0 && k-- > 0;)
			if (new_count(c, b, i, k, empty) > 0) {
				b->used_end = MAX(b->used_end, (i << bits) + k + 1);
				r = need_block(b, i, e);
				break;
			}
	}
	return r;
}

/* The first cluster of the new structures.  A file grows, so that they replace nothing, not even
 * what seems to be free.  A device cannot: they begin after all that is in use, the old structures
 * included, which have to stay until the header leads to the new ones. */
static uint64_t find_start(const struct qcow2_check *c, const struct rebuild *b)
{
	const struct qcow2 *q = c->q;
	unsigned bits = q->header.cluster_bits;
	uint64_t start =
		MAX(b->used_end, (q->header.reftable_pos >> bits) + q->header.reftable_clusters);

	if (!q->io->is_block || c->uncertain)
		return MAX(c->nclusters, div_round_up(q->io->size, q->cluster_size));
	for (uint64_t i = 0; i < c->nreftable; i++)
		if (qcow2_check_block(c, i) < q->io->size)
			start = MAX(start, (qcow2_check_block(c, i) >> bits) + 1);
	return start;
}

/* The new blocks and the new table have refcounts, too, for which more blocks may be needed. */
static int place(struct qcow2_check *c, struct rebuild *b, struct err *e)
{
	unsigned bits = qcow2_block_bits(c->q);
	uint64_t before;
	int r = 0;

	b->start = b->end = find_start(c, b);
	do {
		before = b->end;
		for (uint64_t i = b->start >> bits; r == 0 && i <= b->end >> bits; i++)
			r = need_block(b, i, e);
		b->ntable = div_round_up(b->entries * QCOW2_ENTRY_SIZE, c->q->cluster_size);
		b->end = b->start + b->nblocks + b->ntable;
	} while (r == 0 && b->end != before);
	if (r < 0)
		return r;
	b->table = calloc(b->ntable, c->q->cluster_size);
	return b->table ? 0 : err_nomem(e);
}

static int write_window(struct qcow2_check *c, void *arg, struct err *e)
{
	struct rebuild *b = arg;
	const struct qcow2 *q = c->q;
	unsigned bits = qcow2_block_bits(q);
	uint64_t end = MIN(b->entries, (c->first + c->nwindow) >> bits);
	int r = 0;

	for (uint64_t i = c->first >> bits, pos; r == 0 && i < end; i++) {
		bool empty;

		if (!(b->needed[i / 8] >> i % 8 & 1))
			continue;
		r = read_old(c, b, i, &empty, e);
		if (r < 0)
			break;
		memset(c->buf, 0, q->cluster_size);
		for (uint64_t k = 0; k < UINT64_C(1) << bits; k++)
			qcow2_refcount_store(q, c->buf, k, new_count(c, b, i, k, empty));
		pos = b->next++ << q->header.cluster_bits;
		b->table[i] = htobe64(pos);
		r = io_write(q->io, c->buf, q->cluster_size, pos, e);
	}
	return r;
}

/* The header changes to the new table in one write. */
static int switch_over(struct qcow2_check *c, const struct rebuild *b, struct err *e)
{
	struct qcow2 *q = c->q;
	uint64_t pos = (b->start + b->nblocks) << q->header.cluster_bits;
	unsigned char field[12];
	int r = io_write(q->io, b->table, b->ntable << q->header.cluster_bits, pos, e);

	if (r == 0)
		r = io_sync(q->io, e);
	store_be64(field, pos);
	store_be32(field + 8, b->ntable);
	if (r == 0)
		r = io_write(q->io, field, sizeof field, QCOW2_AT_REFTABLE, e);
	if (r == 0)
		r = io_sync(q->io, e);
	if (r < 0)
		return r;
	q->header.reftable_pos = pos;
	q->header.reftable_clusters = b->ntable;
	qcow2_range_set(q, "refcount table", pos, b->ntable << q->header.cluster_bits);
	qcow2_range_set(q, "refcount block", b->start << q->header.cluster_bits, q->cluster_size);
	return 0;
}

int qcow2_repair_rebuild(struct qcow2_check *c, struct err *e)
{
	struct rebuild b = {.max = QCOW2_MAX_REFTABLE_BYTES / QCOW2_ENTRY_SIZE};
	int r;

	check_tell(c->r, "Rebuilding refcount structure");
	c->without_refcounts = true;
	c->counted = false;
	b.needed = calloc(1, b.max / 8);
	b.old = malloc(c->q->cluster_size);
	r = b.needed && b.old ? 0 : err_nomem(e);
	qcow2_check_read_restart(c);
	if (r == 0)
		r = qcow2_check_references(c, 0, plan_window, &b, e);
	if (r == 0)
		r = place(c, &b, e);
	qcow2_check_read_restart(c);
	b.next = b.start;
	if (r == 0)
		r = qcow2_check_references(c, b.end, write_window, &b, e);
	if (r == 0)
		r = switch_over(c, &b, e);
	free(b.needed);
	free(b.old);
	free(b.table);
	return r < 0 ? err_in(e, "rebuilding refcounts") : 0;
}

/* A table whose cluster has another use as well is not changed. */
static int repair_table(struct qcow2_check *c, const struct qcow2_l2_table *table, struct err *e)
{
	const struct qcow2 *q = c->q;
	uint64_t cluster = table->pos >> q->header.cluster_bits;
	bool empty, changed = false;
	int r;

	if (qcow2_in_cluster(q, table->pos) || !qcow2_check_in_window(c, cluster) ||
		c->refs[cluster - c->first] != table->references)
		return 0;
	r = qcow2_check_read(c, table->pos, c->buf, q->cluster_size, &empty, e);
	for (unsigned i = 0; r == 0 && !empty && i < 1u << q->entries_bits; i++) {
		unsigned char *p = c->buf + i * q->entry_size;
		uint64_t entry = load_be64(p);

		if (!qcow2_l2_has_cluster(q, entry) ||
			!qcow2_l2_is_misplaced_zero(q, entry, qcow2_l2_bitmap(q, p)))
			continue;
		/* Subclusters stay zero, or unallocated. */
		store_be64(p, q->extended ? 0 : QCOW2_ZERO);
		changed = true;
		check_tell(c->r,
			"Repairing offset=%" PRIx64
			": Preallocated cluster is not properly aligned; L2 entry corrupted.",
			entry & QCOW2_OFFSET);
	}
	return r == 0 && changed ? io_write(q->io, c->buf, q->cluster_size, table->pos, e) : r;
}

static int repair_tables(struct qcow2_check *c, void *arg, struct err *e)
{
	int r = 0;

	(void)arg;
	for (size_t i = 0; r == 0 && i < c->ntables; i++)
		r = repair_table(c, &c->tables[i], e);
	return r;
}

int qcow2_repair_zeroes(struct qcow2_check *c, struct err *e)
{
	int r;

	qcow2_check_read_restart(c);
	r = qcow2_check_references(c, 0, repair_tables, NULL, e);
	return r == 0 ? io_sync(c->q->io, e) : r;
}
