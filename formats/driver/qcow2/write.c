/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - writing to the live disk: room for clusters, and what entries say of them. */
#include "write.h"

#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "image/check.h"
#include "util/err.h"
#include "image/image.h"
#include "io/io.h"
#include "qcow2.h"
#include "view/view.h"
#include "io/writeback.h"
#include "view/writer.h"

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
static size_t count_new(const struct qcow2 *q, const struct qcow2_entries *t)
{
	struct err ignored = ERR_INIT;
	size_t n = 1;

	for (bool held; n < t->n; n++)
		if (qcow2_check_held(q, t->raw + n * q->entry_size, &held, &ignored) < 0 || held)
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
	if (qcow2_entry_kind(q, load_be64(entry)) == QCOW2_ENTRY_COMPRESSED)
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
static int hold(const struct qcow2_view *v, const struct qcow2_entries *t, uint64_t off,
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
static size_t count_together(const struct qcow2 *q, const struct qcow2_entries *t)
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

static int make_room(struct qcow2_view *v, const struct qcow2_entries *t, uint64_t off,
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

static int qcow2_reserve(
	struct view *view, uint64_t off, uint64_t len, struct reservation *res, struct err *e)
{
	struct qcow2_view *v = view_of(view);
	struct qcow2_entries t;
	uint64_t table;
	bool held;
	int r = qcow2_table_own(v, off, &table, e);

	if (r == 0)
		r = qcow2_entries_read(v->q, table, off, qcow2_clusters_of(v->q, off, len), &t, e);
	if (r == 0)
		r = qcow2_check_held(v->q, t.raw, &held, e);
	if (r == 0)
		r = held ? hold(v, &t, off, off + len, res)
			 : make_room(v, &t, off, off + len, res, e);
	return r < 0 ? err_in(e, "guest offset 0x%" PRIx64, off) : 0;
}

static void qcow2_cancel(struct view *v, const struct reservation *res)
{
	const struct qcow2 *q = view_of(v)->q;

	if (res->compressed)
		qcow2_alloc_unpack(q->alloc, res->pos, res->compressed);
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
		qcow2_compressed_entry(q, res->pos, res->compressed, &entry);
	else
		entry = (res->pos + cluster - res->off) | QCOW2_COPIED;
	store_be64(p, entry);
	if (!q->extended)
		return;
	bits = bits_of(q, res, cluster);
	store_be64(p + 8, res->compressed ? 0 : (bitmap | bits) & ~(bits << 32));
}

int qcow2_commit(struct view *v, const struct reservation *res, struct err *e)
{
	const struct qcow2 *q = view_of(v)->q;
	uint64_t table, mask = ~(uint64_t)(q->cluster_size - 1), cluster = res->off & mask;
	struct qcow2_entries t, old;
	int r = qcow2_table_own(view_of(v), res->off, &table, e);

	if (r == 0)
		r = qcow2_entries_read(
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
		qcow2_entry_drop(q->alloc, old.raw + i * q->entry_size);
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
	if (entry == 0 && bitmap == 0 && qcow2_nothing_below(v, off))
		return false;
	store_be64(p, q->zero_flag ? QCOW2_ZERO : 0);
	if (q->extended)
		store_be64(p + 8, ALL_ZERO);
	return load_be64(p) != entry || load_bitmap(q, p) != bitmap;
}

static int clear_entries(struct qcow2_view *v, struct qcow2_entries *t, uint64_t off, struct err *e)
{
	const struct qcow2 *q = v->q;
	struct qcow2_entries old = *t;
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
			qcow2_entry_drop(q->alloc, old.raw + i * q->entry_size);
	return r;
}

/* As much of the range as one page of a table says. */
static int clear_some(
	struct qcow2_view *v, uint64_t off, uint64_t len, uint64_t *done, struct err *e)
{
	struct qcow2_entries t;
	uint64_t table;
	int r = qcow2_table_find(v, off, &table, done, e);

	if (r < 0 || (table == 0 && qcow2_nothing_below(v, off)))
		return r;
	r = qcow2_table_own(v, off, &table, e);
	if (r == 0)
		r = qcow2_entries_read(v->q, table, off, qcow2_clusters_of(v->q, off, len), &t, e);
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

static int qcow2_clear(struct view *view, uint64_t off, uint64_t len, struct err *e)
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

/* Beginning. */

/* The last cluster of a file may be cut off where only zeroes follow. */
static int complete_file(struct io *io, uint64_t end, struct err *e)
{
	return end > io->size && !io->is_block ? io_resize(io, end, e) : 0;
}

/* What others noted of the disk, and would trust, is true no more.  Bitmaps can say so themselves;
 * of one that is given up nobody would know which clusters are its own. */
static int withdraw_notes(struct qcow2 *q, struct err *e)
{
	struct qcow2_header *h = &q->header;
	uint64_t keep = h->autoclear & QCOW2_DATA_FILE_RAW;
	struct err ignored = ERR_INIT;
	unsigned char raw[8];
	int r;

	if (h->autoclear & QCOW2_BITMAPS && qcow2_bitmaps_mark(q, &ignored) == 0)
		keep |= QCOW2_BITMAPS;
	if (h->autoclear == keep)
		return 0;
	store_be64(raw, keep);
	r = meta_write(q->io, raw, sizeof raw, QCOW2_AT_AUTOCLEAR, ORDER_HEADER, e);
	if (r == 0)
		h->autoclear = keep;
	return r;
}

static int qcow2_begin(struct view *view, struct err *e)
{
	struct qcow2 *q = view_of(view)->q;
	int r = complete_file(q->io, round_up(q->io->size, q->cluster_size), e);

	if (r == 0 && q->external)
		r = complete_file(
			q->data, MIN(round_up(q->data->size, q->cluster_size), view->size), e);
	return r < 0 || q->header.version < 3 ? r : withdraw_notes(q, e);
}

static const struct write_ops qcow2_write_ops = {
	.begin = qcow2_begin,
	.reserve = qcow2_reserve,
	.commit = qcow2_commit,
	.cancel = qcow2_cancel,
	.compress = qcow2_compress,
	.reserve_compressed = qcow2_reserve_compressed,
	.clear = qcow2_clear,
	.durable = qcow2_durable,
	.release_freed = qcow2_release_freed,
	.resize = qcow2_resize,
};

void qcow2_let_write(struct view *v)
{
	const struct qcow2 *q = view_of(v)->q;

	v->write = &qcow2_write_ops;
	v->unit = q->cluster_size;
	v->granule = q->cluster_size / (q->extended ? QCOW2_SUBCLUSTERS : 1);
	v->compressed_max = q->external ? 0 : q->cluster_size - 1;
}

/* What a crash has left of refcounts that are written late is put right, as QEMU does it. */
static int clean(struct image *img, struct qcow2 *q, struct err *e)
{
	struct check_report report = {.found = NULL};
	int r = qcow2_check_run(q, CHECK_ALL, &report, e);

	if (r == 0 && q->header.incompatible & QCOW2_DIRTY)
		r = err_set(e, EUCLEAN, "more than refcounts is damaged");
	if (r < 0) {
		err_in(e, "it is marked dirty");
		return err_hint(e, "vdisk check -r all mends what can be mended");
	}
	image_warn(img, "%s was marked dirty: its refcounts have been put right", img->io->name);
	return 0;
}

static int check_marks(struct image *img, struct qcow2 *q, struct err *e)
{
	uint64_t marks = q->header.incompatible;

	if (marks & QCOW2_CORRUPT) {
		err_set(e, EUCLEAN, "it is marked corrupt");
		return err_hint(e, "vdisk check -r all mends it");
	}
	return marks & QCOW2_DIRTY ? clean(img, q, e) : 0;
}

/* It was looked at when the image was opened. */
static int check_table(const struct qcow2 *q, struct err *e)
{
	for (unsigned i = 0; i < q->nranges; i++)
		if (q->ranges[i].pos == q->header.reftable_pos)
			return 0;
	err_set(e, EUCLEAN, "the refcount table is invalid");
	return err_hint(e, "vdisk check -r all mends refcounts");
}

int qcow2_start_writing(struct image *img, struct err *e)
{
	struct qcow2 *q = img->priv;
	int r = check_marks(img, q, e);

	if (r == 0)
		r = check_table(q, e);
	if (r == 0)
		r = qcow2_verify(img, q, e);
	if (r == 0 && q->external)
		r = writeback_add(img->writer->writeback, q->data, e);
	if (r < 0)
		return r;
	q->alloc = qcow2_alloc_new(q, img->writer, e);
	return q->alloc ? 0 : -e->code;
}
