/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2-snap-write.c - internal snapshots taken, dropped, renamed and gone back to.
 *
 * A snapshot is an L1 table of its own; all below it is shared with the live disk and other
 * snapshots until somebody writes.  The order of each change is such that a power cut leaves room
 * that nobody uses and entries that are not flagged as the disk's own, never a refcount that is
 * too low: the flags go before counts rise, and come back after counts have fallen; the header
 * points to a new table of snapshots, or to a new L1 table, when that is whole.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bytes.h"
#include "cache.h"
#include "err.h"
#include "image.h"
#include "io.h"
#include "qcow2-write.h"
#include "qcow2.h"
#include "snapshot.h"
#include "view.h"
#include "writeback.h"
#include "writer.h"

#define EXTRA 24u /* bytes of extra data that QEMU writes today */

static struct qcow2_view *live_of(const struct image *img)
{
	return (struct qcow2_view *)img->states[0]->view;
}

/* The table of snapshots, in memory. */

struct table {
	unsigned char *p;
	uint64_t len, room;
	uint32_t n;
};

static uint64_t entry_len(const unsigned char *p)
{
	return round_up(
		QCOW2_SNAPSHOT_FIXED + load_be32(p + 36) + load_be16(p + 12) + load_be16(p + 14),
		QCOW2_SNAPSHOT_ALIGN);
}

/* Of an image that was opened: so its table makes sense.  more: bytes that will be added. */
static int table_load(const struct qcow2 *q, uint64_t more, struct table *t, struct err *e)
{
	uint64_t start = q->header.snapshots_pos;
	struct qcow2_snapshot s;
	int r = 0;

	*t = (struct table){.n = q->header.nsnapshots};
	for (uint32_t i = 0; r == 0 && i < t->n; i++) {
		r = qcow2_snapshot_read(q, start + t->len, &s, e);
		t->len += r < 0 ? 0 : round_up(s.len, QCOW2_SNAPSHOT_ALIGN);
	}
	t->room = t->len + more;
	if (r == 0 && t->room > QCOW2_MAX_SNAPSHOT_BYTES)
		r = err_set(e, EFBIG, "the table of snapshots cannot be larger than %u bytes",
			QCOW2_MAX_SNAPSHOT_BYTES);
	if (r < 0)
		return r;
	t->p = calloc(1, t->room + 1);
	if (!t->p)
		return err_nomem(e);
	r = meta_read(q->cache, q->io, t->p, t->len, start, e);
	if (r < 0)
		free(t->p);
	return r;
}

/* Where entry number i begins; the n-th is the end. */
static unsigned char *table_at(const struct table *t, size_t i)
{
	unsigned char *p = t->p;

	while (i-- > 0)
		p += entry_len(p);
	return p;
}

static void table_remove(struct table *t, size_t i)
{
	unsigned char *p = table_at(t, i), *next = p + entry_len(p);

	memmove(p, next, t->p + t->len - next);
	t->len -= next - p;
	t->n--;
}

static void table_append(
	struct table *t, const struct qcow2_snapshot *s, const char *id, const char *name)
{
	unsigned char *p = t->p + t->len, *q = p + QCOW2_SNAPSHOT_FIXED;

	store_be64(p, s->l1_pos);
	store_be32(p + 8, s->l1_size);
	store_be16(p + 12, s->id_len);
	store_be16(p + 14, s->name_len);
	store_be32(p + 16, s->when.tv_sec);
	store_be32(p + 20, s->when.tv_nsec);
	store_be64(p + 24, s->vm_clock);
	store_be32(p + 32, 0); /* bytes of VM state, once more in the extra data */
	store_be32(p + 36, EXTRA);
	store_be64(q, s->vmstate_size);
	store_be64(q + 8, s->disk_size);
	store_be64(q + 16, s->icount);
	memcpy(q + EXTRA, id, s->id_len);
	memcpy(q + EXTRA + s->id_len, name, s->name_len);
	t->len += entry_len(p);
	t->n++;
}

/* The name is the last part of an entry; there is room for it to be longer. */
static void table_rename(struct table *t, size_t i, const char *name)
{
	unsigned char *p = table_at(t, i), *next = p + entry_len(p), *at;
	size_t rest = t->p + t->len - next, n = strlen(name);

	at = p + QCOW2_SNAPSHOT_FIXED + load_be32(p + 36) + load_be16(p + 12);
	store_be16(p + 14, n);
	memmove(p + entry_len(p), next, rest);
	memset(at, 0, p + entry_len(p) - at);
	memcpy(at, name, n);
	t->len = p + entry_len(p) + rest - t->p;
}

