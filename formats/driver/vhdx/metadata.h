/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* metadata.h - the items of the metadata table. */
#ifndef VDISK_DRIVER_VHDX_METADATA_H
#define VDISK_DRIVER_VHDX_METADATA_H

#include "vhdx.h"

#define VHDX_NEW_METADATA (VHDX_TABLE_LEN + 64u) /* bytes of a new region before the locator */

/* The head of a parent locator, and an entry of it: key and value. */
#define VHDX_LOCATOR_HEAD  20u
#define VHDX_LOCATOR_ENTRY 12u

extern const unsigned char vhdx_locator_type[GUID_LEN];

/* Sets the fields of d from block_size to size_is_shared, the size, and the parent of img. */
int vhdx_metadata_read(struct image *img, struct vhdx *d, struct err *e);

/* Fills VHDX_NEW_METADATA bytes of zeroes, and those of the locator after them. */
void vhdx_metadata_encode(unsigned char *t, const struct vhdx_new *n);

#endif
