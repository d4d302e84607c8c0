/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* raid-parity.h - bytes of a missing member from those of the others, for raid.c.
 *
 * P is the sum of the data of a row, Q the sum of g^i times that of number i, in GF(2^8) with the
 * polynomial 0x11d and g = 2 (H. P. Anvin, "The mathematics of RAID-6").
 */
#ifndef VDISK_VOLUME_RAID_PARITY_H
#define VDISK_VOLUME_RAID_PARITY_H

#include <stddef.h>

struct err;
struct raid_member;
struct raid_row;

/* Reads len bytes of row->data, which is missing, at row->pos of all n members, of which enough are
 * there; entered. */
int raid_recover(const struct raid_row *row, const struct raid_member *members, size_t n, void *buf,
	size_t len, struct err *e);

#endif
