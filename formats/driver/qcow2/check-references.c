/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check-references.c - how often each cluster of a qcow2 file is referred to.
 *
 * Findings, their words and how they count are those of QEMU 7.2.  What an entry refers to is
 * counted also when the entry is odd, so that nothing in use is taken for free.
 */
#include "check-references.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/cache.h"
#include "io/io.h"
#include "bitmaps.h"
#include "check-read.h"
#include "check-refcount.h"
#include "check.h"
#include "compress.h"
#include "header.h"
#include "l1.h"
#include "l2.h"
#include "qcow2.h"
#include "refcount.h"

#define BITMAP_RESERVED UINT64_C(0xff000000000001fe) /* of an entry of a bitmap's table */
#define BITMAP_ONES     UINT64_C(1) /* no cluster, but all bits are set; else reserved, too */

static int go_on(const struct qcow2_check *c, struct err *e)
{
	if (c->refer_max == 0)
		return err_set(e, EUCLEAN,
			"its tables overlap: they refer to more clusters than the file can hold");
	return check_go_on(c->r, e);
}

static void refer_cluster(struct qcow2_check *c, uint64_t cluster, uint32_t times)
{
	uint32_t max = MIN(qcow2_refcount_max(c->q), UINT32_MAX), room,
		 *refs = &c->refs[cluster - c->first];

	c->dirty = true;
	room = max - *refs;
	*refs += MIN(times, room);
	if (times <= room)
		return;
	check_corruption(c->r, "ERROR: overflow cluster offset=0x%" PRIx64,
		cluster << c->q->header.cluster_bits);
	c->r->corruptions += times - room - 1;
	c->overflow = true;
}

/* What has just been found is so for each of the times that something is referred to. */
static void lies_outside(struct qcow2_check *c, uint32_t times)
{
	c->say->corruptions += times - 1;
	c->uncertain = c->cut = true;
}

/* The last cluster of a file need not be whole. */
static bool fits(const struct qcow2_check *c, uint64_t pos, uint64_t len)
{
	return range_fits(pos, len, c->file_len + c->q->cluster_size - 1);
}

static void refer(struct qcow2_check *c, uint64_t pos, uint64_t len, uint32_t times)
{
	unsigned bits = c->q->header.cluster_bits;
	uint64_t first, end;

	if (len == 0)
		return;
	if (!fits(c, pos, len)) {
		check_corruption(c->say,
			"ERROR: counting reference for region exceeding the end of the file by one "
			"cluster or more: offset 0x%" PRIx64 " size 0x%" PRIx64,
			pos, len);
		lies_outside(c, times);
		return;
	}
	end = ((pos + len - 1) >> bits) + 1;
	c->nclusters = MAX(c->nclusters, end);
	first = MAX(pos >> bits, c->first);
	end = MIN(end, c->first + c->nwindow);
	for (uint64_t i = first; i < end && c->refer_max > 0 && !check_is_enough(c->r); i++) {
		c->refer_max--;
		refer_cluster(c, i, times);
	}
}

/* A part of a table would say "not allocated" for all that the rest of it maps. */
static void refer_whole(
	struct qcow2_check *c, const char *what, uint64_t pos, uint64_t len, uint32_t times)
{
	if (len > 0 && fits(c, pos, len) && !range_fits(pos, len, c->q->io->size)) {
		check_corruption(c->say,
			"ERROR %s at 0x%" PRIx64 " is cut off by the end of the file", what, pos);
		lies_outside(c, times);
	}
	refer(c, pos, len, times);
}

/* L2 tables. */

struct walk {
	struct qcow2_check *c;
	const struct qcow2_table *table;
	uint64_t off;  /* guest offset of the entry, of the first L1 entry that has the table */
	uint64_t next; /* where the next cluster would be if it followed the last one; 0: unknown */
};

/* What has just been told is so for everybody who refers to the table. */
static void odd_entry(const struct walk *w)
{
	w->c->say->corruptions += w->table->times - 1;
	w->c->uncertain = true;
}

/* The stream has to end where the file does: what is missing of it would read as zeroes once the
 * file is longer, and zeroes decode to something. */
