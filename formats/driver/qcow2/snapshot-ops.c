/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot-ops.c - internal snapshots created, deleted, renamed and applied.
 *
 * A snapshot has an L1 table of its own; the L2 tables and clusters are shared with the live disk
 * and other snapshots until they are written to.  Each change is ordered so that a power cut leaves
 * leaked clusters and entries without COPIED, never a refcount that is too low:
 *
 *   COPIED is cleared before refcounts rise, and set again after they have fallen;
 *   the header points to a new snapshot table, or to a new L1 table, only when that is complete.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/bytes.h"
#include "util/err.h"
#include "view/writer.h"
#include "image/image.h"
#include "image/snapshot.h"
#include "alloc.h"
#include "l1.h"
#include "resize.h"
#include "snapshot.h"
#include "walk.h"

static struct qcow2_view *live_of(const struct image *img)
{
	return (struct qcow2_view *)img->states[0]->view;
}

/* Frees what was dropped, and sets COPIED for what only the live disk refers to now. */
static int release(struct qcow2_view *live, struct err *e)
{
	int r = qcow2_alloc_flush(live->q->alloc, e);

	return r == 0 ? qcow2_walk_flag_copied(live, true, e) : r;
}

/* Makes an L1 table of so many entries, the first of which are those of from, and adds a reference
 * to everything that they refer to. */
