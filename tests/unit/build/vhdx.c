/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "vhdx.h"
#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/guid.h"
#include "common/unit.h"

#define PAGE       4096u
#define TABLE_LEN  (64u << 10)
#define LOCATOR_AT (128u << 10) /* in the metadata region, after the other items */

static const unsigned char bat_guid[] =
	GUID_BYTES(0x2dc27766, 0xf623, 0x4200, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08);
static const unsigned char metadata_guid[] =
	GUID_BYTES(0x8b7ca206, 0x4790, 0x4b9a, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e);
static const unsigned char parameters_guid[] =
	GUID_BYTES(0xcaa16737, 0xfa36, 0x4d43, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b);
static const unsigned char size_guid[] =
	GUID_BYTES(0x2fa54224, 0xcd1b, 0x4876, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8);
static const unsigned char disk_id_guid[] =
	GUID_BYTES(0xbeca12ab, 0xb2e6, 0x4523, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46);
static const unsigned char sector_guid[] =
	GUID_BYTES(0x8141bf1d, 0xa96f, 0x4709, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f);
static const unsigned char physical_guid[] =
	GUID_BYTES(0xcda348c7, 0x445d, 0x4471, 0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56);
static const unsigned char locator_guid[] =
	GUID_BYTES(0xa8d35f2d, 0xb30b, 0x454d, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c);
static const unsigned char locator_type[] =
	GUID_BYTES(0xb04aefb7, 0xd19e, 0x4a81, 0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13);

static void seal(unsigned char *p, size_t len)
{
	put_le(p + 4, 4, 0);
	put_le(p + 4, 4, crc32c(0, p, len));
}

void vhdx_seal(struct memory_image *v)
{
	seal(v->file + VHDX_HEADER1, PAGE);
	seal(v->file + VHDX_HEADER2, PAGE);
	seal(v->file + VHDX_TABLE1, TABLE_LEN);
	seal(v->file + VHDX_TABLE2, TABLE_LEN);
}

static void put_header(
	struct memory_image *v, size_t pos, uint64_t sequence, const struct vhdx_spec *s)
{
	unsigned char *h = v->file + pos;

	memcpy(h, "head", 4);
	put_le(h + 8, 8, sequence);
	for (unsigned i = 0; i < GUID_LEN; i++) {
		h[16 + i] = sequence;
		h[32 + i] = s->data_guid;
	}
	put_le(h + 66, 2, 1);
	put_le(h + 68, 4, VHDX_LOG_LEN);
	put_le(h + 72, 8, VHDX_LOG_AT);
}

static void put_region(
	unsigned char *table, unsigned i, const unsigned char *guid, uint64_t pos, uint32_t len)
{
	unsigned char *p = table + 16 + 32 * i;

	memcpy(p, guid, GUID_LEN);
	put_le(p + 16, 8, pos);
	put_le(p + 24, 4, len);
	put_le(p + 28, 4, 1);
}

static void put_table(unsigned char *table)
{
	memcpy(table, "regi", 4);
	put_le(table + 8, 4, 2);
	put_region(table, 0, bat_guid, VHDX_BAT_AT, MIB);
	put_region(table, 1, metadata_guid, VHDX_META_AT, MIB);
}

/* Adds entry i of the metadata table for an item at offset; returns the address of the item. */
static unsigned char *put_item(
	unsigned char *meta, unsigned i, const unsigned char *guid, uint32_t offset, uint32_t len)
{
	unsigned char *p = meta + 32 + 32 * i;

	memcpy(p, guid, GUID_LEN);
	put_le(p + 16, 4, offset);
	put_le(p + 20, 4, len);
	put_le(p + 24, 4, 6);
	return meta + offset;
}

static size_t put_utf16(unsigned char *p, const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		put_le(p + 2 * i, 2, (unsigned char)text[i]);
	return 2 * n;
}

static void put_locator(unsigned char *locator, const struct vhdx_spec *s)
{
	uint32_t offset = 256;
	unsigned n = 0;

	memcpy(locator, locator_type, GUID_LEN);
	for (; n < COUNT(s->locator) && s->locator[n].key; n++) {
		unsigned char *entry = locator + 20 + 12 * n;
		size_t len = put_utf16(locator + offset, s->locator[n].key);

		put_le(entry, 4, offset);
		put_le(entry + 8, 2, len);
		offset += len;
		len = put_utf16(locator + offset, s->locator[n].value);
		put_le(entry + 4, 4, offset);
		put_le(entry + 10, 2, len);
		offset += len;
	}
	put_le(locator + 18, 2, n);
}

static void put_metadata(unsigned char *meta, const struct vhdx_spec *s)
{
	unsigned char *parameters;

	memcpy(meta, "metadata", 8);
	put_le(meta + 10, 2, s->differencing ? 6 : 5);
	parameters = put_item(meta, 0, parameters_guid, TABLE_LEN, 8);
	put_le(parameters, 4, s->block_size);
	put_le(parameters + 4, 4, s->differencing ? 2 : 0);
	put_le(put_item(meta, 1, size_guid, TABLE_LEN + 8, 8), 8, s->size);
	memset(put_item(meta, 2, disk_id_guid, TABLE_LEN + 16, GUID_LEN), 0x1d, GUID_LEN);
	put_le(put_item(meta, 3, sector_guid, TABLE_LEN + 32, 4), 4, s->sector_size);
	put_le(put_item(meta, 4, physical_guid, TABLE_LEN + 36, 4), 4, 4096);
	if (s->differencing)
		put_locator(put_item(meta, 5, locator_guid, LOCATOR_AT, 4096), s);
}

static uint64_t ratio(const struct vhdx_spec *s)
{
	return ((uint64_t)8 << 20) * s->sector_size / s->block_size;
}

