/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - writes to the live disk: clusters reserved, and L2 entries that refer to them.
 *
 * A cluster that the live disk owns is overwritten in place.  One that is shared, compressed or not
 * allocated gets a new cluster.  With extended L2 entries an entry still has one cluster, so all
 * subclusters that hold data move to it together.
 */
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
#include "alloc.h"
#include "l1.h"
#include "l2.h"

#define ALL_ZERO (UINT64_C(0xffffffff) << 32) /* the bitmap of a cluster without data */

/* The token of a reservation: its clusters are new, or those of the entry. */
enum { TOKEN_NEW, TOKEN_OWNED };

/* Reserving. */

static bool has_data(const struct qcow2 *q, const unsigned char *p)
{
	return load_be64(p) & QCOW2_COMPRESSED || qcow2_l2_bitmap(q, p) & UINT32_MAX;
}

/* Counts the first entries of t that get new clusters together.  With subclusters, data that moves
 * does so one cluster at a time. */
static size_t count_new(const struct qcow2 *q, const struct qcow2_l2_entries *t)
{
	struct err ignored = ERR_INIT;
	size_t n = 1;

	if (q->extended && has_data(q, t->raw))
		return 1;
	for (bool owned; n < t->n; n++) {
		const unsigned char *p = t->raw + n * q->entry_size;

		if (qcow2_l2_is_owned(q, p, &owned, &ignored) < 0 || owned ||
			(q->extended && has_data(q, p)))
			break;
	}
	return n;
}

/* Widens [*start, *end) to whole subclusters, and unless the entry's cluster stays, to all of its
 * subclusters that hold data. */
static void widen(
	const struct qcow2 *q, const unsigned char *p, bool owned, uint64_t *start, uint64_t *end)
{
	uint32_t sub = q->cluster_size / (q->extended ? QCOW2_SUBCLUSTERS : 1);
	uint64_t cluster = *start - qcow2_in_cluster(q, *start);
	uint64_t stored = qcow2_l2_bitmap(q, p) & UINT32_MAX;

	*start -= *start % sub;
	*end = div_round_up(*end, sub) * sub;
	if (owned || !q->extended)
		return;
	if (load_be64(p) & QCOW2_COMPRESSED)
		stored = UINT32_MAX;
	if (stored) {
		*start = MIN(*start, cluster + (uint64_t)__builtin_ctzll(stored) * sub);
		*end = MAX(*end, cluster + (64 - (uint64_t)__builtin_clzll(stored)) * sub);
	}
}

int qcow2_write_allocate(const struct qcow2 *q, uint64_t off, size_t *n, uint64_t *pos,
	bool *reads_zero, struct err *e)
{
	struct qcow2_clusters c;
	int r;

	if (q->external) {
		*pos = off;
		if (reads_zero)
			*reads_zero = off >= q->data->size;
		return 0;
	}
	r = qcow2_alloc_take(q->alloc, *n, false, &c, reads_zero, e);
	*pos = c.first << q->header.cluster_bits;
	*n = c.n;
	return r;
}

int qcow2_write_reserve(
	struct view *view, uint64_t off, uint64_t len, struct reservation *res, struct err *e)
{
	struct qcow2_view *v = (struct qcow2_view *)view;
	const struct qcow2 *q = v->q;
	uint64_t table, cluster = off - qcow2_in_cluster(q, off), start = off, end = off + len;
	uint64_t pos, reach;
	struct qcow2_l2_entries t;
	bool owned, reads_zero = false;
	size_t n = 1;
	int r = qcow2_l2_own(v, off, &table, e);

	if (r == 0)
		r = qcow2_l2_read(q, table, off, qcow2_clusters_of(q, off, len), &t, e);
	if (r == 0)
		r = qcow2_l2_is_owned(q, t.raw, &owned, e);
	if (r < 0)
		return err_in(e, "guest offset 0x%" PRIx64, off);
	pos = load_be64(t.raw) & QCOW2_OFFSET;
	if (!owned) {
		n = count_new(q, &t);
		n = MIN(n, qcow2_clusters_of(q, off, len));
		r = qcow2_write_allocate(q, cluster, &n, &pos, &reads_zero, e);
		if (r < 0)
			return err_in(e, "guest offset 0x%" PRIx64, off);
	}
	reach = cluster + ((uint64_t)n << q->header.cluster_bits);
	end = MIN(end, reach);
	widen(q, t.raw, owned, &start, &end);
	*res = (struct reservation){
		.off = start,
		.len = MIN(end, view->size) - start,
		.io = q->data,
		.pos = pos + (start - cluster),
		.reads_zero = reads_zero,
		.token = owned ? TOKEN_OWNED : TOKEN_NEW,
	};
	reach = MIN(reach, view->size);
	if (!owned && q->external && reach > q->data->size)
		r = io_resize(q->data, reach, e);
	return r < 0 ? err_in(e, "guest offset 0x%" PRIx64, off) : 0;
}

void qcow2_write_cancel(struct view *v, const struct reservation *res)
{
	const struct qcow2 *q = ((struct qcow2_view *)v)->q;
	struct qcow2_clusters c = {
		.first = res->pos >> q->header.cluster_bits,
		.n = qcow2_clusters_of(q, res->off, res->len),
	};

	if (res->compressed)
		qcow2_alloc_cancel_compressed(q->alloc, res->pos, res->compressed);
	else if (res->token == TOKEN_NEW && !q->external)
		qcow2_alloc_cancel(q->alloc, c);
}

/* Committing. */

