/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* measure.c - the size of a qcow2 image before it is created: all tables, as if the whole disk were
 * allocated, and the clusters with data.
 */
#include "measure.h"

#include "util/bytes.h"
#include "view/view.h"
#include "image/format.h"
#include "bitmaps.h"
#include "map.h"

#define CLUSTER       UINT64_C(65536)
#define L2_ENTRY      8u
#define BLOCK_ENTRIES (8 * CLUSTER / 16) /* of a refcount block */
#define TABLE_ENTRIES (CLUSTER / QCOW2_ENTRY_SIZE)

/* The clusters of refcount blocks and table for n other clusters and for themselves. */
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

int qcow2_measure(const struct view *disk, uint64_t size, struct measured *m, struct err *e)
{
	uint64_t data = div_round_up(size, CLUSTER), l2 = div_round_up(data * L2_ENTRY, CLUSTER);
	uint64_t tables = 1 + l2 + div_round_up(l2, TABLE_ENTRIES); /* with the header */
	const struct qcow2 *q = disk ? qcow2_map_image(disk) : NULL;

	(void)e;
	tables = (tables + refcount_clusters(tables + data)) * CLUSTER;
	m->full = tables + data * CLUSTER;
	m->required = tables + (disk ? format_measure_units(disk, CLUSTER) : 0);
	m->has_bitmaps = q && q->header.version >= 3;
	m->bitmaps = m->has_bitmaps ? qcow2_bitmaps_size(q, CLUSTER) : 0;
	return 0;
}
