/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhd.h - private to the VHD driver: vhd.c opens and maps, vhd-parent.c knows parents,
 * vhd-layout.c makes files up.
 *
 * All integers are big-endian, but for the text of some parent locators.
 */
#ifndef VDISK_VHD_H
#define VDISK_VHD_H

#include <stddef.h>
#include <stdint.h>

#include "view.h"

struct err;
struct image;
struct io;
struct layout;

#define VHD_SECTOR     512u
#define VHD_FOOTER_LEN 512u
#define VHD_HEADER_LEN 1024u
#define VHD_ID_LEN     16u
#define VHD_ID_TEXT    37
#define VHD_ABSENT     0xffffffffu /* in the BAT: no block */
#define VHD_EPOCH      946684800   /* 2000-01-01 00:00 UTC, from which time stamps count */

#define VHD_FOOTER_SUM 64 /* where the checksums are */
#define VHD_HEADER_SUM 36

enum vhd_type { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

struct vhd {
	struct view view;
	struct io *io;
	enum vhd_type type;
	uint64_t end; /* of data: where the footer is, or where the file ends without one */
	unsigned char id[VHD_ID_LEN];
	unsigned char creator[4];
	uint32_t stamp; /* seconds since 2000 */

	/* Of those that are not fixed: */
	uint64_t header_pos, bat_pos;
	uint32_t block_size;
	uint32_t bitmap_len; /* bytes in front of the data of each block */
	uint64_t nblocks;    /* entries of the BAT that the disk needs */
	unsigned char parent_id[VHD_ID_LEN];
	uint32_t parent_stamp;
};

/* The complement of the sum of all bytes, those of the checksum itself, at sum_at, left out. */
uint32_t vhd_checksum(const unsigned char *p, size_t len, size_t sum_at);

void vhd_id_text(char text[VHD_ID_TEXT], const unsigned char *id);

/* Adds the names that the dynamic header gives to the parent. */
int vhd_name_parent(struct image *img, const unsigned char *header, struct err *e);

int vhd_check_parent(const struct image *img, const struct image *parent, struct err *e);

extern const struct layout vhd_layout;

#endif
