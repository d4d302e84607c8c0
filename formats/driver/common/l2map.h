/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* l2map.h - two levels of tables with entries of eight bytes, as qcow and QED have them.
 *
 * An entry of the first level (L1) is the position of a table of the second level (L2), or 0: the
 * bytes are the parent's.  The format decodes L2 entries.  The positions of tables and clusters are
 * checked here, for each entry when it is read: an invalid one fails the read of the range that it
 * maps, and nothing else.
 */
#ifndef VDISK_DRIVER_COMMON_L2MAP_H
#define VDISK_DRIVER_COMMON_L2MAP_H

#include <stddef.h>
#include <stdint.h>

#include "driver/common/metadata-regions.h"
#include "view/view.h"

struct cache;
struct err;
struct io;
struct l2map;

#define L2MAP_ENTRY 8u

/* A decoded L2 entry. */
struct cluster {
	enum extent_kind kind;
	uint64_t host; /* FILE: position in io; GENERATED: unit_id of the cluster */
};

struct l2map_ops {
	uint64_t (*load)(const void *entry);
	int (*decode)(const struct l2map *t, uint64_t entry, struct cluster *c, struct err *e);
};

struct l2map {
	const struct l2map_ops *ops;
	struct cache *cache;
	struct io *io;
	uint64_t end; /* entries point before it: the size of io or less */
	uint64_t l1_pos;
	uint64_t l1_size;                    /* entries that the disk needs */
	unsigned cluster_bits;               /* clusters have 1 << cluster_bits bytes */
	unsigned table_bits;                 /* an L2 table has 1 << table_bits entries */
	uint64_t table_align, cluster_align; /* of positions; powers of two */
	struct metadata_regions metadata;    /* where no table and no cluster may lie */
};

/* Entries of the L1 table that a disk of size bytes needs. */
uint64_t l2map_l1_needed(const struct l2map *t, uint64_t size);

/* Checks that [pos, pos+len) overlaps no metadata and begins inside the file.  what names it in
 * messages. */
int l2map_check_place(
	const struct l2map *t, const char *what, uint64_t pos, uint64_t len, struct err *e);

/* As in struct view_ops. */
int l2map_map(const struct l2map *t, uint64_t off, uint64_t len, struct extent *x, struct err *e);

#endif
