/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* esx.h - valid sparse extents of ESX (COWD, seSparse) in memory, for tests that then change
 * fields. */
#ifndef UNIT_BUILD_ESX_H
#define UNIT_BUILD_ESX_H

#include <stddef.h>
#include <stdint.h>

#define ESX_SECTOR 512u
#define ESX_GRAINS 8u    /* grains in the file; grain i is filled with the byte 0x10 + i */
#define ESX_TABLE  4096u /* entries per grain table */

/* Positions of header fields. */
enum {
	COWD_VERSION = 4,
	COWD_FLAGS = 8,
	COWD_CAPACITY = 12,
	COWD_GRAIN = 16,
	COWD_GD = 20,
	COWD_GD_LEN = 24,
	COWD_GEOMETRY = 32,
	COWD_PARENT = 32,
	SE_VERSION = 8,
	SE_CAPACITY = 16,
	SE_GRAIN = 24,
	SE_TABLE = 32,
	SE_FLAGS = 40,
	SE_STATE = 80,
	SE_GD = 128,
	SE_TABLES = 144,
	SE_GRAINS = 192,
};

struct build_esx {
	unsigned char *bytes;
	size_t len;
	unsigned entry_len;
	uint32_t grain;            /* in sectors */
	uint32_t gd, tables, data; /* in sectors */
};

/* New extents with all grain tables, but without grains; the COWD extent is a root disk. */
void build_cowd_new(struct build_esx *b, uint32_t capacity, uint32_t grain);
void build_sesparse_new(struct build_esx *b, uint64_t capacity);
void build_esx_free(struct build_esx *b);

void build_esx_put(struct build_esx *b, size_t pos, unsigned width, uint64_t v);

/* Sets the entry of grain i of the disk: to a value, or to that of grain d in the file. */
void build_esx_entry(struct build_esx *b, unsigned i, uint64_t entry);
void build_esx_store(struct build_esx *b, unsigned i, unsigned d);

#endif
