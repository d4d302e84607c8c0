/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* footer.h - the footer of a VHD file, and its copy at the beginning of all but fixed disks. */
#ifndef VDISK_DRIVER_VHD_FOOTER_H
#define VDISK_DRIVER_VHD_FOOTER_H

#include "vhd.h"

#define VHD_OLD_FOOTER_LEN 511u /* before Virtual PC 2004; the last byte is reserved */

enum vhd_footer_state { VHD_FOOTER_NONE, VHD_FOOTER_DAMAGED, VHD_FOOTER_GOOD };

/* The complement of the sum of all bytes except those of the checksum itself, at sum_at. */
uint32_t vhd_footer_checksum(const unsigned char *p, size_t len, size_t sum_at);

/* Is there a footer of len bytes at p? */
enum vhd_footer_state vhd_footer_look(const unsigned char *p, size_t len);

static inline enum vhd_type vhd_footer_type(const unsigned char *f)
{
	return load_be32(f + 60);
}

static inline uint64_t vhd_footer_size(const unsigned char *f)
{
	return load_be64(f + 48);
}

#define VHD_FOOTER_STAMP   24u
#define VHD_FOOTER_CREATOR 28u
#define VHD_FOOTER_ID      68u

/* Reads the footer, or its copy if it is lost: all of d up to the header, its position, and the
 * size. */
int vhd_footer_read(struct image *img, struct vhd *d, struct err *e);

/* Seconds since 1970 as a time stamp. */
uint32_t vhd_footer_stamp(int64_t when);

/* The size that the CHS geometry of a disk of size bytes has: as much or less. */
uint64_t vhd_footer_geometry_size(uint64_t size);

/* Sets the size of the disk in a footer: current size and CHS geometry, which some readers use
 * instead.  Updates the checksum. */
void vhd_footer_set_size(unsigned char *f, uint64_t size);

/* Fills a footer of zeroes. */
void vhd_footer_encode(unsigned char *f, const struct vhd_new *n);

/* Moves the footer to end, beyond which is no data; all before it belongs to the data then. */
int vhd_footer_move(struct vhd *d, uint64_t end, struct err *e);

/* Ends the data at end, and the file after the footer.  The footer is written there before the rest
 * is cut off, so it must not overwrite data. */
int vhd_footer_cut(struct vhd *d, uint64_t end, struct err *e);

/* Writes footer and copy anew, such that one of them is good at any time. */
int vhd_footer_repair(struct vhd *d, struct err *e);

#endif
