/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdi.h - VDI images in memory. */
#ifndef UNIT_BUILD_VDI_H
#define UNIT_BUILD_VDI_H

#include <stdbool.h>
#include <stdint.h>

#include "common/memory_image.h"

#define VDI_FREE 0xffffffffu
#define VDI_ZERO 0xfffffffeu

/* The fields of the header; a field that is 0 gets a usual value. */
struct vdi_spec {
	uint32_t block_size, extra;
	uint32_t map_pos, data_pos;
	uint64_t size;
	const uint32_t *map;
	uint32_t nblocks;
	uint64_t cut; /* bytes cut off at the end of the file */
	bool version_0;
	uint32_t type;
	unsigned char id, change, parent, parent_change; /* fill a UUID each */
};

/* Block number k in the file is filled with fill_pattern(k + 1); the space before its data, with
 * 0xee.  The UUIDs default to nil; id and change, to a UUID filled with 1. */
struct memory_image vdi_image_make(const struct vdi_spec *spec);

#endif
