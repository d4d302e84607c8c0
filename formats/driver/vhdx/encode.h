/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* encode.h - private to what makes VHDX files: encode.c has what they begin with,
 * create.c makes new ones, export.c makes them up.
 */
#ifndef VDISK_DRIVER_VHDX_ENCODE_H
#define VDISK_DRIVER_VHDX_ENCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "image/creation.h"
#include "util/guid.h"
#include "vhdx.h"

struct err;
struct export_format;

/* What a new file says of itself. */
struct vhdx_new {
	struct vhdx_header header;
	uint64_t metadata_pos, bat_pos;
	uint32_t bat_len;
	uint64_t size;
	uint32_t block_size, sector_size;
	bool fixed;
	unsigned char disk_id[GUID_LEN];
	const unsigned char *locator; /* the item, and its length; NULL: no parent */
	uint32_t locator_len;
};

#define VHDX_NEW_METADATA (VHDX_TABLE_LEN + 64u) /* bytes of the region before the locator */

/* encode.c; all is zeroes before. */
void vhdx_put_identifier(unsigned char *p);
void vhdx_put_header(unsigned char *h, const struct vhdx_header *header);
void vhdx_put_regions(unsigned char *t, const struct vhdx_new *n);
void vhdx_put_metadata(unsigned char *t, const struct vhdx_new *n);

/* create.c */
extern const struct create_option vhdx_create_options[];
int vhdx_create(struct creation *c, struct err *e);

/* export.c */
extern const struct export_format vhdx_layout;

#endif
