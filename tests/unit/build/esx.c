/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "esx.h"
#include "util/bytes.h"
#include "common/unit.h"

#define STATE_AT 1u /* sector of the volatile header */

void build_esx_put(struct build_esx *b, size_t pos, unsigned width, uint64_t v)
{
	assert(range_fits(pos, width, b->len));
	put_le(b->bytes + pos, width, v);
}

static void put_directory(struct build_esx *b, uint32_t tables)
{
	uint32_t step = ESX_TABLE * b->entry_len / ESX_SECTOR;

	for (uint32_t i = 0; i < tables; i++) {
		size_t pos = b->gd * (size_t)ESX_SECTOR + i * b->entry_len;

		if (b->entry_len == 4)
			build_esx_put(b, pos, 4, b->tables + i * step);
		else
			build_esx_put(b, pos, 8, UINT64_C(0x10000000) << 32 | i);
	}
}

/* Places the grain directory at sector gd, behind it the grain tables and the grains. */
static void lay_out(struct build_esx *b, uint32_t gd, uint64_t capacity)
{
	uint32_t tables = div_round_up(div_round_up(capacity, b->grain), ESX_TABLE);

	b->gd = gd;
	b->tables = gd + div_round_up(tables * b->entry_len, ESX_SECTOR);
	b->data = round_up(b->tables + tables * (ESX_TABLE * b->entry_len / ESX_SECTOR), b->grain);
	b->len = (b->data + ESX_GRAINS * b->grain) * (size_t)ESX_SECTOR;
	b->bytes = calloc(1, b->len);
	assert(b->bytes);
	put_directory(b, tables);
	for (unsigned i = 0; i < ESX_GRAINS; i++)
		memset(b->bytes + (b->data + i * b->grain) * (size_t)ESX_SECTOR, 0x10 + i,
			b->grain * ESX_SECTOR);
}

void build_cowd_new(struct build_esx *b, uint32_t capacity, uint32_t grain)
{
	*b = (struct build_esx){.entry_len = 4, .grain = grain};
	lay_out(b, 4, capacity);
	memcpy(b->bytes, "COWD", 4);
	build_esx_put(b, COWD_VERSION, 4, 1);
	build_esx_put(b, COWD_FLAGS, 4, 3);
	build_esx_put(b, COWD_CAPACITY, 4, capacity);
	build_esx_put(b, COWD_GRAIN, 4, grain);
	build_esx_put(b, COWD_GD, 4, b->gd);
	build_esx_put(b, COWD_GD_LEN, 4, div_round_up(capacity, grain * ESX_TABLE));
	build_esx_put(b, COWD_GEOMETRY, 4, 1024); /* cylinders */
	build_esx_put(b, COWD_GEOMETRY + 4, 4, 255);
	build_esx_put(b, COWD_GEOMETRY + 8, 4, 63);
}

static void put_area(struct build_esx *b, size_t pos, uint32_t start, uint32_t len)
{
	build_esx_put(b, pos, 8, start);
	build_esx_put(b, pos + 8, 8, len);
}

void build_sesparse_new(struct build_esx *b, uint64_t capacity)
{
	*b = (struct build_esx){.entry_len = 8, .grain = 8};
	lay_out(b, 8, capacity);
	build_esx_put(b, 0, 8, 0xcafebabe);
	build_esx_put(b, SE_VERSION, 8, 0x200000001);
	build_esx_put(b, SE_CAPACITY, 8, capacity);
	build_esx_put(b, SE_GRAIN, 8, 8);
	build_esx_put(b, SE_TABLE, 8, 64);
	put_area(b, SE_STATE, STATE_AT, 1);
	put_area(b, SE_GD, b->gd, b->tables - b->gd);
	put_area(b, SE_TABLES, b->tables, b->data - b->tables);
	put_area(b, SE_GRAINS, b->data, ESX_GRAINS * 8);
	build_esx_put(b, STATE_AT * ESX_SECTOR, 8, 0xcafecafe);
}

void build_esx_free(struct build_esx *b)
{
	free(b->bytes);
}

void build_esx_entry(struct build_esx *b, unsigned i, uint64_t entry)
{
	build_esx_put(b, b->tables * (size_t)ESX_SECTOR + i * b->entry_len, b->entry_len, entry);
}

void build_esx_store(struct build_esx *b, unsigned i, unsigned d)
{
	if (b->entry_len == 4)
		build_esx_entry(b, i, b->data + d * b->grain);
	else
		build_esx_entry(b, i, UINT64_C(3) << 60 | (uint64_t)(d & 0xfff) << 48 | d >> 12);
}
