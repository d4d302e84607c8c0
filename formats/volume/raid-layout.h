/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raid-layout.h - where the bytes of an array lie, for raid.c.  Positions are bytes from the place
 * where the data of a member begins. */
#ifndef VDISK_VOLUME_RAID_LAYOUT_H
#define VDISK_VOLUME_RAID_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct raid;

#define RAID_NONE SIZE_MAX /* no member */

/* A byte of levels 4, 5, 6, and the parity of its row. */
struct raid_row {
	size_t data;  /* the member that has it */
	uint64_t pos; /* in each member */
	size_t p, q;  /* members with parity; RAID_NONE */
	size_t first; /* the member from which Q counts the others */
	bool all;     /* Q counts the members with parity, too */
};

int raid_layout_check(const struct raid *r, struct err *e);

/* Bytes in an array of the levels that have chunks. */
uint64_t raid_layout_size(const struct raid *r);

/* Level 10: its parts. */
unsigned raid_near(const struct raid *r);
unsigned raid_far(const struct raid *r);

struct raid_row raid_find_row(const struct raid *r, uint64_t off);

/* Level 10: the position in the member that has copy number k, from 0 on. */
size_t raid_find_copy(const struct raid *r, uint64_t off, unsigned k, uint64_t *pos);

#endif
