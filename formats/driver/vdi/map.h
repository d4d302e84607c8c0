/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map.h - the block map of a VDI disk. */
#ifndef VDISK_DRIVER_VDI_MAP_H
#define VDISK_DRIVER_VDI_MAP_H

#include "vdi.h"

/* As in struct view_ops. */
int vdi_map(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e);

/* Calls each for one page of the block map after the other: the n entries at p begin with that of
 * block first. */
typedef int vdi_map_fn(
	void *arg, uint32_t first, const unsigned char *p, uint32_t n, struct err *e);
int vdi_map_each(const struct vdi *d, vdi_map_fn *each, void *arg, struct err *e);

/* The number of entries, from that of the block on, that lie in one page of the file and so reach
 * it together. */
uint32_t vdi_map_entries_in_page(const struct vdi *d, uint32_t block);

/* Does the file hold all bytes that the disk has of the block in this slot? */
bool vdi_map_block_is_whole(const struct vdi *d, uint32_t block, uint32_t slot);

#endif
