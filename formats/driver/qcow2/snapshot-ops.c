/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot-ops.c - internal snapshots taken, dropped, renamed and gone back to.
 *
 * A snapshot is an L1 table of its own; all below it is shared with the live disk and other
 * snapshots until somebody writes.  The order of each change is such that a power cut leaves room
 * that nobody uses and entries that are not flagged as the disk's own, never a refcount that is
 * too low: the flags go before counts rise, and come back after counts have fallen; the header
 * points to a new table of snapshots, or to a new L1 table, when that is whole.
 */
#include "snapshot-ops.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/cache.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/view.h"
#include "view/writer.h"
#include "image/image.h"
#include "image/snapshot.h"
#include "alloc.h"
#include "l1.h"
#include "qcow2.h"
#include "resize.h"
#include "snapshot-table.h"
#include "snapshot.h"
#include "walk.h"

static struct qcow2_view *live_of(const struct image *img)
{
	return (struct qcow2_view *)img->states[0]->view;
}

/* What was dropped is free, and what the disk has for itself now is flagged. */
static int settle(struct qcow2_view *live, struct err *e)
{
	int r = qcow2_alloc_give_back(live->q->alloc, e);

	return r == 0 ? qcow2_walk_renew_copied(live, e) : r;
}

/* Another L1 table. */

/* A table of entries, of which the first are those of from, with a reference more to all that they
 * point to. */
static int make_l1(
	struct qcow2 *q, struct qcow2_l1 from, uint32_t entries, struct qcow2_l1 *to, struct err *e)
{
	int r = qcow2_l1_make(q, from, ~QCOW2_COPIED, entries, to, e);

	if (r < 0)
		return r;
	r = qcow2_walk_share(q, from, e);
	if (r < 0)
		qcow2_l1_drop(q, *to);
	return r;
}

/* What make_l1 has done is undone; returns r. */
static int undo_l1(struct qcow2 *q, struct qcow2_l1 from, struct qcow2_l1 to, int r)
{
	struct err ignored = ERR_INIT;

	if (q->alloc->writer->failed)
		return r;
	qcow2_walk_unshare(q, from);
	if (qcow2_alloc_prepare(q->alloc, 1, &ignored) == 0)
		qcow2_l1_drop(q, to);
	return r;
}

/* Taking. */

static int check_possible(const struct qcow2 *q, struct err *e)
{
	if (q->external)
		return err_set(e, ENOTSUP,
			"snapshots in an image with an external data file keep no data");
	return 0;
}

/* One more than the largest that there is, as QEMU does. */
static void next_id(const struct image *img, char id[16])
{
	uint32_t max = 0;

	for (size_t i = 1; i < img->nstates; i++) {
		unsigned long n = strtoul(img->states[i]->id, NULL, 10);

		if (n < UINT32_MAX)
			max = MAX(max, (uint32_t)n);
	}
	snprintf(id, 16, "%" PRIu32, max + 1);
}

static struct qcow2_snapshot describe(const struct qcow2 *q, const char *id, const char *name)
{
	struct qcow2_snapshot s = {
		.id_len = strlen(id),
		.name_len = strlen(name),
		.disk_size = q->header.size,
		.icount = -1,
	};

	clock_gettime(CLOCK_REALTIME, &s.when);
	return s;
}

/* The snapshot has its L1 table and becomes a state, and one in the file. */
static int enlist(struct image *img, const struct qcow2_snapshot *s, const char *id,
	const char *name, struct err *e)
{
	struct qcow2 *q = img->priv;
	struct qcow2_snapshot_table t;
	int r = qcow2_snapshot_table_load(q, qcow2_snapshot_table_entry_max(s), &t, e);

	if (r < 0)
		return r;
	qcow2_snapshot_table_append(&t, s, id, name);
	r = qcow2_snapshot_add(img, q, s, id, name, e);
	if (r == 0) {
		r = qcow2_snapshot_table_store(q, &t, e);
		if (r < 0)
			state_remove(img, img->nstates - 1);
	}
	qcow2_snapshot_table_free(&t);
	return r;
}

static int take_flagless(struct image *img, const char *name, struct err *e)
{
	struct qcow2_view *live = live_of(img);
	struct qcow2 *q = live->q;
	struct qcow2_l1 from = qcow2_l1_of(live), to;
	struct qcow2_snapshot s;
	char id[16];
	int r = make_l1(q, from, from.entries, &to, e);

	if (r < 0)
		return r;
	next_id(img, id);
	s = describe(q, id, name);
	s.l1_pos = to.pos;
	s.l1_size = to.entries;
	r = enlist(img, &s, id, name, e);
	return r < 0 ? undo_l1(q, from, to, r) : 0;
}

