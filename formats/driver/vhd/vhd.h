/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhd.h - private to the VHD driver: vhd.c opens and maps, parent.c knows parents, footer.c
 * makes footers and headers, write.c has room for new blocks, resize.c changes sizes,
 * check.c looks for damage.  What makes new files is in encode.h.
 *
 * All integers are big-endian, but for the text of some parent locators.
 */
#ifndef VDISK_DRIVER_VHD_VHD_H
#define VDISK_DRIVER_VHD_VHD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver/common/metadata-regions.h"
#include "view/view.h"

struct check_report;
struct err;
struct image;
struct io;

#define VHD_SECTOR     512u
#define VHD_FOOTER_LEN 512u
#define VHD_HEADER_LEN 1024u
#define VHD_ID_LEN     16u
#define VHD_ID_TEXT    37
#define VHD_ABSENT     0xffffffffu /* in the BAT: no block */
#define VHD_EPOCH      946684800   /* 2000-01-01 00:00 UTC, from which time stamps count */

#define VHD_BAT_ENTRY 4u
#define VHD_MAX_SIZE  (UINT64_C(2040) << 30) /* of a disk; as QEMU and Hyper-V have it */

#define VHD_FOOTER_SUM 64 /* where the checksums are */
#define VHD_HEADER_SUM 36

#define VHD_SPARES 64 /* more rooms than writers fail at a time */

#define VHD_NAME_POS     64u /* of the parent's name in the header */
#define VHD_NAME_UNITS   256u
#define VHD_LOCATORS_POS 576u
#define VHD_LOCATORS     8u
#define VHD_LOCATOR_LEN  24u

enum vhd_locator {
	VHD_W2RU = 0x57327275, /* a Windows path from here, UTF-16LE - the rest of the file is
				  big-endian */
	VHD_W2KU = 0x57326b75, /* a Windows path, UTF-16LE */
	VHD_WI2R = 0x57693272, /* the same two in 8 bits, deprecated */
	VHD_WI2K = 0x5769326b,
	VHD_MACX = 0x4d616358, /* a file: URL, UTF-8 */
};

enum vhd_type { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

struct vhd {
	struct view view;
	struct io *io;
	enum vhd_type type;
	_Atomic uint64_t end; /* of data: where the footer is, or where the file ends without one */
	unsigned char footer[VHD_FOOTER_LEN]; /* with the right checksum */
	bool footer_bad;                      /* it or its copy is not as footer */
	unsigned char id[VHD_ID_LEN];
	unsigned char creator[4];
	uint32_t stamp; /* seconds since 2000 */

	/* Of those that are not fixed: */
	uint64_t header_pos, bat_pos;
	bool header_bad; /* its checksum is wrong */
	uint32_t block_size;
	uint32_t bitmap_len; /* bytes in front of the data of each block */
	uint64_t nblocks;    /* entries of the BAT that the disk needs */
	uint64_t nentries;   /* that it has */
	uint32_t parent_stamp;

	/* Rooms that were given out and came back; where the data before each of them ends. */
	uint64_t spare[VHD_SPARES];
	unsigned nspare;
};

/* vhd.c */
void vhd_id_text(char text[VHD_ID_TEXT], const unsigned char *id);

/* Where the block begins, with its bitmap; 0: it has no place. */
int vhd_find_block(const struct vhd *d, uint64_t block, uint64_t *pos, struct err *e);

/* footer.c */

/* The complement of the sum of all bytes, those of the checksum itself, at sum_at, left out. */
uint32_t vhd_checksum(const unsigned char *p, size_t len, size_t sum_at);

/* Makes the checksum of a footer right. */
void vhd_footer_seal(unsigned char *f);

/* What the geometry of a disk of size bytes says that it has: as much or less. */
uint64_t vhd_geometry_size(uint64_t size);

/* Lets a footer say another size, to all who read it. */
void vhd_set_size(unsigned char *f, uint64_t size);

/* parent.c */

/* Adds the names that the dynamic header gives to the parent. */
int vhd_name_parent(struct image *img, const unsigned char *header, struct err *e);

bool vhd_knows_parent(const struct image *img, const struct image *other);
int vhd_check_parent(const struct image *img, const struct image *parent, struct err *e);

/* write.c */
extern const struct write_ops vhd_fixed_write_ops, vhd_write_ops;
int vhd_start_writing(struct image *img, struct err *e);

/* Puts the footer at end, where no data follows; all in front of it belongs to the data then. */
int vhd_extend(struct vhd *d, uint64_t end, struct err *e);

/* The data ends there, and so does the file behind the footer.  The footer is where it will be
 * before the rest is cut off; what it overwrites must be no data. */
int vhd_cut(struct vhd *d, uint64_t end, struct err *e);

/* Makes footer and copy what they should be; a good one is there at any time. */
int vhd_mend_footers(struct vhd *d, struct err *e);

/* check.c */

/* Where the blocks are that have a place: sectors, in order. */
struct vhd_places {
	uint32_t *at; /* to be freed, also on failure */
	size_t n, room;
};

int vhd_find_places(const struct vhd *d, struct vhd_places *p, struct err *e);

/* All else that has a place. */
struct vhd_regions {
	struct metadata_regions fixed;    /* copy of the footer, header, BAT */
	struct metadata_regions locators; /* of the parent */
};

/* -EUCLEAN: some of them overlap. */
int vhd_find_regions(const struct vhd *d, struct vhd_regions *r, struct err *e);

/* Which of them a block at pos overlaps; NULL: none. */
const char *vhd_find_hit(const struct vhd *d, const struct vhd_regions *r, uint64_t pos);

/* As in struct format. */
int vhd_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);

/* resize.c */
int vhd_resize_fixed(struct view *v, uint64_t size, struct err *e);
int vhd_resize(struct view *v, uint64_t size, struct err *e);

#endif
