/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plan.h - private to the VMDK driver: the parts of a new sparse extent.
 *
 * All grain tables are allocated, also those without an entry: VMware's products need them.
 */
#ifndef VDISK_DRIVER_VMDK_PLAN_H
#define VDISK_DRIVER_VMDK_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "header.h"

#define VMDK_GRAIN         128u /* sectors */
#define VMDK_TABLE         512u /* entries of a grain table */
#define VMDK_TABLE_SECTORS (VMDK_TABLE * 4 / VMDK_SECTOR)
#define VMDK_DESC_START    1u /* sector of the embedded descriptor */
#define VMDK_DESC_LEN      20u

/* Positions in sectors. */
struct vmdk_plan {
	uint64_t ntables;
	uint64_t rgd, rgt; /* redundant grain directory and its tables */
	uint64_t gd, gt;
	struct vmdk_header header;
};

/* embedded: with space for the descriptor. */
struct vmdk_plan vmdk_plan(uint64_t capacity, bool embedded);

/* Encodes entries [first, first+n) of a directory whose tables begin in sector gt. */
void vmdk_plan_directory(uint64_t gt, uint64_t first, size_t n, unsigned char *out);

#endif