/* Stores block i of the disk at pos, and its bits in the sector bitmap of its chunk. */
static void put_block(struct memory_image *v, const struct vhdx_spec *s, uint32_t i, size_t pos,
	unsigned char *bitmaps)
{
	uint64_t per_block = s->block_size / s->sector_size, first = i % ratio(s) * per_block;

	for (uint64_t sector = 0; sector < per_block; sector++) {
		unsigned char *data = v->file + pos + sector * s->sector_size;
		uint64_t off = i * (uint64_t)s->block_size + sector * s->sector_size;
		bool full = s->map[i].state == STATE_FULL;

		fill_pattern(data, s->sector_size, 7000 * (i + 1) + sector);
		if (!full && !(s->sectors >> sector % 64 & 1))
			continue;
		if (!full)
			bitmaps[(first + sector) / 8] |= 1 << (first + sector) % 8;
		if (off < v->disk_len)
			memcpy(v->disk + off, data, s->sector_size);
	}
}

static void put_blocks(struct memory_image *v, const struct vhdx_spec *s, size_t bitmaps)
{
	unsigned char *bat = v->file + VHDX_BAT_AT;

	for (uint32_t i = 0; i < s->nmap; i++) {
		size_t pos = VHDX_DATA_AT + (size_t)s->map[i].number * s->block_size;
		uint64_t off = (uint64_t)i * s->block_size, chunk = i / ratio(s);

		put_le(bat + 8 * (i + chunk), 8, pos | s->map[i].state);
		if (s->map[i].state == STATE_PARTIAL)
			put_le(bat + 8 * ((chunk + 1) * (ratio(s) + 1) - 1), 8,
				(bitmaps + chunk * MIB) | 6);
		if (s->map[i].state >= STATE_FULL)
			put_block(v, s, i, pos, v->file + bitmaps + chunk * MIB);
		else if (s->map[i].state != STATE_NOT && off < v->disk_len)
			memset(v->disk + off, 0, MIN(s->block_size, v->disk_len - off));
	}
}

struct memory_image vhdx_build(const struct vhdx_spec *spec)
{
	struct vhdx_spec s = *spec;
	struct memory_image v;
	uint32_t stored = 0;
	size_t bitmaps;

	s.block_size = s.block_size ? s.block_size : MIB;
	s.sector_size = s.sector_size ? s.sector_size : 512;
	for (uint32_t i = 0; i < s.nmap; i++)
		if (s.map[i].state >= STATE_FULL)
			stored = MAX(stored, s.map[i].number + 1);
	bitmaps = VHDX_DATA_AT + (size_t)stored * s.block_size;
	v = memory_image_new("vhdx", bitmaps + (s.nmap / ratio(&s) + 1) * MIB, s.size);
	if (s.below)
		memcpy(v.disk, s.below, v.disk_len);
	memcpy(v.file, "vhdxfile", 8);
	put_header(&v, VHDX_HEADER1, 8, &s);
	put_header(&v, VHDX_HEADER2, 7, &s);
	put_table(v.file + VHDX_TABLE1);
	put_table(v.file + VHDX_TABLE2);
	put_metadata(v.file + VHDX_META_AT, &s);
	put_blocks(&v, &s, bitmaps);
	vhdx_seal(&v);
	return v;
}

/* Log entries. */

static void put_descriptor(
	unsigned char *p, unsigned char *data, const struct vhdx_change *c, uint64_t sequence)
{
	memcpy(p, c->page ? "desc" : "zero", 4);
	put_le(p + 16, 8, c->pos);
	put_le(p + 24, 8, sequence);
	if (!c->page) {
		put_le(p + 8, 8, c->len);
		return;
	}
	memcpy(p + 4, c->page + PAGE - 4, 4);
	memcpy(p + 8, c->page, 8);
	memcpy(data, "data", 4);
	put_le(data + 4, 4, sequence >> 32);
	memcpy(data + 8, c->page + 8, PAGE - 12);
	put_le(data + PAGE - 4, 4, sequence);
}

uint32_t vhdx_log(struct memory_image *v, const struct vhdx_entry *entry)
{
	size_t head = round_up(64 + 32 * (size_t)entry->n, PAGE), len = head;
	unsigned char *p = calloc(1, head + (size_t)entry->n * PAGE);

	ck_assert_ptr_nonnull(p);
	memcpy(p, "loge", 4);
	put_le(p + 12, 4, entry->tail);
	put_le(p + 16, 8, entry->sequence);
	put_le(p + 24, 4, entry->n);
	memset(p + 32, 0x77, GUID_LEN);
	put_le(p + 48, 8, entry->flushed ? entry->flushed : v->file_len);
	put_le(p + 56, 8, entry->last ? entry->last : v->file_len);
	for (uint32_t i = 0; i < entry->n; i++) {
		put_descriptor(
			p + 64 + 32 * (size_t)i, p + len, &entry->changes[i], entry->sequence);
		len += entry->changes[i].page ? PAGE : 0;
	}
	put_le(p + 8, 4, len);
	seal(p, len);
	for (size_t i = 0; i < len; i += PAGE)
		memcpy(v->file + VHDX_LOG_AT + (entry->at + i) % VHDX_LOG_LEN, p + i, PAGE);
	free(p);
	return (entry->at + len) % VHDX_LOG_LEN;
}

void vhdx_set_log(struct memory_image *v, bool active)
{
	memset(v->file + VHDX_HEADER1 + 48, active ? 0x77 : 0, GUID_LEN);
	memset(v->file + VHDX_HEADER2 + 48, active ? 0x77 : 0, GUID_LEN);
	vhdx_seal(v);
}
