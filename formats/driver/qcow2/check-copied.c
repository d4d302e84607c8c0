/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check-copied.c - the flag COPIED in the tables of the live disk.
 *
 * Writers overwrite clusters that have it, and copy others: it has to be set if the refcount is
 * 1, and only then.  If entries of tables are invalid, a refcount may be too low, so the flag is
 * only cleared.  A table whose cluster has another use as well is not changed.
 */
#include "check-copied.h"

#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "check-read.h"
#include "check-refcount.h"
#include "l1.h"
#include "l2.h"

struct copied_check {
	struct qcow2_check *c;
	struct qcow2_lookup lookup;
	bool may_set, may_clear;
};

/* 1: the flag of an entry for this cluster is wrong. */
static int is_wrong(
	struct copied_check *f, uint64_t cluster, uint64_t entry, uint64_t *count, struct err *e)
{
	int r = qcow2_check_refcount_lookup(&f->lookup, cluster, count, e);

	return r <= 0 ? r : (*count == 1) != !!(entry & QCOW2_COPIED);
}

/* Can the flag of this entry be repaired, in a table whose cluster has no other use? */
static bool can_repair(const struct copied_check *f, uint64_t entry, bool alone)
{
	return alone && (entry & QCOW2_COPIED ? f->may_clear : f->may_set);
}

/* 1: the refcount of the table's cluster is that of its references: it has no other use. */
static int is_alone(struct copied_check *f, uint64_t pos, uint64_t times, struct err *e)
{
	uint64_t count;
	int r;

	if (!f->may_clear || qcow2_in_cluster(f->c->q, pos))
		return 0;
	r = qcow2_check_refcount_lookup(&f->lookup, pos >> f->c->q->header.cluster_bits, &count, e);
	return r <= 0 ? r : count == times;
}

/* A cluster without the flag is copied where it could be overwritten. */
static bool is_harmless(const struct copied_check *f, uint64_t entry, uint32_t times)
{
	bool harmless = f->c->for_writing && !(entry & QCOW2_COPIED);

	f->c->harmless += harmless ? times : 0;
	return harmless;
}

static void count_finding(struct copied_check *f, bool repaired, uint32_t times)
{
	if (repaired)
		f->c->r->corruptions_fixed += times;
	else
		f->c->r->corruptions += times;
}

/* L1. */

static int check_l1_entry(
	struct copied_check *f, uint32_t i, uint64_t entry, bool alone, struct err *e)
{
	const struct qcow2 *q = f->c->q;
	uint64_t count, be = htobe64(entry ^ QCOW2_COPIED);
	int r = is_wrong(
		f, (entry & QCOW2_OFFSET) >> f->c->q->header.cluster_bits, entry, &count, e);
	bool repairs = r > 0 && can_repair(f, entry, alone);

	if (r <= 0 || is_harmless(f, entry, 1))
		return MIN(r, 0);
	check_tell(f->c->r,
		"%s OFLAG_COPIED L2 cluster: l1_index=%" PRIu32 " l1_entry=%" PRIx64
		" refcount=%" PRIu64,
		repairs ? "Repairing" : "ERROR", i, entry, count);
	count_finding(f, repairs, 1);
	if (!repairs)
		return check_go_on(f->c->r, e);
	return io_write(
		q->io, &be, sizeof be, q->header.l1_pos + (uint64_t)i * QCOW2_ENTRY_SIZE, e);
}

static int check_l1(struct copied_check *f, struct err *e)
{
	const struct qcow2 *q = f->c->q;
	const struct qcow2_header *h = &q->header;
	int alone = is_alone(f, h->l1_pos, 1, e), r = MIN(alone, 0);

	for (uint32_t i = 0; r == 0 && i < h->l1_size; i++) {
		unsigned char raw[QCOW2_ENTRY_SIZE];

		r = meta_read(q->cache, q->io, raw, sizeof raw,
			h->l1_pos + (uint64_t)i * QCOW2_ENTRY_SIZE, e);
		if (r == 0 && load_be64(raw) & QCOW2_OFFSET)
			r = check_l1_entry(f, i, load_be64(raw), alone, e);
	}
	return r;
}

/* L2. */

/* 1: the entry at p was changed. */
static int check_l2_entry(struct copied_check *f, const struct qcow2_l2_table *table,
	unsigned char *p, bool alone, struct err *e)
{
	const struct qcow2 *q = f->c->q;
	uint64_t entry = load_be64(p), count = 1; /* in a data file */
	bool repairs;
	int r;

	if (!qcow2_l2_has_cluster(q, entry))
		return 0;
	if (q->external)
		r = !(entry & QCOW2_COPIED);
	else
		r = is_wrong(f, (entry & QCOW2_OFFSET) >> q->header.cluster_bits, entry, &count, e);
	if (r <= 0 || is_harmless(f, entry, table->live))
		return MIN(r, 0);
	repairs = can_repair(f, entry, alone);
	check_tell(f->c->r, "%s OFLAG_COPIED data cluster: l2_entry=%" PRIx64 " refcount=%" PRIu64,
		repairs ? "Repairing" : "ERROR", entry, count);
	count_finding(f, repairs, table->live);
	if (!repairs)
		return check_go_on(f->c->r, e);
	p[0] ^= QCOW2_COPIED >> 56;
	return 1;
}

static int check_table(struct copied_check *f, const struct qcow2_l2_table *table, struct err *e)
{
	struct qcow2_check *c = f->c;
	const struct qcow2 *q = c->q;
	int alone = is_alone(f, table->pos, table->references, e), r = MIN(alone, 0);
	bool empty = true, changed = false;

	if (r == 0)
		r = qcow2_check_read(c, table->pos, c->buf, q->cluster_size, &empty, e);
	for (unsigned i = 0; r >= 0 && !empty && i < 1u << q->entries_bits; i++) {
		r = check_l2_entry(f, table, c->buf + i * q->entry_size, alone, e);
		changed |= r > 0;
	}
	if (r >= 0 && changed)
		r = io_write(q->io, c->buf, q->cluster_size, table->pos, e);
	return r < 0 ? err_in(e, "L2 table at 0x%" PRIx64, table->pos) : 0;
}

int qcow2_check_copied(struct qcow2_check *c, unsigned repair, struct err *e)
{
	const struct check_report *r = c->r;
	bool sound = r->check_errors == 0 && r->corruptions == 0 && r->leaks == 0;
	bool known = !c->beyond_end && !c->q->l1_misplaced;
	bool repairs = known && (repair & CHECK_ERRORS || (repair && sound));
	struct copied_check f = {
		.c = c,
		.lookup = {.c = c},
		.may_set = repairs && !c->uncertain && !c->overflow,
		.may_clear = repairs,
	};
	int rc;

	qcow2_check_read_restart(c);
	rc = check_l1(&f, e);
	for (size_t i = 0; rc == 0 && i < c->ntables && c->tables[i].live && !qcow2_check_ends(c);
		i++)
		if (c->tables[i].pos)
			rc = check_table(&f, &c->tables[i], e);
	qcow2_check_refcount_end(&f.lookup);
	return rc;
}
