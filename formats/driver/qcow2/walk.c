/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* walk.c - all that an L1 table refers to, its L2 tables and their clusters: with one
 * reference more or less, and flagged as the live disk's own or not.
 *
 * Everything here runs with the gate closed and may take the time that it takes to read all tables.
 */
#include "walk.h"

#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/writeback.h"
#include "view/writer.h"
#include "image/image.h"
#include "alloc.h"
#include "l1.h"
#include "l2.h"
#include "qcow2.h"
#include "refcount.h"

/* Walks. */

/* Entry number i of an L1 table, and the L2 table that it points to. */
struct l1_entry {
	uint64_t i, entry, table;
};

typedef int each_table(void *arg, const struct l1_entry *l, struct err *e);

static int look_at(const struct qcow2 *q, uint64_t i, uint64_t entry, each_table *each, void *arg,
	struct err *e)
{
	struct l1_entry l = {.i = i, .entry = entry};
	int r = qcow2_l1_decode(q, entry, &l.table, e);

	if (r == 0 && l.table != 0)
		r = each(arg, &l, e);
	return r < 0 ? err_in(e, "L1 entry %" PRIu64, i) : 0;
}

static int walk(
	const struct qcow2 *q, struct qcow2_l1 l1, each_table *each, void *arg, struct err *e)
{
	unsigned char buf[META_PAGE];
	int r = 0;

	for (uint64_t i = 0, n; r == 0 && i < l1.entries; i += n) {
		n = MIN(l1.entries - i, sizeof buf / QCOW2_ENTRY_SIZE);
		r = meta_read(q->cache, q->io, buf, n * QCOW2_ENTRY_SIZE,
			l1.pos + i * QCOW2_ENTRY_SIZE, e);
		for (uint64_t k = 0; r == 0 && k < n; k++)
			r = look_at(q, i + k, load_be64(buf + k * QCOW2_ENTRY_SIZE), each, arg, e);
	}
	return r;
}

/* Calls for the entries of each page of an L2 table. */
typedef int each_entries(void *arg, struct qcow2_l2_entries *t, struct err *e);

static int walk_table(
	const struct qcow2 *q, uint64_t table, each_entries *each, void *arg, struct err *e)
{
	uint64_t end = UINT64_C(1) << qcow2_l1_bits(q);
	struct qcow2_l2_entries t;
	int r = 0;

	for (uint64_t off = 0; r == 0 && off < end;
		off += (uint64_t)t.n << q->header.cluster_bits) {
		r = qcow2_l2_read(q, table, off, UINT64_MAX, &t, e);
		if (r == 0)
			r = each(arg, &t, e);
	}
	return r;
}

static bool has_cluster(const struct qcow2 *q, uint64_t entry)
{
	enum qcow2_l2_kind kind = qcow2_l2_kind(q, entry);

	return kind == QCOW2_L2_DATA || kind == QCOW2_L2_ZERO_ALLOCATED;
}

/* Checking. */

static int ignore(void *arg, struct qcow2_l2_entries *t, struct err *e)
{
	(void)arg;
	(void)t;
	(void)e;
	return 0;
}

static int check_table(void *arg, const struct l1_entry *l, struct err *e)
{
	return walk_table(arg, l->table, ignore, NULL, e);
}

int qcow2_walk_check(struct qcow2 *q, struct qcow2_l1 l1, struct err *e)
{
	int r = qcow2_l1_check(q, l1.pos, l1.entries, e);

	return r == 0 ? walk(q, l1, check_table, q, e) : r;
}

/* One reference more. */

/* References that follow each other on disk are counted together.  The order is that of the walk,
 * so that the first so many can be taken back. */
struct adding {
	struct qcow2 *q;
	int by;
	uint64_t left, done; /* references to count, and counted */
	struct qcow2_clusters run;
};

static int add_run(struct adding *a, struct err *e)
{
	uint64_t n = MIN(a->run.n, a->left);
	int r = n > 0 ? qcow2_refcount_add(a->q->alloc, a->run.first, n, a->by, e) : 0;

	if (r == 0) {
		a->left -= n;
		a->done += n;
		a->run.n = 0;
	}
	return r;
}

