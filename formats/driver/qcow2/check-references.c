/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check-references.c - the references to each cluster counted.
 *
 * Findings, their wording and how they count are those of QEMU 7.2.  The cluster of an invalid
 * entry is counted as well, so that no cluster in use appears to be free.
 */
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "bitmaps.h"
#include "compress.h"
#include "l1.h"
#include "l2.h"

static int go_on(const struct qcow2_check *c, struct err *e)
{
	if (c->references_max == 0)
		return err_set(e, EUCLEAN,
			"its tables overlap: they refer to more clusters than the file can hold");
	return check_go_on(c->r, e);
}

/* The last finding counts once for each reference, to a position beyond the end of the file. */
static void count_beyond_end(struct qcow2_check *c, uint32_t times)
{
	c->table_report->corruptions += times - 1;
	c->uncertain = c->beyond_end = true;
}

/* Does the range lie in the file?  The last cluster need not be whole. */
static bool fits(const struct qcow2_check *c, uint64_t pos, uint64_t len)
{
	return range_fits(pos, len, c->file_len + c->q->cluster_size - 1);
}

static void count_references(struct qcow2_check *c, uint64_t pos, uint64_t len, uint32_t times)
{
	unsigned bits = c->q->header.cluster_bits;
	uint32_t max = MIN(qcow2_refcount_max(c->q), UINT32_MAX);
	uint64_t first, end;

	if (len == 0)
		return;
	if (!fits(c, pos, len)) {
		check_corruption(c->table_report,
			"ERROR: counting reference for region exceeding the end of the file by one "
			"cluster or more: offset 0x%" PRIx64 " size 0x%" PRIx64,
			pos, len);
		count_beyond_end(c, times);
		return;
	}
	end = ((pos + len - 1) >> bits) + 1;
	c->nclusters = MAX(c->nclusters, end);
	first = MAX(pos >> bits, c->first);
	end = MIN(end, c->first + c->nwindow);
	for (uint64_t i = first; i < end && c->references_max > 0 && !check_is_enough(c->r); i++) {
		uint32_t *refs = &c->refs[i - c->first], rest = max - *refs;

		c->references_max--;
		c->dirty = true;
		*refs += MIN(times, rest);
		if (times <= rest)
			continue;
		check_corruption(c->r, "ERROR: overflow cluster offset=0x%" PRIx64, i << bits);
		c->r->corruptions += times - rest - 1;
		c->overflow = true;
	}
}

/* A table is only used whole: where it is cut off it would read as "not allocated". */
static void count_whole(
	struct qcow2_check *c, const char *what, uint64_t pos, uint64_t len, uint32_t times)
{
	if (len > 0 && fits(c, pos, len) && !range_fits(pos, len, c->q->io->size)) {
		check_corruption(c->table_report,
			"ERROR %s at 0x%" PRIx64 " is cut off by the end of the file", what, pos);
		count_beyond_end(c, times);
	}
	count_references(c, pos, len, times);
}

struct l2_walk {
	struct qcow2_check *c;
	const struct qcow2_l2_table *table;
	uint64_t off;  /* guest offset of the entry, by the first L1 entry with the table */
	uint64_t next; /* the end of the last cluster, for fragmentation; 0: there was none */
};

/* The last finding counts once for each reference to the table. */
static void count_invalid(const struct l2_walk *w)
{
	w->c->table_report->corruptions += w->table->references - 1;
	w->c->uncertain = true;
}

/* Does the stream end where the file does?  Otherwise zeroes would be decoded in place of its end
 * once the file is longer. */
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

static void count_compressed(struct l2_walk *w, unsigned i, uint64_t entry, uint64_t bitmap)
{
	struct qcow2_check *c = w->c;
	uint64_t len, pos = qcow2_l2_compressed_range(c->q, entry, &len), size = c->q->io->size;

	if (entry & QCOW2_COPIED) {
		check_corruption(c->table_report,
			"ERROR: coffset=0x%" PRIx64
			": copied flag must never be set for compressed clusters",
			pos);
		count_invalid(w);
		entry &= ~QCOW2_COPIED;
	}
	if (c->q->external || bitmap) {
		check_corruption(c->table_report,
			"ERROR compressed cluster %u with %s, entry=0x%" PRIx64, i,
			c->q->external ? "data file" : "non-zero subcluster allocation bitmap",
			entry);
		count_invalid(w);
		return;
	}
	if (pos < size && len > size - pos && fits(c, pos, len) && !tail_is_whole(c, entry)) {
		check_corruption(c->table_report,
			"ERROR compressed cluster at 0x%" PRIx64
			" is cut off by the end of the file",
			pos);
		count_beyond_end(c, w->table->references);
	}
	count_references(c, pos, len, w->table->references);
	c->table_report->allocated_clusters += w->table->live;
	c->table_report->compressed_clusters += w->table->live;
	c->table_report->fragmented_clusters += w->table->live; /* always, as in QEMU */
}

