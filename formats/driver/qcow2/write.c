/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - writing to the live disk: room for clusters, and what entries say of them. */
#include "write.h"

#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/view.h"
#include "view/writer.h"
#include "image/check.h"
#include "image/image.h"
#include "alloc.h"
#include "header.h"
#include "l1.h"
#include "l2.h"
#include "qcow2.h"
#include "refcount.h"

#define ALL_ZERO (UINT64_C(0xffffffff) << 32) /* the bitmap of a cluster without data */

enum { TOKEN_NEW, TOKEN_HELD }; /* of reservations: the clusters are new, or the entry's own */

static struct qcow2_view *view_of(struct view *v)
{
	return (struct qcow2_view *)v;
}

static uint64_t load_bitmap(const struct qcow2 *q, const unsigned char *entry)
{
	return q->extended ? load_be64(entry + 8) : 0;
}

/* Room. */

/* The first entries of t whose clusters cannot be written to. */
static size_t count_new(const struct qcow2 *q, const struct qcow2_l2_entries *t)
{
	struct err ignored = ERR_INIT;
	size_t n = 1;

	for (bool held; n < t->n; n++)
		if (qcow2_l2_is_owned(q, t->raw + n * q->entry_size, &held, &ignored) < 0 || held)
			break;
	return n;
}

/* The part of its cluster that has to move with a write to [*start, *end): whole subclusters, and
 * all that hold data, since an entry has one cluster for them. */
static void widen(const struct qcow2 *q, const unsigned char *entry, bool held, uint64_t *start,
	uint64_t *end)
{
	uint32_t sub = q->cluster_size / (q->extended ? QCOW2_SUBCLUSTERS : 1);
	uint64_t cluster = *start & ~(uint64_t)(q->cluster_size - 1);
	uint64_t stored = load_bitmap(q, entry) & UINT32_MAX;

	*start -= *start % sub;
	*end = div_round_up(*end, sub) * sub;
	if (held || !q->extended)
		return;
	if (qcow2_l2_kind(q, load_be64(entry)) == QCOW2_L2_COMPRESSED)
		stored = UINT32_MAX;
	if (stored) {
		*start = MIN(*start, cluster + (uint64_t)__builtin_ctzll(stored) * sub);
		*end = MAX(*end, cluster + (64 - (uint64_t)__builtin_clzll(stored)) * sub);
	}
}

/* Room in a data file is where the disk has it, too. */
static int take_outside(
	const struct qcow2 *q, struct reservation *res, uint64_t size, struct err *e)
{
	uint64_t end = MIN(res->off + res->len, size);

	res->io = q->data;
	res->pos = res->off;
	res->reads_zero = res->pos >= q->data->size;
	return end > q->data->size ? io_resize(q->data, end, e) : 0;
}

/* n clusters from that of res->off on. */
static int take_clusters(struct qcow2 *q, struct reservation *res, uint64_t *n, struct err *e)
{
	struct qcow2_clusters c;
	int r = qcow2_alloc_take(q->alloc, *n, false, &c, &res->reads_zero, e);

	res->io = q->io;
	res->pos = c.first << q->header.cluster_bits;
	*n = c.n;
	return r;
}

/* What the entry has, for a write to [off, end) of its cluster. */
static int hold(const struct qcow2_view *v, const struct qcow2_l2_entries *t, uint64_t off,
	uint64_t end, struct reservation *res)
{
	const struct qcow2 *q = v->q;
	uint64_t cluster = off & ~(uint64_t)(q->cluster_size - 1);

	end = MIN(end, cluster + q->cluster_size);
	widen(q, t->raw, true, &off, &end);
	*res = (struct reservation){
		.off = off,
		.len = MIN(end, v->view.size) - off,
		.io = q->data,
		.pos = (load_be64(t->raw) & QCOW2_OFFSET) + (off - cluster),
		.token = TOKEN_HELD,
	};
	return 0;
}

static bool has_data(const struct qcow2 *q, const unsigned char *entry)
{
	return load_be64(entry) & QCOW2_COMPRESSED || load_bitmap(q, entry) & UINT32_MAX;
}

