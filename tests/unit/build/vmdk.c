/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "vmdk.h"
#include "util/bytes.h"
#include "common/unit.h"

#define GD_AT_END UINT64_MAX

enum { MARKER_TABLE = 1, MARKER_DIRECTORY = 2, MARKER_FOOTER = 3 };

void build_vmdk_put(struct build_vmdk *b, size_t pos, unsigned width, uint64_t v)
{
	assert(range_fits(pos, width, b->len));
	put_le(b->bytes + pos, width, v);
}

void build_vmdk_text(struct build_vmdk *b, const char *text)
{
	unsigned char *area = b->bytes + SECTOR;

	assert(strlen(text) <= TEXT_SECTORS * SECTOR);
	memset(area, 0, TEXT_SECTORS * SECTOR);
	memcpy(area, text, strlen(text));
}

/* Appends len zeroes; returns their position. */
static size_t grow(struct build_vmdk *b, size_t len)
{
	size_t at = b->len;

	b->bytes = realloc(b->bytes, at + len);
	assert(b->bytes);
	memset(b->bytes + at, 0, len);
	b->len += len;
	return at;
}

static void put_header(struct build_vmdk *b, size_t pos, uint32_t flags, uint64_t gd)
{
	memcpy(b->bytes + pos, "KDMV", 4);
	build_vmdk_put(b, pos + AT_VERSION, 4, flags & WITH_COMPRESSION ? 3 : 1);
	build_vmdk_put(b, pos + AT_FLAGS, 4, flags);
	build_vmdk_put(b, pos + AT_CAPACITY, 8, b->capacity);
	build_vmdk_put(b, pos + AT_GRAIN, 8, b->grain);
	build_vmdk_put(b, pos + AT_DESC_START, 8, 1);
	build_vmdk_put(b, pos + AT_DESC_LEN, 8, TEXT_SECTORS);
	build_vmdk_put(b, pos + AT_TABLES_LEN, 4, b->per_table);
	build_vmdk_put(b, pos + AT_RGD, 8, b->rgd);
	build_vmdk_put(b, pos + AT_GD, 8, gd);
	build_vmdk_put(b, pos + AT_OVERHEAD, 8, b->data);
	memcpy(b->bytes + pos + AT_NEWLINES, "\n \r\n", 4);
	build_vmdk_put(b, pos + AT_COMPRESSION, 2, flags & WITH_COMPRESSION ? 1 : 0);
}

static void put_text(struct build_vmdk *b, const char *type)
{
	char text[256];

	snprintf(text, sizeof text,
		"# Disk DescriptorFile\nversion=1\nCID=1234abcd\nparentCID=ffffffff\n"
		"createType=\"%s\"\nRW %" PRIu64 " SPARSE \"not-the-name.vmdk\"\n",
		type, b->capacity);
	build_vmdk_text(b, text);
}

static void start(struct build_vmdk *b, uint64_t capacity, uint64_t grain, uint32_t per_table)
{
	*b = (struct build_vmdk){.capacity = capacity, .grain = grain, .per_table = per_table};
	b->ngrains = div_round_up(capacity, grain);
	b->ntables = div_round_up(b->ngrains, per_table);
	b->table_sectors = div_round_up(4 * per_table, SECTOR);
}

static void put_directory(struct build_vmdk *b, uint32_t directory, uint32_t tables)
{
	for (uint32_t i = 0; i < b->ntables; i++)
		build_vmdk_put(
			b, directory * (size_t)SECTOR + 4 * i, 4, tables + i * b->table_sectors);
}

void build_vmdk_new(struct build_vmdk *b, uint64_t capacity, uint64_t grain, uint32_t per_table)
{
	uint32_t directory, tables;

	start(b, capacity, grain, per_table);
	directory = div_round_up(4 * b->ntables, SECTOR);
	tables = b->ntables * b->table_sectors;
	b->rgd = 1 + TEXT_SECTORS;
	b->rgt = b->rgd + directory;
	b->gd = b->rgt + tables;
	b->gt = b->gd + directory;
	b->data = round_up(b->gt + tables, grain);
	grow(b, (b->data + DATA_GRAINS * grain) * SECTOR);
	put_header(b, 0, WITH_NEWLINES | WITH_RGD, b->gd);
	put_text(b, "monolithicSparse");
	put_directory(b, b->rgd, b->rgt);
	put_directory(b, b->gd, b->gt);
	for (unsigned i = 0; i < DATA_GRAINS; i++)
		memset(b->bytes + build_vmdk_data(b, i) * (size_t)SECTOR, 0x10 + i, grain * SECTOR);
}

