/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhd.h - VHD images in memory. */
#ifndef UNIT_BUILD_VHD_H
#define UNIT_BUILD_VHD_H

#include <stdint.h>

#include "common/memory_image.h"

enum { VHD_BUILD_FIXED = 2, VHD_BUILD_DYNAMIC = 3, VHD_BUILD_DIFFERENCING = 4 };

#define VHD_ABSENT   0xffffffffu
#define VHD_LOCATORS 4
#define VHD_HEAD     1536u /* footer copy and dynamic disk header; the BAT follows */
#define VHD_LOCATOR  1024u /* bytes of the text of a locator */

/* The position of the blocks of a disk whose BAT has so many entries. */
#define VHD_BLOCKS_AT(entries)                                                                     \
	(VHD_HEAD + round_up(4 * (size_t)(entries), 512) + VHD_LOCATORS * VHD_LOCATOR)

struct vhd_spec {
	unsigned type;
	uint64_t size;
	uint32_t block_size;
	const uint32_t *map; /* block i of the disk is block number map[i] of the file */
	uint32_t nmap;       /* the blocks after these are not allocated */
	uint32_t entries;    /* entries of the BAT; 0: one for each block */
	uint64_t sectors;    /* bit s % 64: sector s of each block is allocated; 0: all are */
	const unsigned char *below;  /* the parent's disk, of the same size; NULL: zeroes */
	unsigned char id, parent_id; /* byte that fills the unique ID */
	uint32_t stamp, parent_stamp;
	const char *parent_name;
	struct {
		const char *code, *text;
	} locators[VHD_LOCATORS];
	uint32_t footer_len; /* 0: 512 bytes */
};

struct memory_image vhd_build(const struct vhd_spec *spec);

/* The footer at the end of a file of its full length. */
unsigned char *vhd_footer(const struct memory_image *v);

/* Recompute the checksum of a footer, and of the dynamic disk header. */
void vhd_seal_footer(unsigned char *footer);
void vhd_seal_header(struct memory_image *v);

#endif
