/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2-refs.c - how often each cluster of a qcow2 file is referred to.
 *
 * Findings, their words and how they count are those of QEMU 7.2.  What an entry refers to is
 * counted also when the entry is odd, so that nothing in use is taken for free.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "cache.h"
#include "err.h"
#include "io.h"
#include "qcow2-check.h"
#include "qcow2.h"

#define BITMAP_RESERVED UINT64_C(0xff000000000001fe) /* of an entry of a bitmap's table */
#define BITMAP_ONES     UINT64_C(1) /* no cluster, but all bits are set; else reserved, too */

/* What is read. */

/* A sound image has each cluster once as a table.  More than that, with room for what is odd but
 * harmless, is made to keep us busy.  (A host file system that compresses stores less than it
 * holds.) */
#define BUDGET_FACTOR 16
#define BUDGET_LEAST  (64u << 20)

void qcow2_check_rewind(struct qcow2_check *c)
{
	const struct io *io = c->q->io;
	uint64_t real = io->sparse ? io->stored : io->size;

	c->budget = BUDGET_LEAST + MIN(real, UINT64_MAX / 2 / BUDGET_FACTOR) * BUDGET_FACTOR;
}

int qcow2_check_read(
	struct qcow2_check *c, uint64_t pos, void *buf, size_t len, bool *empty, struct err *e)
{
	struct io *io = c->q->io;

	*empty = pos >= io->size || io_seek(io, pos, SEEK_DATA) - pos >= len;
	if (*empty)
		return 0;
	if (len > c->budget)
		return err_set(e, EUCLEAN,
			"its tables overlap: they have more bytes than the file has data");
	c->budget -= len;
	return io_read_padded(io, buf, len, pos, e);
}

/* The window. */

uint32_t qcow2_refcount_max(const struct qcow2 *q)
{
	return q->header.refcount_order >= 5 ? UINT32_MAX
					     : (1u << (1u << q->header.refcount_order)) - 1;
}

static void refer_cluster(struct qcow2_check *c, uint64_t cluster, uint32_t times)
{
	uint32_t max = qcow2_refcount_max(c->q), room, *refs;

	c->nclusters = MAX(c->nclusters, cluster + 1);
	if (!qcow2_in_window(c, cluster))
		return;
	c->dirty = true;
	refs = &c->refs[cluster - c->first];
	room = max - *refs;
	*refs += MIN(times, room);
	if (times <= room)
		return;
	check_corruption(c->r, "ERROR: overflow cluster offset=0x%" PRIx64,
		cluster << c->q->header.cluster_bits);
	c->r->corruptions += times - room - 1;
	c->overflow = true;
}

/* The last cluster of a file need not be whole. */
static void refer(struct qcow2_check *c, uint64_t pos, uint64_t len, uint32_t times)
{
	unsigned bits = c->q->header.cluster_bits;

	if (len == 0)
		return;
	if (!range_fits(pos, len, c->file_len + c->q->cluster_size - 1)) {
		check_corruption(c->say,
			"ERROR: counting reference for region exceeding the end of the file by one "
			"cluster or more: offset 0x%" PRIx64 " size 0x%" PRIx64,
			pos, len);
		c->say->corruptions += times - 1;
		c->uncertain = true;
		return;
	}
	for (uint64_t i = pos >> bits; i <= (pos + len - 1) >> bits; i++)
		refer_cluster(c, i, times);
}

/* L2 tables. */

struct walk {
	struct qcow2_check *c;
	const struct qcow2_table *table;
	uint64_t next; /* where the next cluster would be if it followed the last one; 0: unknown */
};

/* What has just been told is so for everybody who refers to the table. */
static void odd_entry(const struct walk *w)
{
	w->c->say->corruptions += w->table->times - 1;
	w->c->uncertain = true;
}

