/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export.c - a disk shown as a qcow2 file: header, refcount table, refcount blocks, L1 table, L2
 * tables, data.  Each cluster of the file is used once.
 */
#include "util/bytes.h"
#include "util/err.h"
#include "export/allocmap.h"
#include "export/regions.h"
#include "image/format.h"
#include "l1.h"
#include "map.h"

#define CLUSTER        (UINT64_C(1) << EXPORT_BITS)
#define TABLE_ENTRIES  (CLUSTER / QCOW2_ENTRY_SIZE)
#define L2_BITS        (EXPORT_BITS + 13) /* of disk that an L2 table maps */
#define BLOCK_ENTRIES  (CLUSTER / 2)      /* of a refcount block */
#define REFCOUNT_ORDER 4

struct qcow2_layout {
	struct regions regions;
	uint64_t clusters; /* of the whole file */
	uint64_t blocks;   /* refcount blocks */
	uint64_t l1_size;
	uint64_t table_pos, block_pos, l1_pos, l2_pos, data_pos;
};

static int fill_header(
	const struct regions *m, uint64_t first, size_t n, unsigned char *h, struct err *e)
{
	const struct qcow2_layout *q = (const struct qcow2_layout *)m;

	(void)first, (void)n, (void)e;
	qcow2_header_encode(
		&(struct qcow2_header){
			.version = 3,
			.cluster_bits = EXPORT_BITS,
			.length = QCOW2_HEADER_LENGTH,
			.size = regions_disk_size(m),
			.l1_size = q->l1_size,
			.l1_pos = q->l1_pos,
			.reftable_pos = q->table_pos,
			.reftable_clusters = (q->block_pos - q->table_pos) / CLUSTER,
			.refcount_order = REFCOUNT_ORDER,
		},
		h);
	return 0;
}

static int fill_refcount_table(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct qcow2_layout *q = (const struct qcow2_layout *)m;

	(void)e;
	for (size_t i = 0; i < n; i++)
		store_be64(out + 8 * i, q->block_pos + (first + i) * CLUSTER);
	return 0;
}

static int fill_refcounts(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	(void)m, (void)first, (void)e;
	for (size_t i = 0; i < n; i++)
		store_be16(out + 2 * i, 1);
	return 0;
}

static int fill_l1(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct qcow2_layout *q = (const struct qcow2_layout *)m;
	uint64_t pos = q->l2_pos + allocmap_rank(m->coarse, first) * CLUSTER;

	(void)e;
	for (size_t i = 0; i < n; i++) {
		if (!allocmap_has(m->coarse, first + i))
			continue;
		store_be64(out + 8 * i, QCOW2_COPIED | pos);
		pos += CLUSTER;
	}
	return 0;
}

/* Called for one whole L2 table at a time. */
static int fill_l2(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct qcow2_layout *q = (const struct qcow2_layout *)m;
	uint64_t cluster = allocmap_select(m->coarse, first / TABLE_ENTRIES) * TABLE_ENTRIES;
	uint64_t end = MIN(cluster + n, allocmap_all(m->stored));
	uint64_t pos = q->data_pos + allocmap_rank(m->stored, cluster) * CLUSTER;

	(void)e;
	for (; cluster < end; cluster++, out += 8) {
		if (!allocmap_has(m->stored, cluster))
			continue;
		store_be64(out, QCOW2_COPIED | pos);
		pos += CLUSTER;
	}
	return 0;
}

/* The clusters of the refcount table and refcount blocks for n other clusters and themselves. */
static uint64_t refcount_clusters(uint64_t n)
{
	uint64_t own = 0, blocks, last;

	do {
		last = own;
		blocks = div_round_up(n + own, BLOCK_ENTRIES);
		own = blocks + div_round_up(blocks, TABLE_ENTRIES);
	} while (own != last);
	return own;
}

static void add_regions(struct qcow2_layout *q)
{
	struct regions *m = &q->regions;
	uint64_t ntables = allocmap_stored(m->coarse), l1_clusters, others;

	q->l1_size = allocmap_all(m->coarse);
	l1_clusters = div_round_up(q->l1_size, TABLE_ENTRIES);
	others = 1 + l1_clusters + ntables + allocmap_stored(m->stored);
	q->clusters = others + refcount_clusters(others);
	q->blocks = div_round_up(q->clusters, BLOCK_ENTRIES);
	q->table_pos = CLUSTER;
	q->block_pos = q->table_pos + div_round_up(q->blocks, TABLE_ENTRIES) * CLUSTER;
	q->l1_pos = q->block_pos + q->blocks * CLUSTER;
	q->l2_pos = q->l1_pos + l1_clusters * CLUSTER;
	q->data_pos = q->l2_pos + ntables * CLUSTER;
	regions_add_table(m, 0, 1, QCOW2_HEADER_LENGTH, fill_header);
	regions_add_table(m, q->table_pos, q->blocks, QCOW2_ENTRY_SIZE, fill_refcount_table);
	regions_add_table(m, q->block_pos, q->clusters, 2, fill_refcounts);
	regions_add_sparse_table(m, q->l1_pos, q->l1_size, QCOW2_ENTRY_SIZE, fill_l1, m->coarse);
	regions_add_table(m, q->l2_pos, ntables * TABLE_ENTRIES, QCOW2_ENTRY_SIZE, fill_l2);
	regions_add_data(m, q->data_pos, m->stored, 0, NULL);
}

static int qcow2_make(
	const struct export_source *s, const char *name, struct view **file, struct err *e)
{
	struct qcow2_layout *q = regions_new(sizeof *q, s, L2_BITS, e);

	(void)name;
	if (!q)
		return -e->code;
	add_regions(q);
	return regions_end(&q->regions, q->clusters * CLUSTER, &qcow2_export, file, e);
}

const struct export_format qcow2_export = {
	.suffix = ".qcow2",
	.max_disk = (uint64_t)QCOW2_MAX_L1_BYTES / 8 << L2_BITS,
	.max_file = (uint64_t)QCOW2_MAX_REFTABLE_BYTES / 8 * BLOCK_ENTRIES * CLUSTER,
	.make = qcow2_make,
};