/* The bits of the subclusters in the cluster at guest offset cluster that are reserved. */
static uint64_t subclusters_of(
	const struct qcow2 *q, const struct reservation *res, uint64_t cluster)
{
	uint32_t sub = q->cluster_size / QCOW2_SUBCLUSTERS;
	uint64_t start = MAX(res->off, cluster) - cluster;
	uint64_t end = MIN(res->off + res->len, cluster + q->cluster_size) - cluster;
	unsigned first = start / sub, last = (end - 1) / sub;

	return ((UINT64_C(2) << last) - 1) & ~((UINT64_C(1) << first) - 1);
}

/* Makes the entry at p, of the cluster at guest offset cluster, refer to the reserved clusters. */
static void make_entry(
	const struct qcow2 *q, const struct reservation *res, uint64_t cluster, unsigned char *p)
{
	uint64_t bitmap = qcow2_l2_bitmap(q, p), bits, entry;

	if (res->compressed)
		qcow2_l2_compressed_entry(q, res->pos, res->compressed, &entry);
	else
		entry = (res->pos + cluster - res->off) | QCOW2_COPIED;
	store_be64(p, entry);
	if (!q->extended)
		return;
	bits = subclusters_of(q, res, cluster);
	store_be64(p + 8, res->compressed ? 0 : (bitmap | bits) & ~(bits << 32));
}

int qcow2_write_commit(struct view *view, const struct reservation *res, struct err *e)
{
	struct qcow2_view *v = (struct qcow2_view *)view;
	const struct qcow2 *q = v->q;
	uint64_t table, cluster = res->off - qcow2_in_cluster(q, res->off);
	struct qcow2_l2_entries t;
	unsigned char old[META_PAGE];
	int r = qcow2_l2_own(v, res->off, &table, e);

	if (r == 0)
		r = qcow2_l2_read(
			q, table, res->off, qcow2_clusters_of(q, res->off, res->len), &t, e);
	if (r == 0)
		r = qcow2_alloc_prepare(q->alloc, t.n, e);
	if (r < 0)
		return r;
	memcpy(old, t.raw, t.n * q->entry_size);
	for (size_t i = 0; i < t.n; i++)
		make_entry(q, res, cluster + ((uint64_t)i << q->header.cluster_bits),
			t.raw + i * q->entry_size);
	r = meta_write(q->io, t.raw, t.n * q->entry_size, t.pos, ORDER_TABLES, e);
	for (size_t i = 0; r == 0 && res->token == TOKEN_NEW && i < t.n; i++)
		qcow2_l2_drop_entry(q->alloc, old + i * q->entry_size);
	return r;
}

/* Clearing. */

/* Makes the entry at p one that reads as zeroes; false: it does already. */
static bool clear_entry(const struct qcow2_view *v, uint64_t off, unsigned char *p)
{
	const struct qcow2 *q = v->q;
	uint64_t entry = load_be64(p), bitmap = qcow2_l2_bitmap(q, p);

	if (q->external && q->header.autoclear & QCOW2_DATA_FILE_RAW)
		return false;
	if (entry == 0 && bitmap == 0 && qcow2_zero_below(v, off))
		return false;
	store_be64(p, q->zero_flag ? QCOW2_ZERO : 0);
	if (q->extended)
		store_be64(p + 8, ALL_ZERO);
	return load_be64(p) != entry || qcow2_l2_bitmap(q, p) != bitmap;
}

/* Clears *done bytes: the entries in one page of an L2 table, or a range without L2 table. */
static int clear_some(
	struct qcow2_view *v, uint64_t off, uint64_t len, uint64_t *done, struct err *e)
{
	const struct qcow2 *q = v->q;
	struct qcow2_l2_entries t;
	unsigned char old[META_PAGE];
	bool changed[META_PAGE / 8] = {false}, any = false;
	uint64_t entry, table;
	int r = qcow2_l1_lookup(v, off, &entry, &table, done, e);

	if (r < 0 || (table == 0 && qcow2_zero_below(v, off)))
		return r;
	r = qcow2_l2_own(v, off, &table, e);
	if (r == 0)
		r = qcow2_l2_read(q, table, off, qcow2_clusters_of(q, off, len), &t, e);
	if (r == 0)
		r = qcow2_alloc_prepare(q->alloc, t.n, e);
	if (r < 0)
		return r;
	*done = (uint64_t)t.n << q->header.cluster_bits;
	memcpy(old, t.raw, t.n * q->entry_size);
	for (size_t i = 0; i < t.n; i++) {
		changed[i] = clear_entry(v, off + ((uint64_t)i << q->header.cluster_bits),
			t.raw + i * q->entry_size);
		any |= changed[i];
	}
	if (any)
		r = meta_write(q->io, t.raw, t.n * q->entry_size, t.pos, ORDER_TABLES, e);
	for (size_t i = 0; r == 0 && i < t.n; i++)
		if (changed[i])
			qcow2_l2_drop_entry(q->alloc, old + i * q->entry_size);
	return r;
}

int qcow2_write_clear(struct view *view, uint64_t off, uint64_t len, struct err *e)
{
	struct qcow2_view *v = (struct qcow2_view *)view;
	const struct qcow2 *q = v->q;
	int r = 0;

	/* Version 2 has no zero clusters, only unallocated ones. */
	if (!q->zero_flag && !q->extended && view->below)
		return -EOPNOTSUPP;
	/* A data file is read by others as well, who do not see the tables. */
	if (q->external && off < q->data->size)
		r = io_zero(q->data, off, MIN(len, q->data->size - off), e);
	for (uint64_t done; r == 0 && len > 0; off += done, len -= MIN(len, done))
		r = clear_some(v, off, len, &done, e);
	return r < 0 ? err_in(e, "guest offset 0x%" PRIx64, off) : 0;
}
