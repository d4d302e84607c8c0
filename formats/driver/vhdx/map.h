/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map.h - the BAT and the sector bitmap blocks. */
#ifndef VDISK_DRIVER_VHDX_MAP_H
#define VDISK_DRIVER_VHDX_MAP_H

#include "vhdx.h"

/* As in struct view_ops. */
int vhdx_map(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e);

/* Entry i of the BAT; 0 on failure. */
int vhdx_map_get_entry(const struct vhdx *d, uint64_t i, uint64_t *entry, struct err *e);

#endif