static int copy_l1(
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

/* Undoes copy_l1. */
static void undo_copy(struct qcow2 *q, struct qcow2_l1 from, struct qcow2_l1 to)
{
	struct err ignored = ERR_INIT;

	if (q->alloc->writer->failed)
		return;
	qcow2_walk_unshare(q, from);
	if (qcow2_alloc_prepare(q->alloc, 1, &ignored) == 0)
		qcow2_l1_drop(q, to);
}

static int check_possible(const struct qcow2 *q, struct err *e)
{
	if (q->external)
		return err_set(e, ENOTSUP,
			"snapshots in an image with an external data file keep no data");
	return 0;
}

/* One more than the largest id, as in QEMU. */
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

/* Adds a snapshot with this L1 table to the states and to the table in the file. */
static int add_snapshot(struct image *img, struct qcow2_l1 l1, const char *name, struct err *e)
{
	struct qcow2 *q = img->priv;
	struct qcow2_snapshot_table t;
	struct qcow2_snapshot s = {
		.l1_pos = l1.pos,
		.l1_size = l1.entries,
		.name_len = strlen(name),
		.disk_size = q->header.size,
		.icount = -1,
	};
	char id[16];
	int r;

	next_id(img, id);
	s.id_len = strlen(id);
	clock_gettime(CLOCK_REALTIME, &s.when);
	r = qcow2_snapshot_table_load(q, qcow2_snapshot_table_entry_max(&s), &t, e);
	if (r < 0)
		return r;
	qcow2_snapshot_table_append(&t, &s, id, name);
	r = qcow2_snapshot_add(img, q, &s, id, name, e);
	if (r < 0) {
		free(t.p);
		return r;
	}
	r = qcow2_snapshot_table_store(q, &t, e);
	if (r < 0)
		state_remove(img, img->nstates - 1);
	return r;
}

static int create(struct image *img, const char *name, struct err *e)
{
	struct qcow2_view *live = live_of(img);
	struct qcow2 *q = live->q;
	struct qcow2_l1 from, to;
	struct err ignored = ERR_INIT;
	int r = check_possible(q, e);

	if (r == 0 && q->header.nsnapshots >= QCOW2_MAX_SNAPSHOTS)
		r = err_set(e, EFBIG, "an image cannot have more than %d snapshots",
			QCOW2_MAX_SNAPSHOTS);
	if (r < 0)
		return r;
	r = qcow2_walk_flag_copied(live, false, e);
	if (r == 0)
		r = writer_write_back(q->alloc->writer, e);
	from = qcow2_l1_of(live);
	if (r == 0)
		r = copy_l1(q, from, from.entries, &to, e);
	if (r == 0) {
		r = add_snapshot(img, to, name, e);
		if (r < 0)
			undo_copy(q, from, to);
	}
	if (r < 0 && !img->writer->failed)
		release(live, &ignored);
	return r;
}

/* Reads the entry of state number i. */
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

static int delete (struct image *img, size_t i, struct err *e)
{
	struct qcow2_view *live = live_of(img);
	struct qcow2 *q = live->q;
	struct err why = ERR_INIT;
	struct qcow2_snapshot s = {0};
	struct qcow2_snapshot_table t;
	struct qcow2_l1 l1;
	int r = find_entry(q, i, &s, e);

	l1 = (struct qcow2_l1){.pos = s.l1_pos, .entries = s.l1_size};
	if (r == 0)
		r = qcow2_walk_check(q, l1, e);
	if (r == 0)
		r = qcow2_snapshot_table_load(q, 0, &t, e);
	if (r < 0)
		return r;
	qcow2_snapshot_table_remove(&t, i - 1);
	r = qcow2_snapshot_table_store(q, &t, e);
	if (r < 0)
		return r;
	r = qcow2_walk_drop(q, l1, &why);
	if (r == 0)
		r = qcow2_alloc_prepare(q->alloc, 1, &why);
	if (r == 0)
		qcow2_l1_drop(q, l1);
	if (r == 0)
		r = release(live, &why);
	return qcow2_walk_warn_leak(img, r, &why);
}

static int rename_entry(struct image *img, size_t i, const char *name, struct err *e)
{
	struct qcow2 *q = img->priv;
	struct qcow2_snapshot_table t;
	int r = qcow2_snapshot_table_load(q, strlen(name) + QCOW2_SNAPSHOT_ALIGN, &t, e);

	if (r < 0)
		return r;
	qcow2_snapshot_table_rename(&t, i - 1, name);
	return qcow2_snapshot_table_store(q, &t, e);
}

static bool same_place(const struct extent *a, const struct extent *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == EXTENT_ZERO || (a->pos == b->pos && a->unit_id == b->unit_id);
}

/* Sets the bits of bitmaps for what applying the snapshot with this view changes: ranges that are
 * not read from the same place.  One that cannot be mapped counts as changed. */
static int record_changes(struct qcow2_view *live, const struct view *to, struct err *e)
{
	uint64_t end = MIN(live->view.size, to->size), len;
	int r = qcow2_dirty_begin(live->q, e);

	for (uint64_t off = 0; r == 0 && live->q->dirty.n > 0 && off < end; off += len) {
		struct extent a, b;
		struct err ignored = ERR_INIT;
		bool mapped = view_map(&live->view, off, end - off, &a, &ignored) == 0 &&
			      view_map(to, off, end - off, &b, &ignored) == 0;

		len = mapped ? MIN(a.len, b.len) : MIN(end - off, live->q->cluster_size);
		if (!mapped || !same_place(&a, &b))
			qcow2_dirty_set(live->q, off, len);
	}
	return r;
}

/* The VM state, which lies beyond the end of the disk, is not copied. */
static int apply(struct image *img, size_t i, struct err *e)
{
	struct qcow2_view *live = live_of(img);
	struct qcow2 *q = live->q;
	struct qcow2_l1 from, to, old = qcow2_l1_of(live);
	struct qcow2_snapshot s;
	uint64_t needed, size = live->view.size;
	struct err why = ERR_INIT;
	int r = find_entry(q, i, &s, e);

	if (r == 0)
		r = check_possible(q, e);
	if (r == 0)
		r = qcow2_resize_check(q, s.disk_size, e);
	if (r < 0)
		return r;
	needed = qcow2_l1_needed(q, s.disk_size);
	from = (struct qcow2_l1){.pos = s.l1_pos, .entries = MIN(s.l1_size, needed)};
	r = qcow2_walk_check(q, from, e);
	if (r == 0)
		r = record_changes(live, img->states[i]->view, e);
	if (r == 0)
		r = copy_l1(q, from, MAX(needed, 1), &to, e);
	if (r < 0)
		return r;
	r = qcow2_resize_put_size(live, s.disk_size, e);
	if (r == 0)
		r = qcow2_l1_switch(live, to, e);
	if (r < 0) {
		undo_copy(q, from, to);
		return r;
	}
	if (s.disk_size != size) {
		qcow2_dirty_resize(q, size);
		if (s.disk_size > size)
			qcow2_dirty_set(q, size, s.disk_size - size);
	}
	r = qcow2_walk_drop(q, old, &why);
	if (r == 0)
		r = release(live, &why);
	return qcow2_walk_warn_leak(img, r, &why);
}

const struct snapshot_ops qcow2_snapshot_ops = {
	.create = create,
	.delete = delete,
	.rename = rename_entry,
	.apply = apply,
};
