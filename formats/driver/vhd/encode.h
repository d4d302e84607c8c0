/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* encode.h - private to what makes VHD files: create.c makes new ones, export.c makes
 * them up, footer.c has what both begin with.
 */
#ifndef VDISK_DRIVER_VHD_ENCODE_H
#define VDISK_DRIVER_VHD_ENCODE_H

#include <stdint.h>

#include "image/creation.h"
#include "vhd.h"

struct err;
struct export_format;

/* What a new file says of itself. */
struct vhd_new {
	enum vhd_type type;
	uint64_t size;
	int64_t when; /* seconds since 1970 */
	unsigned char id[VHD_ID_LEN];
	uint64_t bat_pos;
	uint32_t entries, block_size;
	const struct vhd_parent *parent; /* NULL: none */
};

/* How a new file names its parent. */
struct vhd_parent {
	unsigned char id[VHD_ID_LEN];
	int64_t when;                           /* the file changed last */
	unsigned char name[2 * VHD_NAME_UNITS]; /* UTF-16BE, padded with zeroes */
	uint32_t locator;                       /* code of the one there is */
	uint32_t len;                           /* of its text, bytes */
	uint64_t pos;
};

/* Both are zeroes before.  The header of a new file follows the copy of the footer. */
void vhd_make_footer(unsigned char *f, const struct vhd_new *n);
void vhd_make_header(unsigned char *h, const struct vhd_new *n);

/* create.c */
extern const struct create_option vhd_create_options[];
int vhd_create(struct creation *c, struct err *e);

/* export.c */
extern const struct export_format vhd_layout;

#endif