/* Where no data may lie. */
static void set_range(struct qcow2 *q, uint64_t pos, uint64_t len)
{
	static const char what[] = "snapshot table";
	unsigned i = 0;

	while (i < q->nranges && strcmp(q->ranges[i].what, what) != 0)
		i++;
	q->ranges[i] = (struct qcow2_range){
		.what = what, .pos = pos, .len = round_up(len, q->cluster_size)};
	q->nranges = MAX(q->nranges, i + 1);
}

static int put_header(struct qcow2 *q, uint64_t pos, uint32_t n, struct err *e)
{
	unsigned char raw[12];

	store_be32(raw, n);
	store_be64(raw + 4, pos);
	return meta_write(q->io, raw, sizeof raw, QCOW2_AT_SNAPSHOTS, ORDER_HEADER, e);
}

static int take_room(struct qcow2 *q, uint64_t len, struct qcow2_clusters *c, struct err *e)
{
	bool fresh;

	*c = (struct qcow2_clusters){0};
	if (len == 0)
		return 0;
	return qcow2_alloc_take(q->alloc, div_round_up(len, q->cluster_size), true, c, &fresh, e);
}

static void drop_room(struct qcow2 *q, uint64_t pos, uint64_t len)
{
	if (len > 0)
		qcow2_alloc_drop(q->alloc, pos >> q->header.cluster_bits,
			div_round_up(len, q->cluster_size));
}

/* The table takes the place of the one in the file; durable on return. */
static int table_store(struct qcow2 *q, const struct table *t, uint64_t old_len, struct err *e)
{
	struct qcow2_header *h = &q->header;
	struct qcow2_clusters c;
	uint64_t pos, old = h->snapshots_pos;
	int r = qcow2_alloc_prepare(q->alloc, 2, e);

	if (r == 0)
		r = take_room(q, t->len, &c, e);
	if (r < 0)
		return r;
	pos = c.first << h->cluster_bits;
	r = meta_write(q->io, t->p, t->len, pos, ORDER_TABLES_ROOT, e);
	if (r == 0)
		r = put_header(q, pos, t->n, e);
	if (r < 0) {
		drop_room(q, pos, t->len);
		return r;
	}
	drop_room(q, old, old_len);
	set_range(q, pos, t->len);
	h->snapshots_pos = pos;
	h->nsnapshots = t->n;
	return writer_write_back(q->alloc->writer, e);
}

/* What was dropped is free, and what the disk has for itself now is flagged. */
static int settle(struct qcow2_view *live, struct err *e)
{
	struct writer *w = live->q->alloc->writer;
	int r = writer_write_back(w, e);

	if (r == 0 && qcow2_durable(&live->view))
		r = qcow2_settle(&live->view, e);
	return r == 0 ? qcow2_flags_renew(live, e) : r;
}

/* The change is done, and stays so, even if the room is not found that it has freed. */
static int end(struct image *img, int r, const struct err *why)
{
	if (r < 0 && !img->writer->failed)
		image_warn(img, "room is lost, vdisk check -r leaks finds it: %s", why->text);
	return 0;
}

/* Another L1 table. */

/* A table of entries, of which the first are those of from, with a reference more to all that they
 * point to. */
static int make_l1(
	struct qcow2 *q, struct qcow2_l1 from, uint32_t entries, struct qcow2_l1 *to, struct err *e)
{
	uint64_t len = (uint64_t)entries * QCOW2_ENTRY_SIZE;
	struct qcow2_clusters c;
	int r = qcow2_alloc_prepare(q->alloc, 1, e);

	if (r == 0)
		r = take_room(q, len, &c, e);
	if (r < 0)
		return r;
	*to = (struct qcow2_l1){.pos = c.first << q->header.cluster_bits, .entries = entries};
	r = meta_zero(q->io, c.n << q->header.cluster_bits, to->pos, ORDER_TABLES_ROOT, e);
	if (r == 0)
		r = qcow2_l1_copy(q, from, to->pos, ~QCOW2_COPIED, e);
	if (r == 0)
		r = qcow2_tree_share(q, from, e);
	if (r < 0)
		drop_room(q, to->pos, len);
	return r;
}