static bool tail_is_whole(struct qcow2_check *c, uint64_t entry)
{
	const struct qcow2 *q = c->q;
	struct err ignored = ERR_INIT;
	unsigned char *cluster;
	int r;

	for (unsigned i = 0; i < c->ntails; i++)
		if (c->tails[i] == entry)
			return true;
	if (c->ntails == QCOW2_TAILS)
		return false;
	cluster = malloc(q->cluster_size);
	r = cluster ? qcow2_compress_decode(q, entry, cluster, &ignored) : -ENOMEM;
	free(cluster);
	if (r == 0)
		c->tails[c->ntails++] = entry;
	return r == 0;
}

static void refer_packed(struct walk *w, uint64_t pos, uint64_t len, uint64_t entry)
{
	struct qcow2_check *c = w->c;
	uint64_t size = c->q->io->size;

	if (pos < size && len > size - pos && fits(c, pos, len) && !tail_is_whole(c, entry)) {
		check_corruption(c->say,
			"ERROR compressed cluster at 0x%" PRIx64
			" is cut off by the end of the file",
			pos);
		lies_outside(c, w->table->times);
	}
	refer(c, pos, len, w->table->times);
}

static void walk_compressed(struct walk *w, unsigned i, uint64_t entry, uint64_t bitmap)
{
	struct qcow2_check *c = w->c;
	uint64_t len, pos = qcow2_l2_compressed_range(c->q, entry, &len);

	if (entry & QCOW2_COPIED) {
		check_corruption(c->say,
			"ERROR: coffset=0x%" PRIx64
			": copied flag must never be set for compressed clusters",
			pos);
		odd_entry(w);
		entry &= ~QCOW2_COPIED;
	}
	if (c->q->external || bitmap) {
		check_corruption(c->say, "ERROR compressed cluster %u with %s, entry=0x%" PRIx64, i,
			c->q->external ? "data file" : "non-zero subcluster allocation bitmap",
			entry);
		odd_entry(w);
		return;
	}
	refer_packed(w, pos, len, entry);
	c->say->allocated_clusters += w->table->active;
	c->say->compressed_clusters += w->table->active;
	c->say->fragmented_clusters += w->table->active; /* by their nature */
}

static void count_fragment(struct walk *w, uint64_t pos)
{
	struct qcow2_check *c = w->c;

	c->say->allocated_clusters += w->table->active;
	if (w->next && pos != w->next)
		c->say->fragmented_clusters += w->table->active;
	w->next = pos + c->q->cluster_size;
}

static bool has_data(const struct qcow2 *q, uint64_t entry, uint64_t bitmap)
{
	return q->extended ? bitmap & UINT32_MAX : !(entry & QCOW2_ZERO);
}

bool qcow2_check_references_odd_zero(const struct qcow2 *q, uint64_t entry, uint64_t bitmap)
{
	return !has_data(q, entry, bitmap) && (entry & QCOW2_OFFSET) & (q->cluster_size - 1);
}

/* In a data file a cluster has its guest offset, and no refcount. */
static void check_outside(struct walk *w, uint64_t pos, bool data)
{
	struct qcow2_check *c = w->c;

	if (pos != w->off) {
		check_corruption(c->say,
			"ERROR data cluster at 0x%" PRIx64
			" of the data file is not at its guest offset, 0x%" PRIx64,
			pos, w->off);
		odd_entry(w);
	} else if (data && !c->q->data_missing && pos >= c->q->data->size) {
		check_corruption(c->say,
			"ERROR data cluster at 0x%" PRIx64
			" lies past the end of the data file, 0x%" PRIx64,
			pos, c->q->data->size);
		lies_outside(c, w->table->times);
	}
}

static void walk_cluster(struct walk *w, uint64_t entry, uint64_t bitmap)
{
	struct qcow2_check *c = w->c;
	uint64_t pos = entry & QCOW2_OFFSET;
	bool odd_zero = qcow2_check_references_odd_zero(c->q, entry, bitmap);

	if (bitmap >> 32 & bitmap) {
		check_corruption(c->say,
			"ERROR offset=%" PRIx64
			": Allocated cluster has corrupted subcluster allocation bitmap",
			pos);
		odd_entry(w);
	}
	if (pos & (c->q->cluster_size - 1)) {
		check_corruption(c->say,
			"ERROR offset=%" PRIx64
			": %s cluster is not properly aligned; L2 entry corrupted.",
			pos, odd_zero ? "Preallocated" : "Data");
		odd_entry(w);
	}
	c->odd_zeroes |= odd_zero;
	count_fragment(w, pos);
	if (c->q->external)
		check_outside(w, pos, has_data(c->q, entry, bitmap));
	else
		refer(c, pos, c->q->cluster_size, w->table->times);
}