static int take(struct image *img, const char *name, struct err *e)
{
	struct qcow2_view *live = live_of(img);
	struct err ignored = ERR_INIT;
	int r = check_possible(live->q, e);

	if (r == 0 && live->q->header.nsnapshots >= QCOW2_MAX_SNAPSHOTS)
		r = err_set(e, EFBIG, "an image cannot have more than %d snapshots",
			QCOW2_MAX_SNAPSHOTS);
	if (r < 0)
		return r;
	r = qcow2_walk_clear_copied(live, e);
	if (r == 0)
		r = writer_write_back(live->q->alloc->writer, e);
	if (r == 0)
		r = take_flagless(img, name, e);
	if (r < 0 && !img->writer->failed)
		settle(live, &ignored);
	return r;
}

/* Dropping. */

static int find_entry(const struct qcow2 *q, size_t i, struct qcow2_snapshot *s, struct err *e)
{
	uint64_t pos = q->header.snapshots_pos;
	int r = 0;

	do {
		r = qcow2_snapshot_read(q, pos, s, e);
		pos += r < 0 ? 0 : round_up(s->len, QCOW2_SNAPSHOT_ALIGN);
	} while (r == 0 && --i > 0);
	return r;
}

static int delist(struct qcow2 *q, size_t i, struct err *e)
{
	struct qcow2_snapshot_table t;
	int r = qcow2_snapshot_table_load(q, 0, &t, e);

	if (r < 0)
		return r;
	qcow2_snapshot_table_remove(&t, i - 1);
	r = qcow2_snapshot_table_store(q, &t, e);
	qcow2_snapshot_table_free(&t);
	return r;
}

static int drop(struct image *img, size_t i, struct err *e)
{
	struct qcow2_view *live = live_of(img);
	struct qcow2 *q = live->q;
	struct err why = ERR_INIT;
	struct qcow2_snapshot s = {0};
	struct qcow2_l1 l1;
	int r = find_entry(q, i, &s, e);

	l1 = (struct qcow2_l1){.pos = s.l1_pos, .entries = s.l1_size};
	if (r == 0)
		r = qcow2_walk_check(q, l1, e);
	if (r == 0)
		r = delist(q, i, e);
	if (r < 0)
		return r;
	r = qcow2_walk_drop(q, l1, &why);
	if (r == 0)
		r = qcow2_alloc_prepare(q->alloc, 1, &why);
	if (r == 0)
		qcow2_l1_drop(q, l1);
	if (r == 0)
		r = settle(live, &why);
	return qcow2_walk_warn_leak(img, r, &why);
}

/* Renaming. */

static int rename_entry(struct image *img, size_t i, const char *name, struct err *e)
{
	struct qcow2 *q = img->priv;
	struct qcow2_snapshot_table t;
	int r = qcow2_snapshot_table_load(q, strlen(name) + QCOW2_SNAPSHOT_ALIGN, &t, e);

	if (r < 0)
		return r;
	qcow2_snapshot_table_rename(&t, i - 1, name);
	r = qcow2_snapshot_table_store(q, &t, e);
	qcow2_snapshot_table_free(&t);
	return r;
}

/* Going back. */

static int check_apply(const struct qcow2 *q, const struct qcow2_snapshot *s, struct err *e)
{
	int r = check_possible(q, e);

	return r == 0 ? qcow2_resize_check(q, s->disk_size, e) : r;
}

/* The disk of the snapshot is the live one; durable on return. */
static int switch_to(struct qcow2_view *live, struct qcow2_l1 l1, uint64_t size, struct err *e)
{
	int r = qcow2_resize_put_size(live, size, e);

	return r == 0 ? qcow2_l1_switch(live, l1, e) : r;
}

/* What lies behind the disk, the state of a machine, stays with the snapshot. */
static int apply(struct image *img, size_t i, struct err *e)
{
	struct qcow2_view *live = live_of(img);
	struct qcow2 *q = live->q;
	struct qcow2_l1 from, to, old = qcow2_l1_of(live);
	struct qcow2_snapshot s;
	uint64_t needed;
	struct err why = ERR_INIT;
	int r = find_entry(q, i, &s, e);

	if (r == 0)
		r = check_apply(q, &s, e);
	if (r < 0)
		return r;
	needed = div_round_up(s.disk_size, UINT64_C(1) << qcow2_l1_bits(q));
	from = (struct qcow2_l1){.pos = s.l1_pos, .entries = MIN(s.l1_size, needed)};
	r = qcow2_walk_check(q, from, e);
	if (r == 0)
		r = make_l1(q, from, MAX(needed, 1), &to, e);
	if (r < 0)
		return r;
	r = switch_to(live, to, s.disk_size, e);
	if (r < 0)
		return undo_l1(q, from, to, r);
	r = qcow2_walk_drop(q, old, &why);
	if (r == 0)
		r = settle(live, &why);
	return qcow2_walk_warn_leak(img, r, &why);
}

const struct snapshot_ops qcow2_snapshot_ops = {
	.create = take,
	.delete = drop,
	.rename = rename_entry,
	.apply = apply,
};