/* In a data file a cluster lies at its guest offset, and has no refcount. */
static void check_external(struct l2_walk *w, uint64_t pos, bool data)
{
	struct qcow2_check *c = w->c;

	if (pos != w->off) {
		check_corruption(c->table_report,
			"ERROR data cluster at 0x%" PRIx64
			" of the data file is not at its guest offset, 0x%" PRIx64,
			pos, w->off);
		count_invalid(w);
	} else if (data && !c->q->data_missing && pos >= c->q->data->size) {
		check_corruption(c->table_report,
			"ERROR data cluster at 0x%" PRIx64
			" lies past the end of the data file, 0x%" PRIx64,
			pos, c->q->data->size);
		count_beyond_end(c, w->table->references);
	}
}

static void count_standard(struct l2_walk *w, uint64_t entry, uint64_t bitmap)
{
	struct qcow2_check *c = w->c;
	uint64_t pos = entry & QCOW2_OFFSET;
	bool misplaced_zero = qcow2_l2_is_misplaced_zero(c->q, entry, bitmap);

	if (bitmap >> 32 & bitmap) {
		check_corruption(c->table_report,
			"ERROR offset=%" PRIx64
			": Allocated cluster has corrupted subcluster allocation bitmap",
			pos);
		count_invalid(w);
	}
	if (qcow2_in_cluster(c->q, pos)) {
		check_corruption(c->table_report,
			"ERROR offset=%" PRIx64
			": %s cluster is not properly aligned; L2 entry corrupted.",
			pos, misplaced_zero ? "Preallocated" : "Data");
		count_invalid(w);
	}
	c->misplaced_zeroes |= misplaced_zero;
	c->table_report->allocated_clusters += w->table->live;
	if (w->next && pos != w->next)
		c->table_report->fragmented_clusters += w->table->live;
	w->next = pos + c->q->cluster_size;
	if (c->q->external)
		check_external(
			w, pos, c->q->extended ? bitmap & UINT32_MAX : !(entry & QCOW2_ZERO));
	else
		count_references(c, pos, c->q->cluster_size, w->table->references);
}

static void count_entry(struct l2_walk *w, unsigned i, uint64_t entry, uint64_t bitmap)
{
	enum qcow2_l2_kind kind = qcow2_l2_kind(w->c->q, entry);

	if (kind != QCOW2_L2_COMPRESSED && entry & QCOW2_L2_RESERVED) {
		check_corruption(w->c->table_report,
			"ERROR found l2 entry with reserved bits set: %" PRIx64, entry);
		count_invalid(w);
	}
	switch (kind) {
	case QCOW2_L2_COMPRESSED:
		count_compressed(w, i, entry, bitmap);
		break;
	case QCOW2_L2_DATA:
	case QCOW2_L2_ZERO_ALLOCATED:
		count_standard(w, entry, bitmap);
		break;
	case QCOW2_L2_UNALLOCATED:
		if (!(bitmap & UINT32_MAX))
			break;
		check_corruption(w->c->table_report,
			"ERROR: Unallocated cluster has non-zero subcluster allocation map");
		count_invalid(w);
		break;
	case QCOW2_L2_ZERO:
		break;
	}
}

static int count_table(struct qcow2_check *c, const struct qcow2_l2_table *table, struct err *e)
{
	const struct qcow2 *q = c->q;
	struct l2_walk w = {.c = c, .table = table};
	uint64_t start = (uint64_t)table->l1_index << qcow2_l1_bits(q);
	bool empty;
	int r = qcow2_check_read(c, table->pos, c->buf, q->cluster_size, &empty, e);

	if (r < 0)
		return err_in(e, "L2 table at 0x%" PRIx64, table->pos);
	if (empty)
		return 0;
	for (unsigned i = 0; i < 1u << q->entries_bits && r == 0; i++) {
		const unsigned char *p = c->buf + i * q->entry_size;
		uint64_t bitmap = qcow2_l2_bitmap(q, p);

		w.off = start + ((uint64_t)i << q->header.cluster_bits);
		if (load_be64(p) || bitmap)
			count_entry(&w, i, load_be64(p), bitmap);
		r = go_on(c, e);
	}
	return r;
}

