/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhdx.h - VHDX images in memory. */
#ifndef UNIT_BUILD_VHDX_H
#define UNIT_BUILD_VHDX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/memory_image.h"

#define MIB ((size_t)1 << 20)

/* Positions of the structures, if the BAT fits into one MiB. */
#define VHDX_HEADER1 (64u << 10)
#define VHDX_HEADER2 (128u << 10)
#define VHDX_TABLE1  (192u << 10)
#define VHDX_TABLE2  (256u << 10)
#define VHDX_LOG_AT  MIB
#define VHDX_LOG_LEN MIB
#define VHDX_BAT_AT  (2 * MIB)
#define VHDX_META_AT (3 * MIB)
#define VHDX_DATA_AT (4 * MIB)

enum { STATE_NOT, STATE_UNDEFINED, STATE_ZERO, STATE_UNMAPPED, STATE_FULL = 6, STATE_PARTIAL = 7 };

struct vhdx_block {
	unsigned state, number; /* number: the block in the file; also set for states in which its
				 * data is stale */
};

struct vhdx_spec {
	uint64_t size;
	uint32_t block_size, sector_size; /* 0: the default, 1 MiB or 512 */
	const struct vhdx_block *map;
	uint32_t nmap;    /* the blocks after these are not present */
	uint64_t sectors; /* bit s % 64: sector s of a partially present block is allocated */
	const unsigned char *below; /* the parent's disk, of the same size; NULL: zeroes */
	unsigned char data_guid;    /* byte that fills the GUID */
	bool differencing;
	struct {
		const char *key, *value;
	} locator[5];
};

struct memory_image vhdx_build(const struct vhdx_spec *spec);

/* Recomputes the checksums of the headers and region tables. */
void vhdx_seal(struct memory_image *v);

/* A log entry; its GUID is filled with the byte 0x77. */
struct vhdx_change {
	uint64_t pos, len;         /* len 0: a page */
	const unsigned char *page; /* NULL: zeroes */
};

struct vhdx_entry {
	uint32_t at, tail; /* positions in the log */
	uint64_t sequence;
	uint64_t flushed, last; /* 0: the size of the file */
	const struct vhdx_change *changes;
	uint32_t n;
};

/* Writes the entry to the log; returns the position of the next one. */
uint32_t vhdx_log(struct memory_image *v, const struct vhdx_entry *entry);

/* Marks the log as active, or as empty. */
void vhdx_set_log(struct memory_image *v, bool active);

#endif