static void walk_compressed(struct walk *w, unsigned i, uint64_t entry, uint64_t bitmap)
{
	struct qcow2_check *c = w->c;
	uint64_t len, pos = qcow2_compressed_range(c->q, entry, &len);

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
	refer(c, pos, len, w->table->times);
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

bool qcow2_is_odd_zero(const struct qcow2 *q, uint64_t entry, uint64_t bitmap)
{
	bool data = q->extended ? bitmap & UINT32_MAX : !(entry & QCOW2_ZERO);

	return !data && (entry & QCOW2_OFFSET) & (q->cluster_size - 1);
}

static void walk_cluster(struct walk *w, uint64_t entry, uint64_t bitmap)
{
	struct qcow2_check *c = w->c;
	uint64_t pos = entry & QCOW2_OFFSET;
	bool odd_zero = qcow2_is_odd_zero(c->q, entry, bitmap);

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
	if (!c->q->external)
		refer(c, pos, c->q->cluster_size, w->table->times);
}

static void walk_entry(struct walk *w, unsigned i, uint64_t entry, uint64_t bitmap)
{
	enum qcow2_entry kind = qcow2_entry_kind(w->c->q, entry);

	if (kind != QCOW2_ENTRY_COMPRESSED && entry & QCOW2_L2_RESERVED) {
		check_corruption(
			w->c->say, "ERROR found l2 entry with reserved bits set: %" PRIx64, entry);
		odd_entry(w);
	}
	switch (kind) {
	case QCOW2_ENTRY_COMPRESSED:
		walk_compressed(w, i, entry, bitmap);
		break;
	case QCOW2_ENTRY_DATA:
	case QCOW2_ENTRY_ZERO_ALLOCATED:
		walk_cluster(w, entry, bitmap);
		break;
	case QCOW2_ENTRY_UNALLOCATED:
		if (!(bitmap & UINT32_MAX))
			break;
		check_corruption(w->c->say,
			"ERROR: Unallocated cluster has non-zero subcluster allocation map");
		odd_entry(w);
		break;
	case QCOW2_ENTRY_ZERO:
		break;
	}
}

static int walk_table(struct qcow2_check *c, const struct qcow2_table *table, struct err *e)
{
	const struct qcow2 *q = c->q;
	struct walk w = {.c = c, .table = table};
	bool empty;
	int r = qcow2_check_read(c, table->pos, c->buf, q->cluster_size, &empty, e);

	if (r < 0)
		return err_in(e, "L2 table at 0x%" PRIx64, table->pos);
	if (empty)
		return 0;
	for (unsigned i = 0; i < 1u << q->entries_bits; i++) {
		const unsigned char *p = c->buf + i * q->entry_size;
		uint64_t bitmap = q->extended ? load_be64(p + 8) : 0;

		if (load_be64(p) || bitmap)
			walk_entry(&w, i, load_be64(p), bitmap);
	}
	return 0;
}

/* L1 tables. */

static size_t hash(uint64_t pos)
{
	return (pos >> 9) * UINT64_C(0x9e3779b97f4a7c15) >> 32;
}

/* The place of the table at pos in the index, or an empty one. */
static uint32_t *index_find(const struct qcow2_check *c, uint64_t pos)
{
	size_t i = hash(pos) & (c->nindex - 1);

	while (c->index[i] && c->tables[c->index[i] - 1].pos != pos)
		i = (i + 1) & (c->nindex - 1);
	return &c->index[i];
}

/* Room for one more.  tables is full when the count is a power of two, and the index, with four
 * places for each then, is made anew. */
static int tables_grow(struct qcow2_check *c, struct err *e)
{
	size_t n = c->ntables;
	struct qcow2_table *tables;

	if (n != 0 && !is_power_of_2(n))
		return 0;
	n = MAX(2 * n, 1);
	tables = realloc(c->tables, n * sizeof tables[0]);
	if (!tables)
		return err_nomem(e);
	c->tables = tables;
	free(c->index);
	c->nindex = 2 * n;
	c->index = calloc(c->nindex, sizeof c->index[0]);
	if (!c->index)
		return err_nomem(e);
	for (size_t i = 0; i < c->ntables; i++)
		*index_find(c, tables[i].pos) = i + 1;
	return 0;
}

static int table_add(struct qcow2_check *c, uint64_t pos, bool active, struct err *e)
{
	uint32_t *at = c->nindex ? index_find(c, pos) : NULL;
	struct qcow2_table *table;

	if (!at || !*at) {
		int r = tables_grow(c, e);

		if (r < 0)
			return r;
		c->tables[c->ntables] = (struct qcow2_table){.pos = pos};
		at = index_find(c, pos);
		*at = ++c->ntables;
	}
	table = &c->tables[*at - 1];
	table->times += table->times < UINT32_MAX;
	table->active += active;
	return 0;
}

static int used_add(struct qcow2_check *c, uint64_t pos, uint64_t len, struct err *e)
{
	struct qcow2_used *used = c->used;

	if (c->nused == 0 || is_power_of_2(c->nused))
		used = realloc(used, MAX(2 * c->nused, 1) * sizeof used[0]);
	if (!used)
		return err_nomem(e);
	c->used = used;
	c->used[c->nused++] = (struct qcow2_used){.pos = pos, .len = len};
	return 0;
}

static int l1_entry(struct qcow2_check *c, uint64_t entry, bool active, struct err *e)
{
	uint64_t pos = entry & QCOW2_OFFSET;

	if (entry & QCOW2_L1_RESERVED) {
		check_corruption(
			c->r, "ERROR found L1 entry with reserved bits set: %" PRIx64, entry);
		c->uncertain = true;
	}
	if (pos & (c->q->cluster_size - 1)) {
		check_corruption(c->r,
			"ERROR l2_offset=%" PRIx64
			": Table is not cluster aligned; L1 entry corrupted",
			pos);
		c->uncertain = true;
	}
	return table_add(c, pos, active, e);
}

static int collect_l1(
	struct qcow2_check *c, uint64_t pos, uint32_t entries, bool active, struct err *e)
{
	uint64_t len = (uint64_t)entries * QCOW2_ENTRY_SIZE, n;
	int r = used_add(c, pos, len, e);

	for (uint64_t at = 0; r == 0 && at < len; at += n) {
		bool empty;

		n = MIN(len - at, c->q->cluster_size);
		r = qcow2_check_read(c, pos + at, c->buf, n, &empty, e);
		for (uint64_t i = 0; r == 0 && !empty && i < n; i += QCOW2_ENTRY_SIZE)
			if (load_be64(c->buf + i))
				r = l1_entry(c, load_be64(c->buf + i), active, e);
	}
	return r < 0 ? err_in(e, "L1 table at 0x%" PRIx64, pos) : 0;
}

/* Snapshots. */

/* Does the L1 table of a snapshot make sense?  The name is for messages. */
static int check_snapshot_l1(
	struct qcow2_check *c, const struct qcow2_snapshot *s, bool *good, struct err *e)
{
	const struct qcow2 *q = c->q;
	bool aligned = !(s->l1_pos & (q->cluster_size - 1));
	uint64_t pos = s->pos + QCOW2_SNAPSHOT_FIXED + s->extra_len;
	char id[64], name[256];
	int r;

	*good = aligned && s->l1_size <= QCOW2_MAX_L1_BYTES / QCOW2_ENTRY_SIZE;
	if (*good)
		return 0;
	c->uncertain = true;
	memset(id, 0, sizeof id);
	memset(name, 0, sizeof name);
	r = meta_read(q->cache, q->io, id, MIN(s->id_len, sizeof id - 1), pos, e);
	if (r == 0)
		r = meta_read(q->cache, q->io, name, MIN(s->name_len, sizeof name - 1),
			pos + s->id_len, e);
	if (r < 0)
		return r;
	if (!aligned)
		check_corruption(c->r,
			"ERROR snapshot %s (%s) l1_offset=%#" PRIx64
			": L1 table is not cluster aligned; snapshot table entry corrupted",
			id, name, s->l1_pos);
	else
		check_corruption(c->r,
			"ERROR snapshot %s (%s) l1_size=%#" PRIx32
			": L1 table is too large; snapshot table entry corrupted",
			id, name, s->l1_size);
	return 0;
}

static int collect_snapshot(
	struct qcow2_check *c, uint32_t i, const struct qcow2_snapshot *s, struct err *e)
{
	bool good;
	int r = check_snapshot_l1(c, s, &good, e);

	/* Version 3 has the size of the disk in there. */
	if (c->q->header.version >= 3 && s->extra_len < 16)
		check_corruption(c->r, "ERROR snapshot table entry %" PRIu32 " is incomplete", i);
	return r == 0 && good ? collect_l1(c, s->l1_pos, s->l1_size, false, e) : r;
}

static int collect_snapshots(struct qcow2_check *c, struct err *e)
{
	const struct qcow2_header *h = &c->q->header;
	uint64_t len = 0;

	if (c->q->external && h->nsnapshots > 0)
		check_corruption(
			c->r, "ERROR %" PRIu32 " snapshots in image with data file", h->nsnapshots);
	for (uint32_t i = 0; i < h->nsnapshots; i++) {
		struct qcow2_snapshot s;
		int r = qcow2_snapshot_read(c->q, h->snapshots_pos + len, &s, e);

		if (r == 0)
			r = collect_snapshot(c, i, &s, e);
		if (r < 0)
			return err_in(e, "snapshot %" PRIu32, i);
		len += round_up(s.len, QCOW2_SNAPSHOT_ALIGN);
	}
	return used_add(c, h->snapshots_pos, len, e);
}

static int collect_reftable(struct qcow2_check *c, struct err *e)
{
	const struct qcow2_header *h = &c->q->header;
	uint64_t len = (uint64_t)h->reftable_clusters << h->cluster_bits;
	int r = used_add(c, h->reftable_pos, len, e);

	if (r < 0 || len == 0)
		return r;
	c->nreftable = len / QCOW2_ENTRY_SIZE;
	c->reftable = malloc(len);
	if (!c->reftable)
		return err_nomem(e);
	r = io_read_padded(c->q->io, c->reftable, len, h->reftable_pos, e);
	for (uint64_t i = 0; r == 0 && i < c->nreftable; i++)
		c->reftable[i] = load_be64(&c->reftable[i]);
	return r < 0 ? err_in(e, "refcount table") : 0;
}

int qcow2_refs_collect(struct qcow2_check *c, struct err *e)
{
	const struct qcow2_header *h = &c->q->header;
	int r = used_add(c, 0, c->q->cluster_size, e);

	if (r == 0)
		r = collect_l1(c, h->l1_pos, h->l1_size, true, e);
	if (r == 0)
		r = collect_snapshots(c, e);
	if (r == 0)
		r = collect_reftable(c, e);
	if (r == 0)
		r = used_add(c, h->luks_pos, h->luks_len, e);
	if (r == 0 && h->autoclear & QCOW2_BITMAPS && h->nbitmaps > 0)
		r = used_add(c, h->bitmaps_pos, h->bitmaps_len, e);
	return r;
}

/* Dirty bitmaps that the image keeps. */

static int walk_bitmap_entry(struct qcow2_check *c, uint64_t entry, struct err *e)
{
	uint64_t pos = entry & QCOW2_OFFSET;

	if (entry & (BITMAP_RESERVED | (pos ? BITMAP_ONES : 0)) || pos & (c->q->cluster_size - 1))
		return err_set(e, EUCLEAN, "entry 0x%016" PRIx64, entry);
	if (pos)
		refer(c, pos, c->q->cluster_size, 1);
	return 0;
}

static int walk_bitmap(struct qcow2_check *c, uint64_t pos, uint32_t entries, struct err *e)
{
	uint64_t len = (uint64_t)entries * QCOW2_ENTRY_SIZE, n;
	int r = 0;

	if (pos == 0 || pos & (c->q->cluster_size - 1) || len > QCOW2_MAX_BITMAP_TABLE)
		r = err_set(e, EUCLEAN, "%" PRIu32 " entries", entries);
	else
		refer(c, pos, len, 1);
	for (uint64_t at = 0; r == 0 && at < len; at += n) {
		bool empty;

		n = MIN(len - at, c->q->cluster_size);
		r = qcow2_check_read(c, pos + at, c->buf, n, &empty, e);
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

		r = qcow2_bitmap_read(q, i, &at, raw, e);
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

static void refer_blocks(struct qcow2_check *c)
{
	for (uint64_t i = 0; i < c->nreftable; i++) {
		uint64_t cluster = c->reftable[i] >> c->q->header.cluster_bits;

		if (c->reftable[i] == 0 || odd_block(c, i))
			continue;
		refer(c, c->reftable[i], c->q->cluster_size, 1);
		if (!qcow2_in_window(c, cluster) || c->refs[cluster - c->first] == 1)
			continue;
		check_corruption(c->r, "ERROR refcount block %" PRIu64 " refcount=%" PRIu32, i,
			c->refs[cluster - c->first]);
		c->rebuild = true;
	}
}

int qcow2_refs_count(struct qcow2_check *c, struct err *e)
{
	int r = 0;

	qcow2_check_rewind(c);
	for (size_t i = 0; i < c->nused; i++)
		if (!c->without_refcounts || c->used[i].pos != c->q->header.reftable_pos)
			refer(c, c->used[i].pos, c->used[i].len, 1);
	for (size_t i = 0; r == 0 && i < c->ntables; i++) {
		refer(c, c->tables[i].pos, c->q->cluster_size, c->tables[i].times);
		r = walk_table(c, &c->tables[i], e);
	}
	if (r == 0)
		r = walk_bitmaps(c, e);
	if (r == 0 && !c->without_refcounts)
		refer_blocks(c);
	return r;
}
