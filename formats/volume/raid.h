/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raid.h - the bytes of a RAID array over those of its members, in the layouts of Linux md and of
 * the raid target of the device mapper (the "Linear and RAID" layouts of md(4), SNIA DDF 2.0 for
 * those of other controllers).
 *
 * Bytes that a member holds are mapped to it.  Those of a missing one are computed from parity on
 * each read: they are not cached, so that they are right while a member is written to.  An array is
 * never written.
 *
 * Levels 0 and linear only arrange bytes: they are tables (table.h).  raid4 of the device mapper is
 * level 5 with RAID_PARITY_0, that of md has its parity on the last member.
 */
#ifndef VDISK_VOLUME_RAID_H
#define VDISK_VOLUME_RAID_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct view;

/* Layouts of levels 5 and 6, as md numbers them.  The first six are of both. */
enum raid_layout {
	RAID_LEFT_ASYMMETRIC = 0,
	RAID_RIGHT_ASYMMETRIC = 1,
	RAID_LEFT_SYMMETRIC = 2,
	RAID_RIGHT_SYMMETRIC = 3,
	RAID_PARITY_0 = 4,
	RAID_PARITY_N = 5,
	/* Level 6, of DDF: raid6_zr, raid6_nr and raid6_nc of LVM */
	RAID_ROTATING_ZERO_RESTART = 8,
	RAID_ROTATING_N_RESTART = 9,
	RAID_ROTATING_N_CONTINUE = 10,
	/* Level 6, which is one of level 5 with Q on the last member */
	RAID_LEFT_ASYMMETRIC_6 = 16,
	RAID_RIGHT_ASYMMETRIC_6 = 17,
	RAID_LEFT_SYMMETRIC_6 = 18,
	RAID_RIGHT_SYMMETRIC_6 = 19,
	RAID_PARITY_0_6 = 20,
};

/* Layouts of level 10: near copies | far copies << 8, and these. */
#define RAID10_OFFSET   (1u << 16) /* far copies lie in the next chunks */
#define RAID10_SETS_OLD (1u << 17) /* far copies stay in sets of n / far members */
#define RAID10_SETS     (2u << 17) /* far copies stay in sets of near * far members */

/* An array; copied by all that takes it. */
struct raid {
	unsigned level;  /* 1, 4, 5, 6, 10 */
	unsigned layout; /* of levels 5, 6, 10 */
	uint64_t chunk;  /* bytes, a multiple of 512; of level 1 it does not matter */
	uint64_t used;   /* bytes of each member, those after the last whole chunk included */
	size_t n;        /* members, the missing ones included */
};

struct raid_member {
	struct view *view; /* NULL: missing */
	uint64_t pos;      /* bytes; where its data begins */
};

/* Can there be such an array?  ENOTSUP: a level or layout that is not known; EINVAL: sizes and
 * numbers that contradict each other.  The other functions take only what passed this one. */
int raid_check(const struct raid *r, struct err *e);

uint64_t raid_size(const struct raid *r); /* bytes */

/* "raid6", "raid10 near=2" */
void raid_name(const struct raid *r, char *text, size_t size);

/* Can all bytes be read with these of its r->n members?  EIO: too many are missing. */
int raid_check_members(const struct raid *r, const struct raid_member *members, struct err *e);

/* The view over members, r->n of them, whose views it owns on success; NULL, too, if
 * raid_check_members fails, and EUCLEAN for a member that is too short. */
struct view *raid_view(const struct raid *r, const struct raid_member *members, struct err *e);

#endif