static int add(struct adding *a, uint64_t first, uint64_t n, struct err *e)
{
	int r = 0;

	if (a->run.n > 0 && a->run.first + a->run.n == first) {
		a->run.n += n;
		return 0;
	}
	r = add_run(a, e);
	a->run = (struct qcow2_clusters){.first = first, .n = n};
	return r;
}

/* Tables of a snapshot may have the flag: readers of it do not mind, and who takes version 2 from
 * version 3 (qemu-img amend) leaves it there.  The live disk would overwrite what it shares. */
static int clear_flags(const struct qcow2 *q, struct qcow2_l2_entries *t, struct err *e)
{
	bool changed = false;

	for (size_t i = 0; i < t->n; i++) {
		unsigned char *p = t->raw + i * q->entry_size;
		uint64_t entry = load_be64(p);

		if (!(entry & QCOW2_COPIED) || !has_cluster(q, entry))
			continue;
		store_be64(p, entry & ~QCOW2_COPIED);
		changed = true;
	}
	return changed ? meta_write(q->io, t->raw, t->n * q->entry_size, t->pos, ORDER_TABLES, e)
		       : 0;
}

static int add_entries(void *arg, struct qcow2_l2_entries *t, struct err *e)
{
	struct adding *a = arg;
	const struct qcow2 *q = a->q;
	unsigned bits = q->header.cluster_bits;
	int r = a->by > 0 ? clear_flags(q, t, e) : 0;

	for (size_t i = 0; r == 0 && i < t->n; i++) {
		uint64_t entry = load_be64(t->raw + i * q->entry_size), pos, len;

		if (qcow2_l2_kind(q, entry) == QCOW2_L2_COMPRESSED) {
			pos = qcow2_l2_compressed_range(q, entry, &len);
			r = add(a, pos >> bits, qcow2_clusters_of(q, pos, len), e);
		} else if (has_cluster(q, entry)) {
			r = add(a, (entry & QCOW2_OFFSET) >> bits, 1, e);
		}
	}
	return r;
}

static int add_table(void *arg, const struct l1_entry *l, struct err *e)
{
	struct adding *a = arg;
	int r = add(a, l->table >> a->q->header.cluster_bits, 1, e);

	if (r == 0)
		r = walk_table(a->q, l->table, add_entries, a, e);
	return r == 0 ? qcow2_alloc_relieve(a->q->alloc, e) : r;
}

static int add_all(struct adding *a, struct qcow2_l1 l1, struct err *e)
{
	int r = walk(a->q, l1, add_table, a, e);

	return r == 0 ? add_run(a, e) : r;
}

int qcow2_walk_share(struct qcow2 *q, struct qcow2_l1 l1, struct err *e)
{
	struct adding up = {.q = q, .by = 1, .left = UINT64_MAX}, back;
	struct err ignored = ERR_INIT;
	int r = add_all(&up, l1, e);

	back = (struct adding){.q = q, .by = -1, .left = up.done};
	if (r < 0)
		add_all(&back, l1, &ignored);
	return r;
}

void qcow2_walk_unshare(struct qcow2 *q, struct qcow2_l1 l1)
{
	struct adding down = {.q = q, .by = -1, .left = UINT64_MAX};
	struct err ignored = ERR_INIT;

	add_all(&down, l1, &ignored);
}

/* One reference less. */

static int drop_entries(void *arg, struct qcow2_l2_entries *t, struct err *e)
{
	struct qcow2 *q = arg;
	int r = qcow2_alloc_prepare(q->alloc, t->n, e);

	for (size_t i = 0; r == 0 && i < t->n; i++)
		qcow2_l2_drop_entry(q->alloc, t->raw + i * q->entry_size);
	return r;
}

