/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* legs.h - the legs of a RAID volume, and the superblocks in which dm-raid keeps how they are. */
#ifndef VDISK_VOLUME_LVM_LEGS_H
#define VDISK_VOLUME_LVM_LEGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "build.h"
#include "util/err.h"

struct lvm_leg {
	struct lvm_map *data; /* NULL: it cannot be used */
	struct err why;

	/* The superblock: */
	bool has_super;
	uint64_t events, recovered; /* sectors; UINT64_MAX: all */
	uint64_t failed[4];         /* legs, a bit each */
	uint64_t synced;            /* sectors of the array; UINT64_MAX: all */
	uint32_t chunk;             /* sectors */
	bool is_reshaped;
};

struct lvm_legs {
	struct lvm_leg *legs;
	size_t n;
	bool in_sync; /* parity and copies can be trusted */
};

/* Finds which legs of a segment can be read.  Legs that cannot have an error each; fails for what
 * concerns all of them.  chunk: in sectors, 0: any. */
int lvm_legs_build(struct lvm_builder *b, const struct lvm_segment *s, size_t n, uint64_t chunk,
	unsigned depth, struct lvm_legs *legs, struct err *e);

/* Releases what was not taken (data set to NULL). */
void lvm_legs_free(struct lvm_legs *legs);

/* The first leg that can be read; NULL with the error of the first one. */
struct lvm_leg *lvm_legs_first(const struct lvm_legs *legs, struct err *e);

#endif
