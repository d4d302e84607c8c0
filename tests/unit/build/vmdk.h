/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk.h - valid sparse extents and streams in memory, which tests then damage. */
#ifndef UNIT_BUILD_VMDK_H
#define UNIT_BUILD_VMDK_H

#include <stddef.h>
#include <stdint.h>

#define SECTOR       512u
#define DATA_GRAINS  8u /* grains in a sparse extent; grain i is filled with the byte 0x10 + i */
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

enum {
	WITH_NEWLINES = 1,
	WITH_RGD = 2,
	WITH_ZERO = 4,
	WITH_COMPRESSION = 1 << 16,
	WITH_LBA = 1 << 17
};

struct build_vmdk {
	unsigned char *bytes;
	size_t len;
	uint64_t capacity, grain; /* in sectors */
	uint32_t per_table, ngrains, ntables;
	uint32_t table_sectors;
	/* Sectors: the redundant and the primary grain directory, each before its tables; the
	 * first grain. */
	uint32_t rgd, rgt, gd, gt, data;
	uint32_t *entries; /* of a stream, for each grain; build_stream_finish writes them */
};

/* An empty sparse extent with newline test bytes, redundant tables, and all grain tables. */
void build_vmdk_new(struct build_vmdk *b, uint64_t capacity, uint64_t grain, uint32_t per_table);
void build_vmdk_free(struct build_vmdk *b);

void build_vmdk_put(struct build_vmdk *b, size_t pos, unsigned width, uint64_t v);
void build_vmdk_text(struct build_vmdk *b, const char *text);

/* The sector of grain i in the file; and setters for the entry of grain i of the disk in the
 * redundant grain table, in the primary one, or in both. */
uint32_t build_vmdk_data(const struct build_vmdk *b, unsigned i);
void build_vmdk_redundant(struct build_vmdk *b, unsigned i, uint32_t entry);
void build_vmdk_first(struct build_vmdk *b, unsigned i, uint32_t entry);
void build_vmdk_both(struct build_vmdk *b, unsigned i, uint32_t entry);

/* A stream-optimized extent with the directory at its end.  build_stream_grain appends grain i of
 * the disk with len bytes of compressed data, each byte, and returns the position of its record;
 * build_stream_finish appends the tables, the footer and the end-of-stream marker. */
void build_stream_new(struct build_vmdk *b, uint64_t capacity, uint64_t grain, uint32_t flags);
size_t build_stream_grain(struct build_vmdk *b, unsigned i, size_t len, unsigned char byte);
void build_stream_finish(struct build_vmdk *b);
void build_stream_pad(struct build_vmdk *b, size_t len);

#endif
