/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhd.h - the VHD driver: an opened disk, and the constants of the format.
 *
 * driver.c opens images; footer.c and header.c read, change and encode the two structures; map.c
 * has the BAT; parent.c identifies parents; write.c changes the disk and resize.c its size; check.c
 * looks for damage; create.c makes images, export.c files over other disks.
 *
 * All integers are big-endian, except in the text of some parent locators.
 */
#ifndef VDISK_DRIVER_VHD_VHD_H
#define VDISK_DRIVER_VHD_VHD_H

#include <stdbool.h>
#include <stdint.h>

#include "util/bytes.h"
#include "image/creation.h"
#include "view/view.h"

struct check_report;
struct err;
struct export_format;
struct image;
struct io;

#define VHD_SECTOR     512u
#define VHD_FOOTER_LEN 512u
#define VHD_HEADER_LEN 1024u
#define VHD_ID_LEN     16u
#define VHD_EPOCH      946684800 /* 2000-01-01 00:00 UTC, where time stamps begin */

#define VHD_ABSENT    0xffffffffu /* in the BAT: no block */
#define VHD_BAT_ENTRY 4u
#define VHD_MAX_SIZE  (UINT64_C(2040) << 30) /* of a disk, as in QEMU and Hyper-V */

#define VHD_SPARES 64 /* more than writers that fail at a time */

enum vhd_type { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

struct vhd {
	struct view view;
	struct io *io;
	enum vhd_type type;
	/* The end of the data: the position of the footer, or the end of a file without one. */
	_Atomic uint64_t end;
	unsigned char footer[VHD_FOOTER_LEN]; /* with the right checksum */
	bool footer_bad;                      /* the one in the file, or its copy, differs */

	/* Dynamic and differencing disks: */
	uint64_t header_pos, bat_pos;
	bool header_bad; /* its checksum is wrong */
	uint32_t block_size;
	uint32_t bitmap_len; /* bytes of the sector bitmap before the data of a block */
	uint64_t nblocks;    /* entries of the BAT that the disk needs */
	uint64_t nentries;   /* entries that the BAT has */
	uint32_t parent_stamp;

	/* Cancelled reservations: the end of the data before each. */
	uint64_t spare[VHD_SPARES];
	unsigned nspare;
};

/* Bytes of a block in the file, its sector bitmap included. */
static inline uint64_t vhd_block_len(const struct vhd *d)
{
	return d->bitmap_len + (uint64_t)d->block_size;
}

static inline uint64_t vhd_entry_pos(const struct vhd *d, uint64_t block)
{
	return d->bat_pos + block * VHD_BAT_ENTRY;
}

/* Bytes of a BAT of so many entries: whole sectors. */
static inline uint64_t vhd_bat_len(uint64_t entries)
{
	return round_up(entries * VHD_BAT_ENTRY, VHD_SECTOR);
}

/* The fields of a new footer and a new header. */
struct vhd_new {
	enum vhd_type type;
	uint64_t size;
	int64_t when; /* seconds since 1970 */
	unsigned char id[VHD_ID_LEN];
	uint64_t bat_pos;
	uint32_t entries, block_size;
	const struct vhd_new_parent *parent; /* NULL: none */
};

/* Entry points that struct format and struct write_ops name, each in the file of its name. */
int vhd_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);
int vhd_create(struct creation *c, struct err *e);
extern const struct create_option vhd_create_options[];
extern const struct export_format vhd_export;
int vhd_resize(struct view *v, uint64_t size, struct err *e);
int vhd_resize_fixed(struct view *v, uint64_t size, struct err *e);
extern const struct write_ops vhd_write_ops, vhd_write_ops_fixed;

#endif