/* With subclusters those that hold data must move as well: one cluster at a time then. */
static size_t count_together(const struct qcow2 *q, const struct qcow2_l2_entries *t)
{
	size_t n = count_new(q, t);

	if (!q->extended)
		return n;
	if (has_data(q, t->raw))
		return 1;
	for (size_t i = 1; i < n; i++)
		if (has_data(q, t->raw + i * q->entry_size))
			return i;
	return n;
}

static int make_room(struct qcow2_view *v, const struct qcow2_l2_entries *t, uint64_t off,
	uint64_t end, struct reservation *res, struct err *e)
{
	struct qcow2 *q = v->q;
	uint64_t n = MIN(count_together(q, t), qcow2_clusters_of(q, off, end - off));
	uint64_t cluster = off & ~(uint64_t)(q->cluster_size - 1);
	int r;

	*res = (struct reservation){
		.off = cluster, .len = n << q->header.cluster_bits, .token = TOKEN_NEW};
	if (q->external)
		r = take_outside(q, res, v->view.size, e);
	else
		r = take_clusters(q, res, &n, e);
	end = MIN(end, cluster + (n << q->header.cluster_bits));
	widen(q, t->raw, false, &off, &end);
	res->pos += off - cluster;
	res->off = off;
	res->len = MIN(end, v->view.size) - off;
	return r;
}

int qcow2_write_reserve(
	struct view *view, uint64_t off, uint64_t len, struct reservation *res, struct err *e)
{
	struct qcow2_view *v = view_of(view);
	struct qcow2_l2_entries t;
	uint64_t table;
	bool held;
	int r = qcow2_l2_own(v, off, &table, e);

	if (r == 0)
		r = qcow2_l2_read(v->q, table, off, qcow2_clusters_of(v->q, off, len), &t, e);
	if (r == 0)
		r = qcow2_l2_is_owned(v->q, t.raw, &held, e);
	if (r == 0)
		r = held ? hold(v, &t, off, off + len, res)
			 : make_room(v, &t, off, off + len, res, e);
	return r < 0 ? err_in(e, "guest offset 0x%" PRIx64, off) : 0;
}

void qcow2_write_cancel(struct view *v, const struct reservation *res)
{
	const struct qcow2 *q = view_of(v)->q;

	if (res->compressed)
		qcow2_alloc_cancel_compressed(q->alloc, res->pos, res->compressed);
	else if (res->token == TOKEN_NEW && !q->external)
		qcow2_alloc_cancel(q->alloc,
			(struct qcow2_clusters){.first = res->pos >> q->header.cluster_bits,
				.n = qcow2_clusters_of(q, res->off, res->len)});
}

/* Entries. */

/* The bits of the subclusters of the cluster at cluster that the reservation covers. */
static uint64_t bits_of(const struct qcow2 *q, const struct reservation *res, uint64_t cluster)
{
	uint32_t sub = q->cluster_size / QCOW2_SUBCLUSTERS;
	uint64_t start = MAX(res->off, cluster) - cluster;
	uint64_t end = MIN(res->off + res->len, cluster + q->cluster_size) - cluster;
	unsigned first = start / sub, last = (end - 1) / sub;

	return ((UINT64_C(2) << last) - 1) & ~((UINT64_C(1) << first) - 1);
}

/* The new entry of the cluster at guest offset cluster. */
static void make_entry(
	const struct qcow2 *q, const struct reservation *res, uint64_t cluster, unsigned char *p)
{
	uint64_t bitmap = load_bitmap(q, p), bits, entry;

	if (res->compressed)
		qcow2_l2_compressed_entry(q, res->pos, res->compressed, &entry);
	else
		entry = (res->pos + cluster - res->off) | QCOW2_COPIED;
	store_be64(p, entry);
	if (!q->extended)
		return;
	bits = bits_of(q, res, cluster);
	store_be64(p + 8, res->compressed ? 0 : (bitmap | bits) & ~(bits << 32));
}

