/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header.h - the header of a VDI file. */
#ifndef VDISK_DRIVER_VDI_HEADER_H
#define VDISK_DRIVER_VDI_HEADER_H

#include "util/guid.h"
#include "vdi.h"

#define VDI_SIGNATURE     0xbeda107fu
#define VDI_SIGNATURE_POS 64u
#define VDI_HEADER_LEN    512u

/* Positions in the header of version 1. */
#define VDI_PLACES 340u /* of the block map, of the data area */
#define VDI_SIZE   368u /* of the disk; block size, extra bytes and number of blocks follow */
#define VDI_COUNT  388u /* allocated blocks */
#define VDI_IDS    392u /* of the image, of its content; the same two of its parent */
#define VDI_CHANGE (VDI_IDS + GUID_LEN)

/* The header of a new file. */
struct vdi_header {
	enum vdi_type type;
	uint64_t size;
	uint32_t map_pos, data_pos, block_size, nblocks;
	uint32_t count;
	unsigned char ids[4][GUID_LEN]; /* as at VDI_IDS */
};

/* Reads and checks the header: all of d that it has, and the ids of img and its parent. */
int vdi_header_read(struct image *img, struct vdi *d, struct err *e);

/* Makes VDI_HEADER_LEN bytes of version 1. */
void vdi_header_encode(const struct vdi_header *h, unsigned char *p);

#endif