static int count_bitmap(struct qcow2_check *c, uint64_t pos, uint32_t entries, struct err *e)
{
	uint64_t len = (uint64_t)entries * QCOW2_ENTRY_SIZE, n;
	int r = 0;

	if (pos == 0 || qcow2_in_cluster(c->q, pos) || len > QCOW2_MAX_BITMAP_TABLE)
		r = err_set(e, EUCLEAN, "%" PRIu32 " entries", entries);
	else
		count_whole(c, "table of a bitmap", pos, len, 1);
	for (uint64_t at = 0; r == 0 && at < len; at += n) {
		bool empty;

		r = qcow2_check_read_piece(c, pos + at, len - at, &n, &empty, e);
		for (uint64_t i = 0; r == 0 && !empty && i < n; i += QCOW2_ENTRY_SIZE) {
			uint64_t entry = load_be64(c->buf + i), part = entry & QCOW2_OFFSET;

			if (entry & (QCOW2_BITMAP_RESERVED | (part ? QCOW2_BITMAP_ONES : 0)) ||
				qcow2_in_cluster(c->q, part)) {
				r = err_set(e, EUCLEAN, "entry 0x%016" PRIx64, entry);
				break;
			}
			if (part)
				count_whole(c, "bitmap", part, c->q->cluster_size, 1);
			r = go_on(c, e);
		}
	}
	return r < 0 ? err_in(e, "table at 0x%" PRIx64, pos) : 0;
}

static int count_bitmaps(struct qcow2_check *c, struct err *e)
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
			r = count_bitmap(c, load_be64(raw), load_be32(raw + 8), e);
	}
	return r < 0 ? err_in(e, "bitmaps") : 0;
}

/* Counts the refcount table and refcount blocks. */
static int count_refcounts(struct qcow2_check *c, struct err *e)
{
	const struct qcow2_header *h = &c->q->header;
	bool beyond_end = c->beyond_end, uncertain = c->uncertain;
	int r = 0;

	/* The position of the table does not make other references uncertain. */
	count_references(c, h->reftable_pos, (uint64_t)h->reftable_clusters << h->cluster_bits, 1);
	c->beyond_end = beyond_end;
	c->uncertain = uncertain;
	for (uint64_t i = 0; r == 0 && i < c->nreftable; i++) {
		uint64_t entry = c->reftable[i], cluster = entry >> h->cluster_bits;

		if (entry == 0)
			continue;
		if (entry & ~QCOW2_REFTABLE_OFFSET) {
			check_corruption(c->table_report,
				"ERROR refcount table entry %" PRIu64 " has reserved bits set", i);
			c->rebuild = true;
		} else if (qcow2_in_cluster(c->q, entry)) {
			check_corruption(c->table_report,
				"ERROR refcount block %" PRIu64
				" is not cluster aligned; refcount table entry corrupted",
				i);
			c->rebuild = true;
		} else if (cluster >= c->nclusters) {
			check_corruption(c->table_report,
				"ERROR refcount block %" PRIu64 " is outside image", i);
			c->block_outside = true;
		} else {
			count_references(c, entry, c->q->cluster_size, 1);
			if (qcow2_check_in_window(c, cluster) && c->refs[cluster - c->first] != 1) {
				check_corruption(c->r,
					"ERROR refcount block %" PRIu64 " refcount=%" PRIu32, i,
					c->refs[cluster - c->first]);
				c->rebuild = true;
			}
		}
		r = go_on(c, e);
	}
	return r;
}

/* Counts all references to clusters in the window. */
static int count_all(struct qcow2_check *c, struct err *e)
{
	int r = 0;

	qcow2_check_read_limit(c);
	count_references(c, 0, c->q->cluster_size, 1); /* the header */
	for (size_t i = 0; r == 0 && i < c->nregions && !qcow2_check_ends(c); i++) {
		count_whole(c, c->regions[i].what, c->regions[i].pos, c->regions[i].len, 1);
		r = go_on(c, e);
	}
	for (size_t i = 0; r == 0 && i < c->ntables && !qcow2_check_ends(c); i++) {
		count_whole(c, "L2 table", c->tables[i].pos, c->q->cluster_size,
			c->tables[i].references);
		r = count_table(c, &c->tables[i], e);
	}
	if (r == 0)
		r = count_bitmaps(c, e);
	if (r == 0 && !c->without_refcounts)
		r = count_refcounts(c, e);
	return r == 0 ? go_on(c, e) : r;
}

int qcow2_check_references(
	struct qcow2_check *c, uint64_t end, qcow2_check_window *work, void *arg, struct err *e)
{
	int r = 0;

	for (uint64_t first = 0; r == 0 && first < MAX(end, c->nclusters) && !qcow2_check_ends(c);
		first += c->nwindow) {
		if (!c->counted || c->first != first) {
			if (c->dirty)
				memset(c->refs, 0, c->nwindow * sizeof c->refs[0]);
			c->dirty = false;
			c->first = first;
			c->table_report = c->reported ? &c->ignored : c->r;
			if (first < c->nclusters)
				r = count_all(c, e);
			c->reported = c->counted = true;
		}
		if (r == 0)
			r = work(c, arg, e);
	}
	return r;
}
