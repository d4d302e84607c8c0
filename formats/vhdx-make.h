/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhdx-make.h - private to what makes VHDX files: vhdx-make.c has what they begin with,
 * vhdx-create.c makes new ones, vhdx-layout.c makes them up.
 */
#ifndef VDISK_VHDX_MAKE_H
#define VDISK_VHDX_MAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "create.h"
#include "guid.h"
#include "vhdx.h"

struct err;
struct layout;

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

/* vhdx-make.c; all is zeroes before. */
void vhdx_put_identifier(unsigned char *p);
void vhdx_put_header(unsigned char *h, const struct vhdx_header *header);
void vhdx_put_regions(unsigned char *t, const struct vhdx_new *n);
void vhdx_put_metadata(unsigned char *t, const struct vhdx_new *n);

/* vhdx-create.c */
extern const struct create_option vhdx_create_options[];
int vhdx_create(struct creation *c, struct err *e);

/* vhdx-layout.c */
extern const struct layout vhdx_layout;

#endif
