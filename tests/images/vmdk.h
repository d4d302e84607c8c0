/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk.h - sparse extents and descriptors, for the builders of VMDK images. */
#ifndef MKIMAGE_VMDK_H
#define MKIMAGE_VMDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct job;

#define SECTOR ((uint64_t)512)

#define HERE_NOT  UINT32_MAX
#define HERE_ZERO (UINT32_MAX - 1)

#define FLAG_NEWLINES   1u
#define FLAG_RGD        2u
#define FLAG_ZERO_GRAIN 4u
#define FLAG_COMPRESSED (1u << 16)
#define FLAG_MARKERS    (1u << 17)

#define GTES 512u

/* Places in a sparse extent of one grain table, in sectors. */
#define TEXT_AT 1
#define RGD_AT  21
#define RGT_AT  22
#define GD_AT   26
#define GT_AT   27
#define DATA_AT 128

/* A sparse extent.  Grain i of the disk is grain number map[i] of the file's data area, or one of
 * HERE_*; grains past n are HERE_NOT. */
struct sparse {
	uint64_t capacity, grain; /* sectors */
	uint32_t version, flags;
	const uint32_t *map;
	size_t n;
};

/* Header, tables and data: grain number k holds the data stream from from + k * grain on.  Grain
 * tables without a grain are left out. */
void sparse_put(int fd, const struct sparse *s, uint64_t from);

/* The first sectors sectors of it are the disk's, from off on. */
void sparse_expect(
	const struct job *j, const struct sparse *s, uint64_t off, uint64_t sectors, uint64_t from);

/* The first 79 bytes of the header. */
void sparse_header(int fd, uint64_t pos, const struct sparse *s, uint64_t gd);

struct descriptor {
	const char *type;
	uint32_t cid, parent_cid;
	const char *parent;  /* parentFileNameHint, or NULL */
	const char *extents; /* lines; each %s in them is the name of the case */
};

#define NO_PARENT 0xffffffffu

void descriptor_put(const struct job *j, int fd, uint64_t pos, const struct descriptor *d);

#endif
