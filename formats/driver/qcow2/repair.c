/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* repair.c - makes refcounts what references say.
 *
 * Where some entry was not understood, something that is in use may look as if it was not: no count
 * becomes lower then.  Whatever happens in between, no count on disk is lower than it was or than
 * the references are, and no pointer leads to what is not durable yet.
 */
#include "repair.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "check-read.h"
#include "check-refcount.h"
#include "check-references.h"
#include "check.h"
#include "header.h"
#include "l1.h"
#include "l2.h"
#include "qcow2.h"
#include "refcount.h"

/* In place. */

/* Cluster number i of a block in c->buf; true: it was changed. */
static bool mend_cluster(
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

static int mend_block(
	struct qcow2_check *c, uint64_t first, uint64_t n, unsigned repair, struct err *e)
{
	const struct qcow2 *q = c->q;
	unsigned bits = qcow2_block_bits(q);
	uint64_t pos = qcow2_check_refcount_block(c, first >> bits);
	uint64_t skip = first & ((UINT64_C(1) << bits) - 1);
	bool empty = pos == 0, changed = false;
	int r = 0;

	if (!empty)
		r = qcow2_check_read(c, pos, c->buf, q->cluster_size, &empty, e);
	if (r < 0 || empty)
		return r;
	for (uint64_t k = 0; k < n; k++)
		changed |=
			mend_cluster(c, first + k, skip + k, c->refs[first + k - c->first], repair);
	return changed ? io_write(q->io, c->buf, q->cluster_size, pos, e) : 0;
}

static int mend_window(struct qcow2_check *c, void *arg, struct err *e)
{
	const unsigned *repair = arg;
	uint64_t at = c->first, end = MIN(c->nclusters, c->first + c->nwindow);
	unsigned bits = qcow2_block_bits(c->q);
	int r = 0;

	while (r == 0 && at < end) {
		uint64_t n = MIN(end, ((at >> bits) + 1) << bits) - at;

		r = mend_block(c, at, n, *repair, e);
		at += n;
	}
	return r < 0 ? err_in(e, "refcounts") : 0;
}

int qcow2_repair_refcounts(struct qcow2_check *c, unsigned repair, struct err *e)
{
	int r;

	if (c->uncertain && c->r->leaks > 0)
		check_tell(
			c->r, "Leaks are left alone: what is not understood may be what uses them");
	qcow2_check_read_restart(c);
	r = qcow2_check_references(c, 0, mend_window, &repair, e);
	return r == 0 ? io_sync(c->q->io, e) : r;
}

/* Anew. */

struct rebuild {
	unsigned char *needed; /* blocks, a bit each */
	uint64_t max;          /* blocks that a table may have */
	uint64_t nblocks;      /* that are needed */
	uint64_t entries;      /* of the table */
	uint64_t start, end;   /* clusters that are new: blocks, then the table */
	uint64_t ntable;       /* clusters of the table */
	uint64_t next;         /* the block to be written next */
	uint64_t *table;       /* big-endian */
	unsigned char *old;    /* a block as it was */
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

/* The old block for clusters from that number on, for counts that must not become lower. */
static int read_old(
	struct qcow2_check *c, struct rebuild *b, uint64_t i, bool *empty, struct err *e)
{
	uint64_t pos = qcow2_check_refcount_block(c, i);

	*empty = true;
	if (!c->uncertain || pos == 0 || !qcow2_check_refcount_readable(c, pos))
		return 0;
	return qcow2_check_read(c, pos, b->old, c->q->cluster_size, empty, e);
}

/* What cluster k of block i shall have. */
static uint64_t new_count(
	const struct qcow2_check *c, const struct rebuild *b, uint64_t i, uint64_t k, bool empty)
{
	uint64_t cluster = (i << qcow2_block_bits(c->q)) + k;
	uint64_t old = empty ? 0 : qcow2_refcount_load(c->q, b->old, k);
	uint64_t refs = cluster < c->nclusters ? c->refs[cluster - c->first] : 0;

	return MAX(old, refs + (cluster >= b->start && cluster < b->end));
}

/* Which blocks have something to count in this window? */
static int plan_window(struct qcow2_check *c, void *arg, struct err *e)
{
	struct rebuild *b = arg;
	unsigned bits = qcow2_block_bits(c->q);
	uint64_t end = MIN(c->nclusters, c->first + c->nwindow);
	int r = 0;

	if (!c->dirty && !c->uncertain) /* no reference, nor an old count to be kept */
		return 0;
	for (uint64_t i = c->first >> bits; r == 0 && i << bits < end; i++) {
		bool empty;

		r = read_old(c, b, i, &empty, e);
		for (uint64_t k = 0; r == 0 && k < UINT64_C(1) << bits; k++)
			if (new_count(c, b, i, k, empty) > 0) {
				r = need_block(b, i, e);
				break;
			}
	}
	return r;
}

/* What is new needs counts, too, and these more room. */
static int place(struct qcow2_check *c, struct rebuild *b, struct err *e)
{
	unsigned bits = qcow2_block_bits(c->q);
	uint64_t before;
	int r = 0;

	b->start = b->end = MAX(c->nclusters, div_round_up(c->q->io->size, c->q->cluster_size));
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

static int write_block(struct qcow2_check *c, struct rebuild *b, uint64_t i, struct err *e)
{
	const struct qcow2 *q = c->q;
	uint64_t pos = b->next << q->header.cluster_bits;
	bool empty;
	int r = read_old(c, b, i, &empty, e);

	if (r < 0)
		return r;
	memset(c->buf, 0, q->cluster_size);
	for (uint64_t k = 0; k < UINT64_C(1) << qcow2_block_bits(q); k++)
		qcow2_refcount_store(q, c->buf, k, new_count(c, b, i, k, empty));
	b->table[i] = htobe64(pos);
	b->next++;
	return io_write(q->io, c->buf, q->cluster_size, pos, e);
}

static int write_window(struct qcow2_check *c, void *arg, struct err *e)
{
	struct rebuild *b = arg;
	unsigned bits = qcow2_block_bits(c->q);
	uint64_t end = MIN(b->entries, (c->first + c->nwindow) >> bits);
	int r = 0;

	for (uint64_t i = c->first >> bits; r == 0 && i < end; i++)
		if (b->needed[i / 8] >> i % 8 & 1)
			r = write_block(c, b, i, e);
	return r;
}

/* The ranges are what mapping knows of where no data lies. */
static void know_ranges(struct qcow2 *q, const struct rebuild *b)
{
	qcow2_range_set(
		q, "refcount table", q->header.reftable_pos, b->ntable << q->header.cluster_bits);
	qcow2_range_set(q, "refcount block", b->start << q->header.cluster_bits, q->cluster_size);
}

/* The header changes to the new table in one write. */
static int switch_over(struct qcow2_check *c, const struct rebuild *b, struct err *e)
{
	struct qcow2 *q = c->q;
	uint64_t pos = (b->start + b->nblocks) << q->header.cluster_bits, be_pos = htobe64(pos);
	uint32_t be_len = htobe32(b->ntable);
	unsigned char field[sizeof be_pos + sizeof be_len];
	int r = io_write(q->io, b->table, b->ntable << q->header.cluster_bits, pos, e);

	if (r == 0)
		r = io_sync(q->io, e);
	memcpy(field, &be_pos, sizeof be_pos);
	memcpy(field + sizeof be_pos, &be_len, sizeof be_len);
	if (r == 0)
		r = io_write(q->io, field, sizeof field, QCOW2_AT_REFTABLE, e);
	if (r == 0)
		r = io_sync(q->io, e);
	if (r < 0)
		return r;
	q->header.reftable_pos = pos;
	q->header.reftable_clusters = b->ntable;
	know_ranges(q, b);
	return 0;
}

static int rebuild(struct qcow2_check *c, struct rebuild *b, struct err *e)
{
	int r;

	qcow2_check_read_restart(c);
	r = qcow2_check_references(c, 0, plan_window, b, e);
	if (r == 0)
		r = place(c, b, e);
	qcow2_check_read_restart(c);
	b->next = b->start;
	if (r == 0)
		r = qcow2_check_references(c, b->end, write_window, b, e);
	return r == 0 ? switch_over(c, b, e) : r;
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
	r = b.needed && b.old ? rebuild(c, &b, e) : err_nomem(e);
	free(b.needed);
	free(b.old);
	free(b.table);
	return r < 0 ? err_in(e, "rebuilding refcounts") : 0;
}

/* Entries. */

/* Subclusters stay zero, or the parent's, without a place. */
static bool mend_zero(const struct qcow2 *q, unsigned char *p)
{
	uint64_t entry = load_be64(p), bitmap = q->extended ? load_be64(p + 8) : 0;
	uint64_t placeless = htobe64(q->extended ? 0 : QCOW2_ZERO);
	enum qcow2_l2_kind kind = qcow2_l2_kind(q, entry);

	if (kind != QCOW2_L2_DATA && kind != QCOW2_L2_ZERO_ALLOCATED)
		return false;
	if (!qcow2_check_references_odd_zero(q, entry, bitmap))
		return false;
	memcpy(p, &placeless, sizeof placeless);
	return true;
}

/* A table that is referred to as something else, too, is left alone. */
static int mend_table(struct qcow2_check *c, const struct qcow2_table *table, struct err *e)
{
	const struct qcow2 *q = c->q;
	uint64_t cluster = table->pos >> q->header.cluster_bits;
	bool empty, changed = false;
	int r;

	if (table->pos & (q->cluster_size - 1) || !qcow2_check_in_window(c, cluster) ||
		c->refs[cluster - c->first] != table->times)
		return 0;
	r = qcow2_check_read(c, table->pos, c->buf, q->cluster_size, &empty, e);
	for (unsigned i = 0; r == 0 && !empty && i < 1u << q->entries_bits; i++) {
		unsigned char *p = c->buf + i * q->entry_size;
		uint64_t entry = load_be64(p);

		if (!mend_zero(q, p))
			continue;
		changed = true;
		check_tell(c->r,
			"Repairing offset=%" PRIx64
			": Preallocated cluster is not properly aligned; L2 entry corrupted.",
			entry & QCOW2_OFFSET);
	}
	return r == 0 && changed ? io_write(q->io, c->buf, q->cluster_size, table->pos, e) : r;
}

static int mend_tables(struct qcow2_check *c, void *arg, struct err *e)
{
	int r = 0;

	(void)arg;
	for (size_t i = 0; r == 0 && i < c->ntables; i++)
		r = mend_table(c, &c->tables[i], e);
	return r;
}

int qcow2_repair_zeroes(struct qcow2_check *c, struct err *e)
{
	int r;

	qcow2_check_read_restart(c);
	r = qcow2_check_references(c, 0, mend_tables, NULL, e);
	return r == 0 ? io_sync(c->q->io, e) : r;
}
