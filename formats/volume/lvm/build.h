/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* build.h - from the metadata of a group to the maps of its logical volumes. */
#ifndef VDISK_VOLUME_LVM_BUILD_H
#define VDISK_VOLUME_LVM_BUILD_H

#include <stddef.h>
#include <stdint.h>

#include "group.h"
#include "map.h"

struct cache;
struct volume_member;

struct lvm_builder;

/* Segments that are no table. */
struct lvm_segment_kind {
	const char *type; /* the beginning of it */
	/* Makes *map, which is what the whole segment reads as, and is to be found nowhere else. */
	int (*build)(struct lvm_builder *b, const struct lvm_segment *s, unsigned depth,
		struct lvm_map **map, struct err *e);
};

/* The state of one group, while it is assembled. */
struct lvm_builder {
	const struct lvm_group *g;
	const struct lvm_segment_kind *kinds; /* type NULL: the end */
	struct volume_member *const *devices; /* by the numbers of physical volumes */
	size_t ndevices;
	struct cache *cache; /* outlives the maps */
	struct view **views; /* of devices, for lvm_build_read; NULL: not used yet */
};

/* The map of a logical volume, as another reference.  An error is the same each time.  depth: of
 * the volumes that it is a part of. */
int lvm_build(struct lvm_builder *b, struct lvm_lv *lv, unsigned depth, struct lvm_map **map,
	struct err *e);

/* The same of one that another one is made of: it can be part of no second one. */
int lvm_build_part(struct lvm_builder *b, struct lvm_lv *lv, unsigned depth, struct lvm_map **map,
	struct err *e);

/* A map of an area alone, of a number of extents. */
int lvm_build_area(struct lvm_builder *b, struct lvm_area *area, uint64_t extents, unsigned depth,
	struct lvm_map **map, struct err *e);

/* Reads from a volume while the group is assembled. */
int lvm_build_read(struct lvm_builder *b, const struct lvm_map *map, void *buf, size_t len,
	uint64_t off, struct err *e);

#endif
