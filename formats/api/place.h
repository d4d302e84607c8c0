/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* place.h - the place of a disk in an image: what its path means. */
#ifndef VDISK_API_PLACE_H
#define VDISK_API_PLACE_H

#include <stddef.h>

#include "vdisk.h"

struct err;
struct image;
struct partition;
struct partition_table;
struct state;
struct volume;
struct volume_set;

struct place {
	enum vdisk_kind kind;
	unsigned layer;          /* in the chain, 0 is the top */
	const struct image *img; /* of that layer */
	struct state *state;     /* the whole disk, which a partition or a volume lies in; held */
	unsigned partition;      /* VDISK_PARTITION: its number */
	const char *volume;      /* VDISK_VOLUME: the rest of the path */
};

/* Finds the place of a path, which must outlive it.  If a partition or volume of this name exists
 * is not looked at.  -ENOENT. */
int place_find(struct place *place, const struct image *top, const char *path, struct err *e);
void place_drop(struct place *place);

/* The path of the whole disk that the place lies in, with a "/" at its end unless it is "": what
 * the paths of partitions and volumes begin with.  malloc'ed, or NULL without memory. */
char *place_prefix(const struct place *place);

/* The names of the snapshots of img in paths: nstates - 1 of them, malloc'ed as the array; NULL
 * without memory. */
char **place_snapshot_names(const struct image *img, struct err *e);
void place_free_names(char **names, size_t n);

/* The name of a volume in paths, malloc'ed; NULL without memory. */
char *place_volume_name(const struct volume *v);

/* The partition or volume of a place in what was read of its disk.  NULL: there is none, ENOENT. */
const struct partition *place_partition(
	const struct place *place, const struct partition_table *table, struct err *e);
const struct volume *place_volume(
	const struct place *place, const struct volume_set *set, struct err *e);

#endif
