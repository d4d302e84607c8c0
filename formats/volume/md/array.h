/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* array.h - how the bytes of an array lie in its members; what a volume keeps of it. */
#ifndef VDISK_VOLUME_MD_ARRAY_H
#define VDISK_VOLUME_MD_ARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "volume/raid.h"

struct err;
struct md_super;
struct table;
struct view;

/* The place of a member in the array. */
struct md_place {
	size_t member; /* index; MD_MISSING */
	uint64_t pos;  /* bytes; where its data begins */
};

#define MD_MISSING SIZE_MAX

struct md_array {
	struct table *table; /* linear and level 0; NULL: raid */
	struct raid raid;
	struct md_place places[]; /* raid.n */
};

/* Describes the array of supers, one for each of its places: NULL for a missing one; members are
 * numbered without these.  newest has the last word.  EIO: too many are missing. */
int md_array_new(const struct md_super *newest, const struct md_super *const *supers,
	struct md_array **array, struct err *e);
void md_array_free(struct md_array *array); /* NULL is fine */

uint64_t md_array_size(const struct md_array *array); /* bytes */

/* "raid5, 1 of 3 members missing" */
void md_array_name(
	const struct md_super *newest, const struct md_array *array, char *text, size_t size);

/* The view over the members that are there; owns them on success. */
struct view *md_array_view(
	const struct md_array *array, struct view *const *members, size_t n, struct err *e);

/* For array.c: the table of level 0, whose members may differ in size. */
int md_level0(const struct md_super *newest, const struct md_super *const *supers,
	struct table *table, struct err *e);

#endif