/* What make_l1 has done is undone; returns r. */
static int undo_l1(struct qcow2 *q, struct qcow2_l1 from, struct qcow2_l1 to, int r)
{
	struct err ignored = ERR_INIT;

	if (q->alloc->writer->failed)
		return r;
	qcow2_tree_unshare(q, from);
	if (qcow2_alloc_prepare(q->alloc, 1, &ignored) == 0)
		drop_room(q, to.pos, (uint64_t)to.entries * QCOW2_ENTRY_SIZE);
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
	struct table t;
	uint64_t old_len;
	int r = table_load(q,
		QCOW2_SNAPSHOT_FIXED + EXTRA + s->id_len + s->name_len + QCOW2_SNAPSHOT_ALIGN, &t,
		e);

	if (r < 0)
		return r;
	old_len = t.len;
	table_append(&t, s, id, name);
	r = qcow2_snapshot_add(img, q, s, id, name, e);
	if (r == 0) {
		r = table_store(q, &t, old_len, e);
		if (r < 0)
			state_remove(img, img->nstates - 1);
	}
	free(t.p);
	return r;
}

static int take_flagless(struct image *img, const char *name, struct err *e)
{
	struct qcow2_view *live = live_of(img);
	struct qcow2 *q = live->q;
	struct qcow2_l1 from = {.pos = live->l1_pos, .entries = live->l1_size}, to;
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
	r = qcow2_flags_clear(live, e);
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
	struct table t;
	uint64_t old_len;
	int r = table_load(q, 0, &t, e);

	if (r < 0)
		return r;
	old_len = t.len;
	table_remove(&t, i - 1);
	r = table_store(q, &t, old_len, e);
	free(t.p);
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
		r = qcow2_tree_check(q, l1, e);
	if (r == 0)
		r = delist(q, i, e);
	if (r < 0)
		return r;
	r = qcow2_tree_drop(q, l1, &why);
	if (r == 0)
		r = qcow2_alloc_prepare(q->alloc, 1, &why);
	if (r == 0)
		drop_room(q, l1.pos, (uint64_t)l1.entries * QCOW2_ENTRY_SIZE);
	if (r == 0)
		r = settle(live, &why);
	return end(img, r, &why);
}

/* Renaming. */

static int rename_entry(struct image *img, size_t i, const char *name, struct err *e)
{
	struct qcow2 *q = img->priv;
	struct table t;
	uint64_t old_len;
	int r = table_load(q, strlen(name) + QCOW2_SNAPSHOT_ALIGN, &t, e);

	if (r < 0)
		return r;
	old_len = t.len;
	table_rename(&t, i - 1, name);
	r = table_store(q, &t, old_len, e);
	free(t.p);
	return r;
}

/* Going back. */

static int check_apply(const struct qcow2 *q, const struct qcow2_snapshot *s, struct err *e)
{
	int r = check_possible(q, e);

	return r == 0 ? qcow2_size_check(q, s->disk_size, e) : r;
}

/* The disk of the snapshot is the live one; durable on return. */
static int switch_to(struct qcow2_view *live, struct qcow2_l1 l1, uint64_t size, struct err *e)
{
	int r = qcow2_put_size(live, size, e);

	return r == 0 ? qcow2_switch_l1(live, l1.pos, l1.entries, e) : r;
}

/* What lies behind the disk, the state of a machine, stays with the snapshot. */
static int apply(struct image *img, size_t i, struct err *e)
{
	struct qcow2_view *live = live_of(img);
	struct qcow2 *q = live->q;
	struct qcow2_l1 from, to, old = {.pos = live->l1_pos, .entries = live->l1_size};
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
	r = qcow2_tree_check(q, from, e);
	if (r == 0)
		r = make_l1(q, from, MAX(needed, 1), &to, e);
	if (r < 0)
		return r;
	r = switch_to(live, to, s.disk_size, e);
	if (r < 0)
		return undo_l1(q, from, to, r);
	r = qcow2_tree_drop(q, old, &why);
	if (r == 0)
		r = settle(live, &why);
	return end(img, r, &why);
}

const struct snapshot_ops qcow2_snapshot_ops = {
	.take = take,
	.drop = drop,
	.rename = rename_entry,
	.apply = apply,
};
