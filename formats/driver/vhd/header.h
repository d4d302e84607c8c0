/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header.h - the header of dynamic and differencing disks. */
#ifndef VDISK_DRIVER_VHD_HEADER_H
#define VDISK_DRIVER_VHD_HEADER_H

#include "driver/common/metadata-regions.h"
#include "vhd.h"

#define VHD_PARENT_ID    40u /* positions in the header */
#define VHD_NAME_POS     64u
#define VHD_LOCATORS_POS 576u
#define VHD_NAME_UNITS   256u
#define VHD_LOCATORS     8u
#define VHD_LOCATOR_LEN  24u

enum vhd_locator {
	VHD_W2RU = 0x57327275, /* a relative Windows path, UTF-16LE in a big-endian file */
	VHD_W2KU = 0x57326b75, /* an absolute one */
	VHD_WI2R = 0x57693272, /* the same two in 8 bits, deprecated */
	VHD_WI2K = 0x5769326b,
	VHD_MACX = 0x4d616358, /* a file: URL, UTF-8 */
};

/* The parent of a new differencing disk. */
struct vhd_new_parent {
	unsigned char id[VHD_ID_LEN];
	int64_t when;                           /* the file changed last */
	unsigned char name[2 * VHD_NAME_UNITS]; /* UTF-16BE, padded with zeroes */
	uint32_t locator;                       /* code of the only one */
	uint32_t len;                           /* of its text, bytes */
	uint64_t pos;
};

/* Reads and checks the header: the fields of d that it sets, and the parent of img. */
int vhd_header_read(struct image *img, struct vhd *d, struct err *e);

/* Corrects the checksum, when opening has found the rest of the header to be right. */
int vhd_header_repair(struct vhd *d, struct err *e);

/* Changes the position and the number of entries of the BAT. */
int vhd_header_set_bat(struct vhd *d, uint64_t pos, uint32_t entries, struct err *e);

/* The places of all metadata but the footer. */
struct vhd_regions {
	struct metadata_regions fixed; /* copy of the footer, header, BAT */
	struct metadata_regions locators;
};

/* Sets fixed alone, with a BAT of bat_len bytes. */
void vhd_header_fixed_regions(
	const struct vhd *d, uint64_t bat_len, struct metadata_regions *fixed);

/* Sets both, with the locators that the header names.  -EUCLEAN: some of them overlap. */
int vhd_header_read_regions(const struct vhd *d, struct vhd_regions *r, struct err *e);

/* The name of one that a block at pos overlaps; NULL: none. */
const char *vhd_header_find_region(const struct vhd *d, const struct vhd_regions *r, uint64_t pos);

/* Fills a header of zeroes. */
void vhd_header_encode(unsigned char *h, const struct vhd_new *n);

#endif
