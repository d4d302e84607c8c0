/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdi.h - functions to build a VDI file. */
#ifndef MKIMAGE_VDI_H
#define MKIMAGE_VDI_H

#include <stdint.h>

#include "mkimage.h"

#define VDI_FREE   0xffffffffu
#define VDI_ZERO   0xfffffffeu
#define VDI_HEAD_0 420u /* bytes of a header before version 1 */

/* The header fields; the rest of the image follows from them. */
struct vdi {
	uint64_t size;
	uint32_t type, block_size, extra, map_pos, data_pos;
	uint32_t nblocks;
	const uint32_t *map;
};

/* Write the header of version 1, or of version 0, whose positions and extra bytes are fixed;
 * without UUIDs of a parent. */
void vdi_put_header(int fd, const struct vdi *v);
void vdi_put_header_0(int fd, const struct vdi *v);

/* Position of the data of a map entry. */
uint64_t vdi_block_pos(const struct vdi *v, uint32_t entry);

/* Sets the file size and writes map and blocks; block k in the file has the data stream from
 * from + k * block_size on. */
void vdi_put_blocks(int fd, const struct vdi *v, uint64_t from);

#endif