int qcow2_write_commit(struct view *v, const struct reservation *res, struct err *e)
{
	const struct qcow2 *q = view_of(v)->q;
	uint64_t table, mask = ~(uint64_t)(q->cluster_size - 1), cluster = res->off & mask;
	struct qcow2_l2_entries t, old;
	int r = qcow2_l2_own(view_of(v), res->off, &table, e);

	if (r == 0)
		r = qcow2_l2_read(
			q, table, res->off, qcow2_clusters_of(q, res->off, res->len), &t, e);
	if (r == 0)
		r = qcow2_alloc_prepare(q->alloc, t.n, e);
	if (r < 0)
		return r;
	old = t;
	for (size_t i = 0; i < t.n; i++)
		make_entry(q, res, cluster + ((uint64_t)i << q->header.cluster_bits),
			t.raw + i * q->entry_size);
	r = meta_write(q->io, t.raw, t.n * q->entry_size, t.pos, ORDER_TABLES, e);
	for (size_t i = 0; r == 0 && res->token == TOKEN_NEW && i < t.n; i++)
		qcow2_l2_drop_entry(q->alloc, old.raw + i * q->entry_size);
	return r;
}

/* Clearing. */

/* The entry of a cluster that reads as zeroes; false: it is one already. */
static bool clear_entry(const struct qcow2_view *v, uint64_t off, unsigned char *p)
{
	const struct qcow2 *q = v->q;
	uint64_t entry = load_be64(p), bitmap = load_bitmap(q, p);

	if (q->external && q->header.autoclear & QCOW2_DATA_FILE_RAW)
		return false;
	if (entry == 0 && bitmap == 0 && qcow2_zero_below(v, off))
		return false;
	store_be64(p, q->zero_flag ? QCOW2_ZERO : 0);
	if (q->extended)
		store_be64(p + 8, ALL_ZERO);
	return load_be64(p) != entry || load_bitmap(q, p) != bitmap;
}

static int clear_entries(
	struct qcow2_view *v, struct qcow2_l2_entries *t, uint64_t off, struct err *e)
{
	const struct qcow2 *q = v->q;
	struct qcow2_l2_entries old = *t;
	bool changed[META_PAGE / 8] = {false}, any = false;
	int r = qcow2_alloc_prepare(q->alloc, t->n, e);

	for (size_t i = 0; i < t->n; i++) {
		changed[i] = clear_entry(v, off + ((uint64_t)i << q->header.cluster_bits),
			t->raw + i * q->entry_size);
		any |= changed[i];
	}
	if (r == 0 && any)
		r = meta_write(q->io, t->raw, t->n * q->entry_size, t->pos, ORDER_TABLES, e);
	for (size_t i = 0; r == 0 && i < t->n; i++)
		if (changed[i])
			qcow2_l2_drop_entry(q->alloc, old.raw + i * q->entry_size);
	return r;
}

/* As much of the range as one page of a table says. */
static int clear_some(
	struct qcow2_view *v, uint64_t off, uint64_t len, uint64_t *done, struct err *e)
{
	struct qcow2_l2_entries t;
	uint64_t entry, table;
	int r = qcow2_l1_lookup(v, off, &entry, &table, done, e);

	if (r < 0 || (table == 0 && qcow2_zero_below(v, off)))
		return r;
	r = qcow2_l2_own(v, off, &table, e);
	if (r == 0)
		r = qcow2_l2_read(v->q, table, off, qcow2_clusters_of(v->q, off, len), &t, e);
	if (r < 0)
		return r;
	*done = (uint64_t)t.n << v->q->header.cluster_bits;
	return clear_entries(v, &t, off, e);
}

/* What a data file has there is read by others as well, and gives its room back. */
static int clear_outside(const struct qcow2 *q, uint64_t off, uint64_t len, struct err *e)
{
	uint64_t size = q->data->size;

	if (!q->external || off >= size)
		return 0;
	return io_zero(q->data, off, MIN(len, size - off), e);
}

int qcow2_write_clear(struct view *view, uint64_t off, uint64_t len, struct err *e)
{
	struct qcow2_view *v = view_of(view);
	const struct qcow2 *q = v->q;
	int r;

	/* Version 2 can only say that nothing is stored. */
	if (!q->zero_flag && !q->extended && view->below)
		return -EOPNOTSUPP;
	r = clear_outside(q, off, len, e);
	for (uint64_t done; r == 0 && len > 0; off += done, len -= MIN(len, done))
		r = clear_some(v, off, len, &done, e);
	return r < 0 ? err_in(e, "guest offset 0x%" PRIx64, off) : 0;
}
