/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* measure.c - the size of a new image, from its options. */
#include <errno.h>
#include <inttypes.h>

#include "image/creation.h"
#include "image/format.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "view/view.h"
#include "bitmaps.h"
#include "map.h"
#include "qcow2.h"

/* The clusters of the refcount table and its blocks, which count themselves, too. */
static uint64_t refcount_clusters(uint64_t counted, uint64_t cluster, uint64_t bits)
{
	uint64_t per_block = cluster * 8 / bits, per_table = cluster / 8;
	uint64_t blocks = 0, table = 0, before;

	do {
		before = blocks + table;
		blocks = div_round_up(counted + before, per_block);
		table = div_round_up(blocks, per_table);
	} while (blocks + table != before);
	return blocks + table;
}

/* All tables, as if the whole disk were allocated, and the clusters with data. */
int qcow2_measure(
	const struct view *disk, const struct creation *c, struct measured *m, struct err *e)
{
	const struct qcow2 *q = disk ? qcow2_map_image(disk) : NULL;
	uint64_t cluster = creation_number(c, "cluster_size");
	uint64_t bits = creation_number(c, "refcount_bits");
	uint64_t entry = creation_flag(c, "extended_l2") ? 2 * QCOW2_ENTRY_SIZE : QCOW2_ENTRY_SIZE;
	uint64_t data, l2, tables;

	if (!is_power_of_2(cluster) || cluster < 1u << QCOW2_MIN_CLUSTER_BITS ||
		cluster > 1u << QCOW2_MAX_CLUSTER_BITS)
		return err_set(e, EINVAL, "Cluster size must be a power of two between %d and %dk",
			1 << QCOW2_MIN_CLUSTER_BITS, 1 << (QCOW2_MAX_CLUSTER_BITS - 10));
	if (!is_power_of_2(bits) || bits > 64)
		return err_set(e, EINVAL,
			"Refcount width must be a power of two and may not exceed 64 bits");
	data = div_round_up(c->size, cluster);
	l2 = div_round_up(data, cluster / entry);
	if (l2 > QCOW2_MAX_L1_BYTES / QCOW2_ENTRY_SIZE)
		return err_set(
			e, EFBIG, "The image size is too large (try using a larger cluster size)");
	tables = 1 + l2 + div_round_up(l2, cluster / QCOW2_ENTRY_SIZE); /* with the header */
	tables = (tables + refcount_clusters(tables + data, cluster, bits)) * cluster;
	m->full = tables + data * cluster;
	m->required = tables + (disk ? format_measure_units(disk, cluster) : 0);
	if (creation_is(c, "preallocation", "full") || creation_is(c, "preallocation", "falloc"))
		m->required = m->full;
	m->has_bitmaps = q && q->header.version >= 3;
	m->bitmaps = m->has_bitmaps ? qcow2_bitmaps_size(q, cluster) : 0;
	return 0;
}
