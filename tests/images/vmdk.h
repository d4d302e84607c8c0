/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk.h - functions to build sparse extents and descriptors of VMDK images. */
#ifndef MKIMAGE_VMDK_H
#define MKIMAGE_VMDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct job;

#define SECTOR ((uint64_t)512)

#define GRAIN_ABSENT UINT32_MAX
#define GRAIN_ZERO   (UINT32_MAX - 1)

#define FLAG_NEWLINES   1u
#define FLAG_RGD        2u
#define FLAG_ZERO_GRAIN 4u
#define FLAG_COMPRESSED (1u << 16)
#define FLAG_MARKERS    (1u << 17)

#define GTES 512u

/* First sectors of the parts of a sparse extent with one grain table. */
#define TEXT_AT 1
#define RGD_AT  21
#define RGT_AT  22
#define GD_AT   26
#define GT_AT   27
#define DATA_AT 128

/* A sparse extent.  Grain i of the disk is grain map[i] in the data area of the file, or
 * GRAIN_ABSENT or GRAIN_ZERO; grains from n on are absent. */
struct sparse {
	uint64_t capacity, grain; /* sectors */
	uint32_t version, flags;
	const uint32_t *map;
	size_t n;
};

/* Writes header, tables and data; grain k in the file has the data stream from from + k * grain on.
 * Grain tables without grains are not allocated. */
void sparse_put(int fd, const struct sparse *s, uint64_t from);

/* Sets the expected contents: the first sectors sectors of the extent are at off of the disk. */
void sparse_expect(
	const struct job *j, const struct sparse *s, uint64_t off, uint64_t sectors, uint64_t from);

/* Writes the first 79 bytes of the header. */
void sparse_header(int fd, uint64_t pos, const struct sparse *s, uint64_t gd);

struct descriptor {
	const char *type;
	uint32_t cid, parent_cid;
	const char *parent;  /* parentFileNameHint, or NULL */
	const char *extents; /* lines; %s stands for the name of the case */
};

#define NO_PARENT 0xffffffffu

void descriptor_put(const struct job *j, int fd, uint64_t pos, const struct descriptor *d);

#endif
