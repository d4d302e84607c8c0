/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* walk.c - all that an L1 table refers to, its L2 tables and their clusters: with one reference
 * more or less, and with COPIED set or cleared.
 */
#include "walk.h"

#include <inttypes.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "io/meta.h"
#include "io/writeback.h"
#include "view/writer.h"
#include "image/image.h"
#include "alloc.h"
#include "l1.h"
#include "l2.h"

/* Entry number i of an L1 table, and the L2 table that it points to. */
struct l1_entry {
	uint64_t i, entry, table;
};

typedef int each_table(void *arg, const struct l1_entry *l, struct err *e);

static int walk_l1(
	const struct qcow2 *q, struct qcow2_l1 l1, each_table *each, void *arg, struct err *e)
{
	unsigned char buf[META_PAGE];
	int r = 0;

	for (uint64_t i = 0, n; r == 0 && i < l1.entries; i += n) {
		n = MIN(l1.entries - i, sizeof buf / QCOW2_ENTRY_SIZE);
		r = meta_read(q->cache, q->io, buf, n * QCOW2_ENTRY_SIZE,
			l1.pos + i * QCOW2_ENTRY_SIZE, e);
		for (uint64_t k = 0; r == 0 && k < n; k++) {
			struct l1_entry l = {i + k, load_be64(buf + k * QCOW2_ENTRY_SIZE), 0};

			r = qcow2_l1_decode(q, l.entry, &l.table, e);
			if (r == 0 && l.table != 0)
				r = each(arg, &l, e);
			if (r < 0)
				err_in(e, "L1 entry %" PRIu64, l.i);
		}
	}
	return r;
}

/* Is called with the entries of each page of an L2 table. */
typedef int each_entries(void *arg, struct qcow2_l2_entries *t, struct err *e);

static int walk_l2(
	const struct qcow2 *q, uint64_t table, each_entries *each, void *arg, struct err *e)
{
	uint64_t end = UINT64_C(1) << qcow2_l1_bits(q);
	struct qcow2_l2_entries t;
	int r = 0;

	for (uint64_t off = 0; r == 0 && off < end;
		off += (uint64_t)t.n << q->header.cluster_bits) {
		r = qcow2_l2_read(q, table, off, UINT64_MAX, &t, e);
		if (r == 0 && each)
			r = each(arg, &t, e);
	}
	return r;
}

static int check_table(void *arg, const struct l1_entry *l, struct err *e)
{
	return walk_l2(arg, l->table, NULL, NULL, e);
}

int qcow2_walk_check(struct qcow2 *q, struct qcow2_l1 l1, struct err *e)
{
	int r = qcow2_l1_check(q, l1.pos, l1.entries, e);

	return r == 0 ? walk_l1(q, l1, check_table, q, e) : r;
}

/* Corrects COPIED in entries. */
struct copied {
	const struct qcow2 *q;
	uint64_t l1_pos;            /* of the live disk */
	bool renew;                 /* set it by the refcounts; else clear it */
	struct qcow2_clusters same; /* clusters that have the refcount that was looked up last */
	uint64_t refcount;
};

/* Sets or clears the flag in the entry at p; sets *changed if it was wrong. */
static int put_flag(struct copied *f, unsigned char *p, bool *changed, struct err *e)
{
	const struct qcow2 *q = f->q;
	uint64_t entry = load_be64(p);
	uint64_t cluster = (entry & QCOW2_OFFSET) >> q->header.cluster_bits;
	int r;

	if (f->renew && cluster - f->same.first >= f->same.n) {
		f->same.first = cluster;
		r = qcow2_refcount_get(q->alloc, cluster, UINT64_MAX, &f->refcount, &f->same.n, e);
		if (r < 0)
			return r;
	}
	if ((f->renew && f->refcount == 1) != !!(entry & QCOW2_COPIED)) {
		store_be64(p, entry ^ QCOW2_COPIED);
		*changed = true;
	}
	return 0;
}

static int flag_entries(void *arg, struct qcow2_l2_entries *t, struct err *e)
{
	struct copied *f = arg;
	const struct qcow2 *q = f->q;
	bool changed = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->n; i++) {
		unsigned char *p = t->raw + i * q->entry_size;

		if (qcow2_l2_has_cluster(q, load_be64(p)))
			r = put_flag(f, p, &changed, e);
	}
	if (r == 0 && changed)
		r = meta_write(q->io, t->raw, t->n * q->entry_size, t->pos, ORDER_TABLES, e);
	return r;
}

/* Adds by to refcounts.  Clusters that follow each other are counted together.  The order is that
 * of the walk, so that the first ones counted can be taken back. */
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

static int add(struct adding *a, struct qcow2_clusters c, struct err *e)
{
	int r = 0;

	if (a->run.n > 0 && a->run.first + a->run.n == c.first) {
		a->run.n += c.n;
		return 0;
	}
	r = add_run(a, e);
	a->run = c;
	return r;
}

/* Tables of a snapshot may have COPIED: its readers ignore it, and qemu-img amend to version 2
 * leaves it there.  Once the live disk shares such a table, it would overwrite shared clusters. */
static int add_entries(void *arg, struct qcow2_l2_entries *t, struct err *e)
{
	struct adding *a = arg;
	const struct qcow2 *q = a->q;
	struct copied clear = {.q = q};
	int r = a->by > 0 ? flag_entries(&clear, t, e) : 0;

	for (size_t i = 0; r == 0 && i < t->n; i++) {
		struct qcow2_clusters c =
			qcow2_l2_clusters(q, load_be64(t->raw + i * q->entry_size));

		if (c.n > 0)
			r = add(a, c, e);
	}
	return r;
}

