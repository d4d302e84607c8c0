/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* encode.h - the first structures of a new file. */
#ifndef VDISK_DRIVER_VHDX_ENCODE_H
#define VDISK_DRIVER_VHDX_ENCODE_H

#include "vhdx.h"

struct vhdx_new {
	struct vhdx_header header;
	uint64_t metadata_pos, bat_pos;
	uint32_t bat_len;
	uint64_t size;
	uint32_t block_size, sector_size;
	bool fixed;
	unsigned char disk_id[GUID_LEN];
	const unsigned char *locator; /* item of locator_len bytes; NULL: no parent */
	uint32_t locator_len;
};

#define VHDX_NEW_METADATA (VHDX_TABLE_LEN + 64u) /* bytes of the region before the locator */

/* Each fills a structure of zeroes. */
void vhdx_encode_identifier(unsigned char *p);
void vhdx_encode_region_table(unsigned char *t, const struct vhdx_new *n);
void vhdx_encode_metadata(unsigned char *t, const struct vhdx_new *n);

#endif
