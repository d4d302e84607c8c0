/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header.h - private to the VMDK driver: header, footer and markers of a hosted sparse extent. */
#ifndef VDISK_DRIVER_VMDK_HEADER_H
#define VDISK_DRIVER_VMDK_HEADER_H

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

int vmdk_header_read(struct io *io, struct vmdk_header *h, struct err *e);

/* Reads the footer, which has the same fields.  -EUCLEAN when there is none. */
int vmdk_header_read_footer(struct io *io, struct vmdk_header *h, struct err *e);

#endif