static int add_table(void *arg, const struct l1_entry *l, struct err *e)
{
	struct adding *a = arg;
	struct qcow2_clusters c = {.first = l->table >> a->q->header.cluster_bits, .n = 1};
	int r = add(a, c, e);

	if (r == 0)
		r = walk_l2(a->q, l->table, add_entries, a, e);
	return r == 0 ? qcow2_alloc_flush_if_full(a->q->alloc, e) : r;
}

static int add_all(struct adding *a, struct qcow2_l1 l1, struct err *e)
{
	int r = walk_l1(a->q, l1, add_table, a, e);

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

static int drop_table(void *arg, const struct l1_entry *l, struct err *e)
{
	struct qcow2 *q = arg;
	int r = qcow2_l2_drop_table(q, l->table, e);

	return r == 0 ? qcow2_alloc_flush_if_full(q->alloc, e) : r;
}

int qcow2_walk_drop(struct qcow2 *q, struct qcow2_l1 l1, struct err *e)
{
	return walk_l1(q, l1, drop_table, q, e);
}

int qcow2_walk_warn_leak(struct image *img, int r, const struct err *why)
{
	if (r < 0 && !img->writer->failed)
		image_warn(
			img, "clusters are leaked, vdisk check -r leaks frees them: %s", why->text);
	return 0;
}

/* The clusters of a shared table are shared, too, so its entries have no flag once all flags agree
 * with the refcounts.  To clear them each table is read, since its own flag may be missing. */
static int flag_table(void *arg, const struct l1_entry *l, struct err *e)
{
	struct copied *f = arg;
	const struct qcow2 *q = f->q;
	unsigned char raw[QCOW2_ENTRY_SIZE];
	bool changed = false;
	int r;

	store_be64(raw, l->entry);
	r = put_flag(f, raw, &changed, e);
	if (r == 0 && (!f->renew || (l->entry | load_be64(raw)) & QCOW2_COPIED))
		r = walk_l2(q, l->table, flag_entries, f, e);
	if (r == 0 && changed)
		r = meta_write(q->io, raw, sizeof raw, f->l1_pos + l->i * sizeof raw,
			ORDER_TABLES_ROOT, e);
	f->same.n = 0; /* refcounts change now */
	return r == 0 ? qcow2_alloc_flush_if_full(q->alloc, e) : r;
}

int qcow2_walk_flag_copied(struct qcow2_view *live, bool renew, struct err *e)
{
	struct copied f = {.q = live->q, .l1_pos = live->l1_pos, .renew = renew};

	return walk_l1(live->q, qcow2_l1_of(live), flag_table, &f, e);
}

/* Replaces the zero clusters in tables that have refs references each. */
struct expanding {
	struct qcow2 *q;
	bool live;
	uint64_t refs; /* of the table: so many disks have each of its clusters */
};

/* A new cluster of zeroes, with refs references. */
static int make_zeroes(const struct expanding *x, uint64_t *entry, struct err *e)
{
	struct qcow2 *q = x->q;
	struct qcow2_clusters c;
	bool reads_zero;
	uint64_t pos;
	int r = qcow2_alloc_take(q->alloc, 1, true, &c, &reads_zero, e);

	pos = r == 0 ? c.first << q->header.cluster_bits : 0;
	if (r == 0 && !reads_zero)
		r = io_zero(q->io, pos, q->cluster_size, e);
	for (uint64_t i = 1; r == 0 && i < x->refs; i++)
		r = qcow2_refcount_add(q->alloc, c.first, 1, 1, e);
	*entry = pos | (x->live && x->refs == 1 ? QCOW2_COPIED : 0);
	return r;
}

/* The cluster that a zero cluster has kept may be shared, so it is not used. */
static int expand_entry(const struct expanding *x, unsigned char *p, struct err *e)
{
	struct qcow2 *q = x->q;
	unsigned char old[8];
	uint64_t entry = 0;
	int r = 0;

	memcpy(old, p, sizeof old);
	if (q->header.backing[0])
		r = make_zeroes(x, &entry, e);
	if (r == 0)
		r = qcow2_alloc_prepare(q->alloc, x->refs, e);
	if (r < 0)
		return r;
	store_be64(p, entry);
	for (uint64_t i = 0; i < x->refs; i++)
		qcow2_l2_drop_entry(q->alloc, old);
	return 0;
}

static int expand_entries(void *arg, struct qcow2_l2_entries *t, struct err *e)
{
	const struct expanding *x = arg;
	const struct qcow2 *q = x->q;
	bool changed = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->n; i++) {
		unsigned char *p = t->raw + i * q->entry_size;
		enum qcow2_l2_kind kind = qcow2_l2_kind(q, load_be64(p));

		if (kind != QCOW2_L2_ZERO && kind != QCOW2_L2_ZERO_ALLOCATED)
			continue;
		r = expand_entry(x, p, e);
		changed = true;
	}
	if (r == 0 && changed)
		r = meta_write(q->io, t->raw, t->n * q->entry_size, t->pos, ORDER_TABLES, e);
	return r == 0 ? qcow2_alloc_flush_if_full(q->alloc, e) : r;
}

static int expand_table(void *arg, const struct l1_entry *l, struct err *e)
{
	struct expanding *x = arg;
	uint64_t n;
	int r = qcow2_refcount_get(
		x->q->alloc, l->table >> x->q->header.cluster_bits, 1, &x->refs, &n, e);

	return r == 0 ? walk_l2(x->q, l->table, expand_entries, x, e) : r;
}

int qcow2_walk_expand_zeroes(struct qcow2 *q, struct qcow2_l1 l1, bool live, struct err *e)
{
	struct expanding x = {.q = q, .live = live};

	return walk_l1(q, l1, expand_table, &x, e);
}