static void walk_entry(struct walk *w, unsigned i, uint64_t entry, uint64_t bitmap)
{
	enum qcow2_l2_kind kind = qcow2_l2_kind(w->c->q, entry);

	if (kind != QCOW2_L2_COMPRESSED && entry & QCOW2_L2_RESERVED) {
		check_corruption(
			w->c->say, "ERROR found l2 entry with reserved bits set: %" PRIx64, entry);
		odd_entry(w);
	}
	switch (kind) {
	case QCOW2_L2_COMPRESSED:
		walk_compressed(w, i, entry, bitmap);
		break;
	case QCOW2_L2_DATA:
	case QCOW2_L2_ZERO_ALLOCATED:
		walk_cluster(w, entry, bitmap);
		break;
	case QCOW2_L2_UNALLOCATED:
		if (!(bitmap & UINT32_MAX))
			break;
		check_corruption(w->c->say,
			"ERROR: Unallocated cluster has non-zero subcluster allocation map");
		odd_entry(w);
		break;
	case QCOW2_L2_ZERO:
		break;
	}
}

static int walk_table(struct qcow2_check *c, const struct qcow2_table *table, struct err *e)
{
	const struct qcow2 *q = c->q;
	struct walk w = {.c = c, .table = table};
	uint64_t start = (uint64_t)table->l1_index << qcow2_l1_bits(q);
	bool empty;
	int r = qcow2_check_read(c, table->pos, c->buf, q->cluster_size, &empty, e);

	if (r < 0)
		return err_in(e, "L2 table at 0x%" PRIx64, table->pos);
	if (empty)
		return 0;
	for (unsigned i = 0; i < 1u << q->entries_bits && r == 0; i++) {
		const unsigned char *p = c->buf + i * q->entry_size;
		uint64_t bitmap = q->extended ? load_be64(p + 8) : 0;

		w.off = start + ((uint64_t)i << q->header.cluster_bits);
		if (load_be64(p) || bitmap)
			walk_entry(&w, i, load_be64(p), bitmap);
		r = go_on(c, e);
	}
	return r;
}

/* Dirty bitmaps that the image keeps. */

static int walk_bitmap_entry(struct qcow2_check *c, uint64_t entry, struct err *e)
{
	uint64_t pos = entry & QCOW2_OFFSET;

	if (entry & (BITMAP_RESERVED | (pos ? BITMAP_ONES : 0)) || pos & (c->q->cluster_size - 1))
		return err_set(e, EUCLEAN, "entry 0x%016" PRIx64, entry);
	if (pos)
		refer_whole(c, "bitmap", pos, c->q->cluster_size, 1);
	return go_on(c, e);
}

static int walk_bitmap(struct qcow2_check *c, uint64_t pos, uint32_t entries, struct err *e)
{
	uint64_t len = (uint64_t)entries * QCOW2_ENTRY_SIZE, n;
	int r = 0;

	if (pos == 0 || pos & (c->q->cluster_size - 1) || len > QCOW2_MAX_BITMAP_TABLE)
		r = err_set(e, EUCLEAN, "%" PRIu32 " entries", entries);
	else
		refer_whole(c, "table of a bitmap", pos, len, 1);
	for (uint64_t at = 0; r == 0 && at < len; at += n) {
		bool empty;

		r = qcow2_check_read_piece(c, pos + at, len - at, &n, &empty, e);
		for (uint64_t i = 0; r == 0 && !empty && i < n; i += QCOW2_ENTRY_SIZE)
			r = walk_bitmap_entry(c, load_be64(c->buf + i), e);
	}
	return r < 0 ? err_in(e, "table at 0x%" PRIx64, pos) : 0;
}

static int walk_bitmaps(struct qcow2_check *c, struct err *e)
{
	const struct qcow2 *q = c->q;
	const struct qcow2_header *h = &q->header;
	uint64_t at = 0;
	int r = 0;

	if (!(h->autoclear & QCOW2_BITMAPS))
		return 0;
	for (uint32_t i = 0; r == 0 && i < h->nbitmaps; i++) {
		unsigned char raw[QCOW2_BITMAP_FIXED];

		r = qcow2_bitmaps_read(q, i, &at, raw, e);
		if (r == 0)
			r = walk_bitmap(c, load_be64(raw), load_be32(raw + 8), e);
	}
	return r < 0 ? err_in(e, "bitmaps") : 0;
}