static int drop_table(void *arg, const struct l1_entry *l, struct err *e)
{
	struct qcow2 *q = arg;
	int r = walk_table(q, l->table, drop_entries, q, e);

	if (r == 0)
		r = qcow2_alloc_prepare(q->alloc, 1, e);
	if (r < 0)
		return r;
	qcow2_alloc_drop(q->alloc, l->table >> q->header.cluster_bits, 1);
	return qcow2_alloc_relieve(q->alloc, e);
}

int qcow2_walk_drop(struct qcow2 *q, struct qcow2_l1 l1, struct err *e)
{
	return walk(q, l1, drop_table, q, e);
}

int qcow2_walk_warn_leak(struct image *img, int r, const struct err *why)
{
	if (r < 0 && !img->writer->failed)
		image_warn(img, "room is lost, vdisk check -r leaks finds it: %s", why->text);
	return 0;
}

/* The flag COPIED in the tables of the live disk. */

struct flags {
	struct qcow2_view *live;
	bool renew;                 /* by the refcounts; else none shall be */
	struct qcow2_clusters like; /* clusters that have the refcount that was looked up last */
	uint64_t count;
};

static int look_up(struct flags *f, uint64_t cluster, bool *once, struct err *e)
{
	int r = 0;

	if (cluster - f->like.first >= f->like.n) {
		f->like.first = cluster;
		r = qcow2_refcount_get(
			f->live->q->alloc, cluster, UINT64_MAX, &f->count, &f->like.n, e);
	}
	*once = f->count == 1;
	return r;
}

/* The entry at p with the flag as it should be; *changed: it was not. */
static int put_flag(struct flags *f, unsigned char *p, bool *changed, struct err *e)
{
	uint64_t entry = load_be64(p), cluster = entry & QCOW2_OFFSET;
	bool once = false;
	int r = 0;

	if (f->renew)
		r = look_up(f, cluster >> f->live->q->header.cluster_bits, &once, e);
	if (r == 0 && once != !!(entry & QCOW2_COPIED)) {
		store_be64(p, entry ^ QCOW2_COPIED);
		*changed = true;
	}
	return r;
}

static int flag_entries(void *arg, struct qcow2_l2_entries *t, struct err *e)
{
	struct flags *f = arg;
	const struct qcow2 *q = f->live->q;
	bool changed = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->n; i++) {
		unsigned char *p = t->raw + i * q->entry_size;

		if (has_cluster(q, load_be64(p)))
			r = put_flag(f, p, &changed, e);
	}
	if (r == 0 && changed)
		r = meta_write(q->io, t->raw, t->n * q->entry_size, t->pos, ORDER_TABLES, e);
	return r;
}

/* What is in a table that others have as well is theirs, too, and has no flag when all flags are as
 * counts are; to clear them, each table is looked at, since the flag of the table may be missing.
 */
static int flag_table(void *arg, const struct l1_entry *l, struct err *e)
{
	struct flags *f = arg;
	struct qcow2 *q = f->live->q;
	unsigned char raw[QCOW2_ENTRY_SIZE];
	bool changed = false;
	int r;

	store_be64(raw, l->entry);
	r = put_flag(f, raw, &changed, e);
	if (r == 0 && (!f->renew || (l->entry | load_be64(raw)) & QCOW2_COPIED))
		r = walk_table(q, l->table, flag_entries, f, e);
	if (r == 0 && changed)
		r = meta_write(q->io, raw, sizeof raw, f->live->l1_pos + l->i * sizeof raw,
			ORDER_TABLES_ROOT, e);
	f->like.n = 0; /* counts change now */
	return r == 0 ? qcow2_alloc_relieve(q->alloc, e) : r;
}

static int put_flags(struct flags *f, struct err *e)
{
	return walk(f->live->q, qcow2_l1_of(f->live), flag_table, f, e);
}

int qcow2_walk_clear_copied(struct qcow2_view *live, struct err *e)
{
	return put_flags(&(struct flags){.live = live}, e);
}

int qcow2_walk_renew_copied(struct qcow2_view *live, struct err *e)
{
	return put_flags(&(struct flags){.live = live, .renew = true}, e);
}
