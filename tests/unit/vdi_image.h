/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdi_image.h - VDI images in memory. */
#ifndef VDISK_VDI_IMAGE_H
#define VDISK_VDI_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VDI_FREE 0xffffffffu
#define VDI_ZERO 0xfffffffeu

/* What the header says; what is 0 gets a usual value. */
struct vdi_spec {
	uint32_t block_size, extra;
	uint32_t map_pos, data_pos;
	uint64_t size;
	const uint32_t *map;
	uint32_t nblocks;
	uint64_t cut; /* bytes missing at the end of the file */
	bool version_0;
	uint32_t type;
	unsigned char id, change, parent, parent_change; /* 0: zero, but 1 for the first two */
};

struct vdi_image {
	unsigned char *file, *disk; /* disk: what the image must read as */
	size_t file_len, disk_len;
};

/* Number k of the data area is full of fill_pattern(k + 1), what lies before its data of 0xee. */
/* An id is full of its number. */
struct vdi_image vdi_image_make(const struct vdi_spec *spec);
void vdi_image_free(struct vdi_image *v);

/* Little-endian, at any place of the file. */
void put_le(unsigned char *p, unsigned width, uint64_t value);

#endif
