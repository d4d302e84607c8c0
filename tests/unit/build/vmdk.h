/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk.h - valid sparse extents and streams in memory, which tests then damage. */
#ifndef UNIT_BUILD_VMDK_H
#define UNIT_BUILD_VMDK_H

#include <stddef.h>
#include <stdint.h>

#define SECTOR       512u
#define DATA_GRAINS  8u /* in a sparse extent: grain i is full of the byte 0x10 + i */
#define TEXT_SECTORS 4u

/* Positions of header fields. */
enum {
	AT_VERSION = 4,
	AT_FLAGS = 8,
	AT_CAPACITY = 12,
	AT_GRAIN = 20,
	AT_DESC_START = 28,
	AT_DESC_LEN = 36,
	AT_TABLES_LEN = 44,
	AT_RGD = 48,
	AT_GD = 56,
	AT_OVERHEAD = 64,
	AT_UNCLEAN = 72,
	AT_NEWLINES = 73,
	AT_COMPRESSION = 77,
};

enum { WITH_NEWLINES = 1, WITH_RGD = 2, WITH_ZERO = 4, WITH_PACKED = 1 << 16, WITH_LBA = 1 << 17 };

struct build_vmdk {
	unsigned char *bytes;
	size_t len;
	uint64_t capacity, grain; /* sectors */
	uint32_t per_table, ngrains, ntables;
	uint32_t table_sectors;
	/* Sectors: both directories, each before its tables, and the first grain. */
	uint32_t rgd, rgt, gd, gt, data;
	uint32_t *entries; /* of a stream: by grain, until it is finished */
};

/* A sparse extent with nothing in it: newline bytes, redundant directory, all tables there. */
void build_vmdk_new(struct build_vmdk *b, uint64_t capacity, uint64_t grain, uint32_t per_table);
void build_vmdk_free(struct build_vmdk *b);

void build_vmdk_put(struct build_vmdk *b, size_t pos, unsigned width, uint64_t v);
void build_vmdk_text(struct build_vmdk *b, const char *text);

/* The sector of data grain i; the entry of grain i of the disk in the redundant table, in the first
 * one, or in both. */
uint32_t build_vmdk_data(const struct build_vmdk *b, unsigned i);
void build_vmdk_redundant(struct build_vmdk *b, unsigned i, uint32_t entry);
void build_vmdk_first(struct build_vmdk *b, unsigned i, uint32_t entry);
void build_vmdk_both(struct build_vmdk *b, unsigned i, uint32_t entry);

/* A stream whose directory comes last.  grain appends grain i of the disk with len bytes of byte,
 * and returns the position of the record; finish appends the tables and the footer. */
void build_stream_new(struct build_vmdk *b, uint64_t capacity, uint64_t grain, uint32_t flags);
size_t build_stream_grain(struct build_vmdk *b, unsigned i, size_t len, unsigned char byte);
void build_stream_finish(struct build_vmdk *b);
void build_stream_pad(struct build_vmdk *b, size_t len);

#endif
