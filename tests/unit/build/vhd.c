/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "vhd.h"
#include "util/bytes.h"
#include "common/unit.h"

#define SECTOR 512u

static void seal(unsigned char *p, size_t len, size_t sum_at)
{
	uint32_t sum = 0;

	put_be(p + sum_at, 4, 0);
	for (size_t i = 0; i < len; i++)
		sum += p[i];
	put_be(p + sum_at, 4, ~sum);
}

void vhd_seal_footer(unsigned char *footer)
{
	seal(footer, 511, 64); /* the last byte is 0, or absent in footers of 511 bytes */
}

unsigned char *vhd_footer(const struct memory_image *v)
{
	return v->file + (v->file_len - 1) / SECTOR * SECTOR;
}

void vhd_seal_header(struct memory_image *v)
{
	seal(v->file + SECTOR, 1024, 36);
}

static void put_footer(unsigned char *f, const struct vhd_spec *s)
{
	memcpy(f, "conectix", 8);
	put_be(f + 8, 4, 2);
	put_be(f + 12, 4, 0x00010000);
	put_be(f + 16, 8, s->type == VHD_BUILD_FIXED ? UINT64_MAX : SECTOR);
	put_be(f + 24, 4, s->stamp);
	memcpy(f + 28, "unit", 4);
	memcpy(f + 36, "Wi2k", 4);
	put_be(f + 40, 8, s->size);
	put_be(f + 48, 8, s->size);
	put_be(f + 56, 4, 0x00010411); /* a CHS geometry much smaller than the disk */
	put_be(f + 60, 4, s->type);
	memset(f + 68, s->id, 16);
	vhd_seal_footer(f);
}

static void put_locator(struct memory_image *v, unsigned char *entry, uint64_t pos,
	const char *code, const char *text)
{
	size_t len = strlen(text), width = strncmp(code, "W2", 2) == 0 ? 2 : 1;

	memcpy(entry, code, 4);
	put_be(entry + 4, 4, VHD_LOCATOR);
	put_be(entry + 8, 4, len * width);
	put_be(entry + 16, 8, pos);
	for (size_t i = 0; i < len; i++)
		v->file[pos + i * width] = text[i];
}

static void put_header(struct memory_image *v, const struct vhd_spec *s)
{
	size_t locators = VHD_BLOCKS_AT(s->entries) - VHD_LOCATORS * VHD_LOCATOR;
	unsigned char *h = v->file + SECTOR;

	memcpy(h, "cxsparse", 8);
	put_be(h + 8, 8, UINT64_MAX);
	put_be(h + 16, 8, VHD_HEAD);
	put_be(h + 24, 4, 0x00010000);
	put_be(h + 28, 4, s->entries);
	put_be(h + 32, 4, s->block_size);
	memset(h + 40, s->parent_id, 16);
	put_be(h + 56, 4, s->parent_stamp);
	for (size_t i = 0; s->parent_name && s->parent_name[i]; i++)
		put_be(h + 64 + 2 * i, 2, (unsigned char)s->parent_name[i]);
	for (size_t i = 0; i < VHD_LOCATORS && s->locators[i].code; i++)
		put_locator(v, h + 576 + 24 * i, locators + i * VHD_LOCATOR, s->locators[i].code,
			s->locators[i].text);
	vhd_seal_header(v);
}

/* Stores block i at pos; sectors that are not marked in its bitmap are filled with garbage. */
static void put_block(struct memory_image *v, const struct vhd_spec *s, uint32_t i, size_t pos)
{
	size_t bitmap = round_up(div_round_up(s->block_size / SECTOR, 8), SECTOR);

	for (uint32_t sector = 0; sector < s->block_size / SECTOR; sector++) {
		unsigned char *data = v->file + pos + bitmap + (size_t)sector * SECTOR;
		uint64_t off = i * (uint64_t)s->block_size + (uint64_t)sector * SECTOR;

		memset(data, 0xee, SECTOR);
		if (s->sectors && !(s->sectors >> sector % 64 & 1))
			continue;
		v->file[pos + sector / 8] |= 0x80 >> sector % 8;
		fill_pattern(data, SECTOR, i * 1000 + sector);
		if (off < v->disk_len)
			memcpy(v->disk + off, data, SECTOR);
	}
}

static void put_blocks(struct memory_image *v, const struct vhd_spec *s)
{
	size_t bitmap = round_up(div_round_up(s->block_size / SECTOR, 8), SECTOR);

	memset(v->file + VHD_HEAD, 0xff, round_up(4 * (size_t)s->entries, SECTOR));
	for (uint32_t i = 0; i < s->nmap; i++) {
		size_t pos = VHD_BLOCKS_AT(s->entries) + s->map[i] * (bitmap + s->block_size);

		if (s->map[i] == VHD_ABSENT)
			continue;
		put_be(v->file + VHD_HEAD + 4 * i, 4, pos / SECTOR);
		put_block(v, s, i, pos);
	}
}

static uint32_t blocks_stored(const struct vhd_spec *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->nmap; i++)
		if (s->map[i] != VHD_ABSENT)
			n = MAX(n, s->map[i] + 1);
	return n;
}

struct memory_image vhd_build(const struct vhd_spec *spec)
{
	size_t bitmap = round_up(div_round_up(spec->block_size / SECTOR, 8), SECTOR);
	struct vhd_spec s = *spec;
	struct memory_image v;
	size_t end = s.size;

	if (s.type != VHD_BUILD_FIXED) {
		s.entries = s.entries ? s.entries : div_round_up(s.size, s.block_size);
		end = VHD_BLOCKS_AT(s.entries) + blocks_stored(&s) * (bitmap + s.block_size);
	}
	v = memory_image_new("vpc", end + (s.footer_len ? s.footer_len : SECTOR), s.size);
	if (s.below)
		memcpy(v.disk, s.below, v.disk_len);
	put_footer(vhd_footer(&v), &s);
	if (s.type == VHD_BUILD_FIXED) {
		fill_pattern(v.disk, v.disk_len, s.id);
		memcpy(v.file, v.disk, v.disk_len);
		return v;
	}
	put_footer(v.file, &s);
	put_header(&v, &s);
	put_blocks(&v, &s);
	return v;
}
