/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header.h - private to the VMDK driver: header, footer and markers of a hosted sparse extent, and
 * the layout of a new one. */
#ifndef VDISK_DRIVER_VMDK_HEADER_H
#define VDISK_DRIVER_VMDK_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmdk.h"

struct io;

#define VMDK_GD_AT_END UINT64_MAX /* as gd: the footer has the sector of the grain directory */

enum vmdk_flags {
	VMDK_REDUNDANT = 1u << 1,   /* there is a redundant grain directory */
	VMDK_ZERO_GRAINS = 1u << 2, /* the entry 1 marks a grain of zeroes */
	VMDK_COMPRESSED = 1u << 16,
	VMDK_MARKERS = 1u << 17, /* each compressed grain begins with its sector of the disk */
};

enum vmdk_markers { VMDK_MARKER_END, VMDK_MARKER_TABLE, VMDK_MARKER_DIRECTORY, VMDK_MARKER_FOOTER };

#define VMDK_RECORD_HEAD 12u /* bytes in front of a compressed grain that has a marker */

/* Bytes that a compressed grain may take; incompressible data grows. */
#define VMDK_COMPRESSED_MAX(grain) ((grain) + (grain) / 1000 + (64u << 10))

/* All in sectors, as in the file. */
struct vmdk_header {
	uint32_t version, flags;
	uint32_t tables_len; /* entries of a grain table */
	uint64_t capacity, grain;
	uint64_t desc_start, desc_len;
	uint64_t rgd, gd;  /* redundant grain directory, grain directory */
	uint64_t overhead; /* the first sector that may hold a grain */
	uint16_t compression;
};

enum { VMDK_NOT_COMPRESSED = 0, VMDK_DEFLATE = 1 };

/* Encodes a header, or a footer, of VMDK_SECTOR bytes. */
void vmdk_header_encode(const struct vmdk_header *h, unsigned char *p);

/* Encodes the marker of so many sectors of this type into a sector of zeroes. */
void vmdk_header_encode_marker(uint64_t sectors, enum vmdk_markers type, unsigned char *p);

/* Reads the header, at position 0, or a footer. */
int vmdk_header_read(struct io *io, uint64_t pos, struct vmdk_header *h, struct err *e);

/* Finds the footer and reads it.  -EUCLEAN when there is none. */
int vmdk_header_read_footer(struct io *io, struct vmdk_header *h, struct err *e);

#define VMDK_GRAIN         128u /* sectors */
#define VMDK_TABLE         512u /* entries of a grain table */
#define VMDK_TABLE_SECTORS (VMDK_TABLE * 4 / VMDK_SECTOR)
#define VMDK_DESC_START    1u /* sector of the embedded descriptor */
#define VMDK_DESC_LEN      20u

/* The parts of a new extent; positions in sectors.  All grain tables are allocated, also those
 * without an entry: VMware's products need them. */
struct vmdk_plan {
	uint64_t ntables;
	uint64_t rgd, rgt; /* redundant grain directory and its tables */
	uint64_t gd, gt;
	struct vmdk_header header;
};

/* embedded: with space for the descriptor. */
struct vmdk_plan vmdk_plan(uint64_t capacity, bool embedded);

/* Encodes entries [first, first+n) of a directory whose tables begin in sector gt. */
void vmdk_plan_directory(uint64_t gt, uint64_t first, size_t n, unsigned char *out);

#endif