/* Refcount blocks. */

/* Is this entry of the refcount table one that cannot be followed? */
static bool odd_block(struct qcow2_check *c, uint64_t i)
{
	uint64_t pos = c->reftable[i] & QCOW2_REFTABLE_OFFSET;

	if (c->reftable[i] & ~QCOW2_REFTABLE_OFFSET) {
		check_corruption(
			c->say, "ERROR refcount table entry %" PRIu64 " has reserved bits set", i);
		c->rebuild = true;
	} else if (pos & (c->q->cluster_size - 1)) {
		check_corruption(c->say,
			"ERROR refcount block %" PRIu64
			" is not cluster aligned; refcount table entry corrupted",
			i);
		c->rebuild = true;
	} else if (pos >> c->q->header.cluster_bits >= c->nclusters) {
		check_corruption(c->say, "ERROR refcount block %" PRIu64 " is outside image", i);
		c->outside = true;
	} else {
		return false;
	}
	return true;
}

static void refer_block(struct qcow2_check *c, uint64_t i)
{
	uint64_t cluster = c->reftable[i] >> c->q->header.cluster_bits;

	if (c->reftable[i] == 0 || odd_block(c, i))
		return;
	refer(c, c->reftable[i], c->q->cluster_size, 1);
	if (!qcow2_check_in_window(c, cluster) || c->refs[cluster - c->first] == 1)
		return;
	check_corruption(c->r, "ERROR refcount block %" PRIu64 " refcount=%" PRIu32, i,
		c->refs[cluster - c->first]);
	c->rebuild = true;
}

static int refer_refcounts(struct qcow2_check *c, struct err *e)
{
	const struct qcow2_header *h = &c->q->header;

	bool cut = c->cut, uncertain = c->uncertain;
	int r = 0;

	/* Where it lies does not make the other references uncertain. */
	refer(c, h->reftable_pos, (uint64_t)h->reftable_clusters << h->cluster_bits, 1);
	c->cut = cut;
	c->uncertain = uncertain;
	for (uint64_t i = 0; r == 0 && i < c->nreftable; i++) {
		refer_block(c, i);
		r = go_on(c, e);
	}
	return r;
}

static int count_all(struct qcow2_check *c, struct err *e)
{
	int r = 0;

	qcow2_check_read_limit(c);
	refer(c, 0, c->q->cluster_size, 1); /* the header */
	for (size_t i = 0; r == 0 && i < c->nused && !qcow2_check_ends(c); i++) {
		refer_whole(c, c->used[i].what, c->used[i].pos, c->used[i].len, 1);
		r = go_on(c, e);
	}
	for (size_t i = 0; r == 0 && i < c->ntables && !qcow2_check_ends(c); i++) {
		refer_whole(
			c, "L2 table", c->tables[i].pos, c->q->cluster_size, c->tables[i].times);
		r = walk_table(c, &c->tables[i], e);
	}
	if (r == 0)
		r = walk_bitmaps(c, e);
	if (r == 0 && !c->without_refcounts)
		r = refer_refcounts(c, e);
	return r == 0 ? go_on(c, e) : r;
}

static int count_window(struct qcow2_check *c, uint64_t first, struct err *e)
{
	int r = 0;

	if (c->counted && c->first == first)
		return 0;
	if (c->dirty)
		memset(c->refs, 0, c->nwindow * sizeof c->refs[0]);
	c->dirty = false;
	c->first = first;
	c->say = c->told ? &c->silence : c->r;
	if (first < c->nclusters)
		r = count_all(c, e);
	c->told = c->counted = true;
	return r;
}

int qcow2_check_references(
	struct qcow2_check *c, uint64_t end, qcow2_check_window *work, void *arg, struct err *e)
{
	int r = 0;

	for (uint64_t first = 0; r == 0 && first < MAX(end, c->nclusters) && !qcow2_check_ends(c);
		first += c->nwindow) {
		r = count_window(c, first, e);
		if (r == 0)
			r = work(c, arg, e);
	}
	return r;
}
