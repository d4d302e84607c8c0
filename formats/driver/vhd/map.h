/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map.h - the BAT and the sector bitmaps. */
#ifndef VDISK_DRIVER_VHD_MAP_H
#define VDISK_DRIVER_VHD_MAP_H

#include "vhd.h"

/* As in struct view_ops. */
int vhd_map(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e);
int vhd_map_fixed(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e);

/* The position in the file of a block, which begins with its sector bitmap; 0: it has none. */
int vhd_map_block(const struct vhd *d, uint64_t block, uint64_t *pos, struct err *e);

/* The positions of all blocks, in ascending order. */
struct vhd_blocks {
	uint32_t *at; /* sectors; to be freed, also on failure */
	size_t n;
};

static inline uint64_t vhd_blocks_pos(const struct vhd_blocks *b, size_t i)
{
	return b->at[i] * (uint64_t)VHD_SECTOR;
}

int vhd_map_sorted(const struct vhd *d, struct vhd_blocks *b, struct err *e);

#endif
