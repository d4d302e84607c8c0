/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhd.h - VHD images in memory. */
#ifndef UNIT_BUILD_VHD_H
#define UNIT_BUILD_VHD_H

#include <stddef.h>
#include <stdint.h>

enum { VHD_BUILD_FIXED = 2, VHD_BUILD_DYNAMIC = 3, VHD_BUILD_DIFFERENCING = 4 };

#define VHD_ABSENT   0xffffffffu
#define VHD_LOCATORS 4
#define VHD_HEAD     1536u /* bytes of footer copy and header: the BAT follows */

struct vhd_spec {
	unsigned type;
	uint64_t size;
	uint32_t block_size;
	const uint32_t *map;         /* block i of the disk is number map[i] in the file */
	uint32_t nmap;               /* those that follow are absent */
	uint32_t entries;            /* of the BAT; 0: as many as needed */
	uint64_t sectors;            /* bit s % 64: sector s of a block is stored; 0: all are */
	const unsigned char *below;  /* the parent's disk, as long; NULL: zeroes */
	unsigned char id, parent_id; /* all bytes of the unique ids */
	uint32_t stamp, parent_stamp;
	const char *parent_name;
	struct {
		const char *code, *text;
	} locators[VHD_LOCATORS];
	uint32_t footer_len; /* 0: 512 */
};

struct vhd_image {
	unsigned char *file, *disk; /* disk: what the image must read as */
	size_t file_len, disk_len;
	size_t footer_pos, blocks_pos;
};

struct vhd_image vhd_build(const struct vhd_spec *spec);
void vhd_destroy(struct vhd_image *v);

/* Makes the checksums right again: that of a footer, that of the header. */
void vhd_seal_footer(unsigned char *footer);
void vhd_seal_header(struct vhd_image *v);

#endif
