/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check-copied.c - the flag COPIED in the tables of the live disk.
 *
 * Writers overwrite clusters that have it, and copy others: it has to be set if the refcount is
 * 1, and only then.  If entries of tables are invalid, a refcount may be too low, so the flag is
 * only cleared.  A table whose cluster has another use as well is not changed.
 */
#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "io/meta.h"
#include "check.h"
#include "l1.h"
#include "l2.h"

struct copied_check {
	struct qcow2_check *c;
	bool may_set, may_clear;
	/* The page of a refcount block that was used last; of it and pinned when block is set. */
	uint64_t page;
	struct meta meta;
};

/* Looks the refcount of a cluster up.  1: found, 0: its refcount block cannot be read, or -errno.
 */
static int lookup(struct copied_check *f, uint64_t cluster, uint64_t *count, struct err *e)
{
	const struct qcow2 *q = f->c->q;
	unsigned order = q->header.refcount_order, bits = qcow2_block_bits(q);
	uint64_t pos = qcow2_check_block(f->c, cluster >> bits);
	uint64_t i = cluster & ((UINT64_C(1) << bits) - 1);
	uint64_t at = pos + (i << order) / 8, page = at & ~(uint64_t)(META_PAGE - 1);

	*count = 0;
	if (pos == 0)
		return 1;
	if (!qcow2_check_block_readable(f->c, pos))
		return 0;
	if (!f->meta.block || f->page != page) {
		if (f->meta.block)
			meta_unpin(q->cache, &f->meta);
		f->meta.block = NULL;
		if (meta_pin(q->cache, q->io, page, &f->meta, e) < 0)
			return -e->code;
		f->page = page;
	}
	*count = qcow2_refcount_load(
		q, f->meta.p + (at - page), order < 3 ? i & ((8u >> order) - 1) : 0);
	return 1;
}

/* 1: the refcount of the table's cluster is that of its references: it has no other use. */
static int is_alone(struct copied_check *f, uint64_t pos, uint64_t times, struct err *e)
{
	uint64_t count;
	int r;

	if (!f->may_clear || qcow2_in_cluster(f->c->q, pos))
		return 0;
	r = lookup(f, pos >> f->c->q->header.cluster_bits, &count, e);
	return r <= 0 ? r : count == times;
}

/* Checks the flag of an entry of the L1 table, or of an L2 table if l1_index is NULL.  1: it is to
 * be changed, which only a table that is alone allows. */
static int check_flag(struct copied_check *f, const uint32_t *l1_index, uint64_t entry,
	uint32_t times, bool alone, struct err *e)
{
	struct qcow2_check *c = f->c;
	bool copied = entry & QCOW2_COPIED;
	bool repairs = alone && (copied ? f->may_clear : f->may_set);
	uint64_t count = 1; /* in a data file */
	int r = 1;

	if (l1_index || !c->q->external)
		r = lookup(f, (entry & QCOW2_OFFSET) >> c->q->header.cluster_bits, &count, e);
	if (r <= 0 || copied == (count == 1))
		return MIN(r, 0);
	/* A cluster without the flag is copied where it could be overwritten. */
	if (c->for_writing && !copied) {
		c->harmless += times;
		return 0;
	}
	if (l1_index)
		check_tell(c->r,
			"%s OFLAG_COPIED L2 cluster: l1_index=%" PRIu32 " l1_entry=%" PRIx64
			" refcount=%" PRIu64,
			repairs ? "Repairing" : "ERROR", *l1_index, entry, count);
	else
		check_tell(c->r,
			"%s OFLAG_COPIED data cluster: l2_entry=%" PRIx64 " refcount=%" PRIu64,
			repairs ? "Repairing" : "ERROR", entry, count);
	if (!repairs) {
		c->r->corruptions += times;
		return check_go_on(c->r, e);
	}
	c->r->corruptions_fixed += times;
	return 1;
}

static int check_l1(struct copied_check *f, struct err *e)
{
	const struct qcow2 *q = f->c->q;
	const struct qcow2_header *h = &q->header;
	int alone = is_alone(f, h->l1_pos, 1, e), r = MIN(alone, 0);

	for (uint32_t i = 0; r == 0 && i < h->l1_size; i++) {
		uint64_t pos = h->l1_pos + (uint64_t)i * QCOW2_ENTRY_SIZE;
		unsigned char raw[QCOW2_ENTRY_SIZE];

		r = meta_read(q->cache, q->io, raw, sizeof raw, pos, e);
		if (r == 0 && load_be64(raw) & QCOW2_OFFSET)
			r = check_flag(f, &i, load_be64(raw), 1, alone, e);
		if (r > 0) {
			raw[0] ^= QCOW2_COPIED >> 56;
			r = io_write(q->io, raw, sizeof raw, pos, e);
		}
	}
	return r;
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
		unsigned char *p = c->buf + i * q->entry_size;

		if (!qcow2_l2_has_cluster(q, load_be64(p)))
			continue;
		r = check_flag(f, NULL, load_be64(p), table->live, alone, e);
		if (r > 0) {
			p[0] ^= QCOW2_COPIED >> 56;
			changed = true;
		}
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
	if (f.meta.block)
		meta_unpin(c->q->cache, &f.meta);
	return rc;
}
