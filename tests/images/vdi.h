/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdi.h - one VDI file, for all that are made of such. */
#ifndef MKIMAGE_VDI_H
#define MKIMAGE_VDI_H

#include <stdint.h>

#include "mkimage.h"

#define VDI_FREE   0xffffffffu
#define VDI_ZERO   0xfffffffeu
#define VDI_HEAD_0 420u /* bytes of a header before version 1 */

/* What the header says; all else follows from it. */
struct vdi {
	uint64_t size;
	uint32_t type, block_size, extra, map_pos, data_pos;
	uint32_t nblocks;
	const uint32_t *map;
};

/* The header of version 1 or of version 0, in which places and extra bytes are given; neither has
 * UUIDs of a parent. */
void vdi_put_header(int fd, const struct vdi *v);
void vdi_put_header_0(int fd, const struct vdi *v);

/* Where the data of this entry of the map is. */
uint64_t vdi_block_pos(const struct vdi *v, uint32_t entry);

/* The file's size and its blocks: number k of the data area holds the data stream from
 * from + k * block_size on. */
void vdi_put_blocks(int fd, const struct vdi *v, uint64_t from);

#endif
