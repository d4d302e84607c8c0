/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* region-table.h - the two equal region tables of a file. */
#ifndef VDISK_DRIVER_VHDX_REGION_TABLE_H
#define VDISK_DRIVER_VHDX_REGION_TABLE_H

#include "vhdx.h"

extern const uint64_t vhdx_region_table_pos[2];

/* Sets the parts for BAT and metadata. */
int vhdx_region_table_read(struct vhdx *d, struct err *e);

/* Calls each for every region, also for those that are not known: their bytes are in use. */
typedef int vhdx_region_fn(void *arg, uint64_t pos, uint64_t len, struct err *e);
int vhdx_region_table_each(struct vhdx *d, vhdx_region_fn *each, void *arg, struct err *e);

/* Changes place and length of the BAT in both tables; they are written back later. */
int vhdx_region_table_move_bat(struct vhdx *d, uint64_t pos, uint32_t len, struct err *e);

/* Fills VHDX_TABLE_LEN bytes of zeroes. */
void vhdx_region_table_encode(unsigned char *t, const struct vhdx_new *n);

#endif
