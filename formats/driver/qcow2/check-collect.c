/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check-collect.c - the tables of an image: the L1 tables of all states with their L2 tables, the
 * refcount table, the snapshot table, the LUKS header and the bitmap directory.
 */
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/array.h"
#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "l1.h"
#include "snapshot.h"

/* The slot of the table at pos in the index, or an empty one. */
static uint32_t *index_find(const struct qcow2_check *c, uint64_t pos)
{
	size_t i = ((pos >> 9) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (c->nindex - 1);

	while (c->index[i] && c->tables[c->index[i] - 1].pos != pos)
		i = (i + 1) & (c->nindex - 1);
	return &c->index[i];
}

/* Allocates memory for one more table.  When the array doubles, the index is built again, with four
 * slots for each table. */
static int tables_grow(struct qcow2_check *c, struct err *e)
{
	size_t n = c->ntables;
	struct qcow2_l2_table *tables = array_grow(c->tables, n, sizeof tables[0]);

	if (!tables)
		return err_nomem(e);
	c->tables = tables;
	if (n != 0 && !is_power_of_2(n))
		return 0;
	free(c->index);
	c->nindex = MAX(4 * n, 2);
	c->index = calloc(c->nindex, sizeof c->index[0]);
	if (!c->index)
		return err_nomem(e);
	for (size_t i = 0; i < c->ntables; i++)
		*index_find(c, tables[i].pos) = i + 1;
	return 0;
}

static int table_add(
	struct qcow2_check *c, uint64_t pos, uint32_t l1_index, bool live, struct err *e)
{
	uint32_t *at = c->nindex ? index_find(c, pos) : NULL;
	struct qcow2_l2_table *table;

	if (!at || !*at) {
		int r = tables_grow(c, e);

		if (r < 0)
			return r;
		c->tables[c->ntables] = (struct qcow2_l2_table){.pos = pos, .l1_index = l1_index};
		at = index_find(c, pos);
		*at = ++c->ntables;
	}
	table = &c->tables[*at - 1];
	table->references += table->references < UINT32_MAX;
	table->live += live;
	return 0;
}

static int region_add(
	struct qcow2_check *c, const char *what, uint64_t pos, uint64_t len, struct err *e)
{
	struct qcow2_range *regions = array_grow(c->regions, c->nregions, sizeof regions[0]);

	if (!regions)
		return err_nomem(e);
	c->regions = regions;
	c->regions[c->nregions++] = (struct qcow2_range){.what = what, .pos = pos, .len = len};
	return 0;
}

static int collect_l1(
	struct qcow2_check *c, uint64_t pos, uint32_t entries, bool live, struct err *e)
{
	uint64_t len = (uint64_t)entries * QCOW2_ENTRY_SIZE, n;
	int r = region_add(c, "L1 table", pos, len, e);

	for (uint64_t at = 0; r == 0 && at < len; at += n) {
		bool empty;

		r = qcow2_check_read_piece(c, pos + at, len - at, &n, &empty, e);
		for (uint64_t i = 0; r == 0 && !empty && i < n; i += QCOW2_ENTRY_SIZE) {
			uint64_t entry = load_be64(c->buf + i), table = entry & QCOW2_OFFSET;

			if (entry == 0)
				continue;
			if (entry & QCOW2_L1_RESERVED)
				check_corruption(c->r,
					"ERROR found L1 entry with reserved bits set: %" PRIx64,
					entry);
			if (qcow2_in_cluster(c->q, table))
				check_corruption(c->r,
					"ERROR l2_offset=%" PRIx64
					": Table is not cluster aligned; L1 entry corrupted",
					table);
			c->uncertain |= entry & QCOW2_L1_RESERVED || qcow2_in_cluster(c->q, table);
			r = check_go_on(c->r, e);
			if (r == 0)
				r = table_add(c, table, (at + i) / QCOW2_ENTRY_SIZE, live, e);
		}
	}
	return r < 0 ? err_in(e, "L1 table at 0x%" PRIx64, pos) : 0;
}

/* Reports the invalid position or size of a snapshot's L1 table. */
static int report_snapshot(struct qcow2_check *c, const struct qcow2_snapshot *s, struct err *e)
{
	char *id, *name;
	int r = qcow2_snapshot_read_names(c->q, s, &id, &name, e);

	c->uncertain = true;
	if (r == 0 && qcow2_in_cluster(c->q, s->l1_pos))
		check_corruption(c->r,
			"ERROR snapshot %.63s (%.255s) l1_offset=%#" PRIx64
			": L1 table is not cluster aligned; snapshot table entry corrupted",
			id, name, s->l1_pos);
	else if (r == 0)
		check_corruption(c->r,
			"ERROR snapshot %.63s (%.255s) l1_size=%#" PRIx32
			": L1 table is too large; snapshot table entry corrupted",
			id, name, s->l1_size);
	free(id);
	free(name);
	return r;
}

static int collect_snapshot(
	struct qcow2_check *c, uint32_t i, const struct qcow2_snapshot *s, struct err *e)
{
	bool good = qcow2_in_cluster(c->q, s->l1_pos) == 0 &&
		    s->l1_size <= QCOW2_MAX_L1_BYTES / QCOW2_ENTRY_SIZE;
	int r = good ? 0 : report_snapshot(c, s, e);

	/* In version 3 the extra data has the disk size. */
	if (c->q->header.version >= 3 && s->extra_len < 16) {
		c->bad_snapshots = true;
		c->harmless += c->for_writing;
		if (!c->for_writing)
			check_corruption(
				c->r, "ERROR snapshot table entry %" PRIu32 " is incomplete", i);
	}
	return r == 0 && good ? collect_l1(c, s->l1_pos, s->l1_size, false, e) : r;
}

static int collect_snapshots(struct qcow2_check *c, struct err *e)
{
	const struct qcow2_header *h = &c->q->header;
	uint64_t len = 0, end = 0;
	int r;

	if (h->nsnapshots > QCOW2_MAX_SNAPSHOTS || qcow2_in_cluster(c->q, h->snapshots_pos))
		return err_set(e, EINVAL, "snapshot table: %" PRIu32 " snapshots at 0x%" PRIx64,
			h->nsnapshots, h->snapshots_pos);
	if (c->q->external && h->nsnapshots > 0)
		check_corruption(
			c->r, "ERROR %" PRIu32 " snapshots in image with data file", h->nsnapshots);
	for (uint32_t i = 0; i < h->nsnapshots; i++) {
		struct qcow2_snapshot s;

		r = qcow2_snapshot_read(c->q, h->snapshots_pos + len, &s, e);
		if (r == -EINVAL) { /* the entries after it cannot be found */
			check_corruption(
				c->r, "ERROR snapshot table entry %" PRIu32 ": %s", i, e->text);
			c->bad_snapshots = c->uncertain = true;
			break;
		}
		if (r == 0)
			r = collect_snapshot(c, i, &s, e);
		if (r < 0)
			return err_in(e, "snapshot %" PRIu32, i);
		end = len + s.len;
		len = round_up(end, QCOW2_SNAPSHOT_ALIGN);
	}
	return region_add(c, "snapshot table", h->snapshots_pos, end, e);
}

static int collect_reftable(struct qcow2_check *c, struct err *e)
{
	const struct qcow2_header *h = &c->q->header;
	uint64_t len = (uint64_t)h->reftable_clusters << h->cluster_bits;
	int r;

	if (len == 0)
		return 0;
	c->nreftable = len / QCOW2_ENTRY_SIZE;
	c->reftable = malloc(len);
	if (!c->reftable)
		return err_nomem(e);
	r = io_read_padded(c->q->io, c->reftable, len, h->reftable_pos, e);
	for (uint64_t i = 0; r == 0 && i < c->nreftable; i++)
		c->reftable[i] = load_be64(&c->reftable[i]);
	return r < 0 ? err_in(e, "refcount table") : 0;
}

int qcow2_check_collect(struct qcow2_check *c, struct err *e)
{
	const struct qcow2_header *h = &c->q->header;
	int r = collect_l1(c, h->l1_pos, h->l1_size, true, e);

	if (r == 0)
		r = collect_snapshots(c, e);
	if (r == 0)
		r = collect_reftable(c, e);
	if (r == 0)
		r = region_add(c, "LUKS header", h->luks_pos, h->luks_len, e);
	if (r == 0 && h->autoclear & QCOW2_BITMAPS && h->nbitmaps > 0)
		r = region_add(c, "bitmap directory", h->bitmaps_pos, h->bitmaps_len, e);
	return r;
}
