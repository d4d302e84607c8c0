/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* metadata.h - the items of the metadata table. */
#ifndef VDISK_DRIVER_VHDX_METADATA_H
#define VDISK_DRIVER_VHDX_METADATA_H

#include "vhdx.h"

enum vhdx_item {
	VHDX_PARAMETERS,
	VHDX_SIZE,
	VHDX_SECTOR,
	VHDX_PHYSICAL_SECTOR,
	VHDX_DISK_ID,
	VHDX_LOCATOR,
	VHDX_ITEMS
};

enum vhdx_parameter { VHDX_FILE_FIXED = 1, VHDX_FILE_HAS_PARENT = 2 };

/* The head of a parent locator, and an entry of it: key and value. */
#define VHDX_LOCATOR_HEAD  20u
#define VHDX_LOCATOR_ENTRY 12u

extern const unsigned char vhdx_locator_type[GUID_LEN];
const unsigned char *vhdx_metadata_guid_of(enum vhdx_item item);

/* Sets the fields of d from block_size to size_is_shared, the size, and the parent of img. */
int vhdx_metadata_read(struct image *img, struct vhdx *d, struct err *e);

#endif