void build_vmdk_free(struct build_vmdk *b)
{
	free(b->bytes);
	free(b->entries);
}

uint32_t build_vmdk_data(const struct build_vmdk *b, unsigned i)
{
	return b->data + i * b->grain;
}

static void put_entry(struct build_vmdk *b, uint32_t tables, unsigned i, uint32_t entry)
{
	size_t table = tables + i / b->per_table * b->table_sectors;

	build_vmdk_put(b, table * SECTOR + i % b->per_table * 4, 4, entry);
}

void build_vmdk_redundant(struct build_vmdk *b, unsigned i, uint32_t entry)
{
	put_entry(b, b->rgt, i, entry);
}

void build_vmdk_first(struct build_vmdk *b, unsigned i, uint32_t entry)
{
	put_entry(b, b->gt, i, entry);
}

void build_vmdk_both(struct build_vmdk *b, unsigned i, uint32_t entry)
{
	build_vmdk_redundant(b, i, entry);
	build_vmdk_first(b, i, entry);
}

/* Stream-optimized extents. */

void build_stream_new(struct build_vmdk *b, uint64_t capacity, uint64_t grain, uint32_t flags)
{
	start(b, capacity, grain, 4);
	b->entries = calloc(b->ngrains, sizeof *b->entries);
	assert(b->entries);
	b->data = 1 + TEXT_SECTORS;
	grow(b, b->data * SECTOR);
	put_header(b, 0, flags, GD_AT_END);
	put_text(b, "streamOptimized");
}

size_t build_stream_grain(struct build_vmdk *b, unsigned i, size_t len, unsigned char byte)
{
	bool marked = load_le32(b->bytes + AT_FLAGS) & WITH_LBA;
	size_t head = marked ? 12 : 4, room = head + compressBound(len);
	size_t pos = grow(b, round_up(room, SECTOR));
	uLongf compressed_len = compressBound(len);
	void *plain = malloc(len);

	assert(plain);
	memset(plain, byte, len);
	if (compress(b->bytes + pos + head, &compressed_len, plain, len) != Z_OK)
		abort();
	free(plain);
	b->len = pos + round_up(head + compressed_len, SECTOR);
	if (marked)
		build_vmdk_put(b, pos, 8, i * b->grain);
	build_vmdk_put(b, pos + head - 4, 4, compressed_len);
	b->entries[i] = pos / SECTOR;
	return pos;
}

static size_t put_marker(struct build_vmdk *b, unsigned type, size_t payload)
{
	size_t pos = grow(b, SECTOR + payload);

	build_vmdk_put(b, pos, 8, payload / SECTOR);
	build_vmdk_put(b, pos + 12, 4, type);
	return pos + SECTOR;
}

/* Appends grain table t and returns its sector, or 0 if none of its grains is allocated. */
static uint32_t put_table(struct build_vmdk *b, uint32_t t)
{
	uint32_t first = t * b->per_table, n = MIN(b->per_table, b->ngrains - first), any = 0;
	size_t pos;

	for (uint32_t i = 0; i < n; i++)
		any |= b->entries[first + i];
	if (!any)
		return 0;
	pos = put_marker(b, MARKER_TABLE, b->table_sectors * SECTOR);
	for (uint32_t i = 0; i < n; i++)
		build_vmdk_put(b, pos + 4 * i, 4, b->entries[first + i]);
	return pos / SECTOR;
}

void build_stream_finish(struct build_vmdk *b)
{
	uint32_t *tables = calloc(b->ntables, sizeof *tables);
	size_t pos;

	assert(tables);
	for (uint32_t t = 0; t < b->ntables; t++)
		tables[t] = put_table(b, t);
	pos = put_marker(b, MARKER_DIRECTORY, round_up(4 * b->ntables, SECTOR));
	for (uint32_t t = 0; t < b->ntables; t++)
		build_vmdk_put(b, pos + 4 * t, 4, tables[t]);
	b->gd = pos / SECTOR;
	pos = put_marker(b, MARKER_FOOTER, SECTOR);
	put_header(b, pos, load_le32(b->bytes + AT_FLAGS), b->gd);
	grow(b, SECTOR); /* the end-of-stream marker */
	free(tables);
}

void build_stream_pad(struct build_vmdk *b, size_t len)
{
	grow(b, len);
}
