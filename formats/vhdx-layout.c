/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhdx-layout.c - a disk as a dynamic VHDX file: headers and region tables, a log that is empty,
 * metadata, BAT, blocks. */
#include <string.h>

#include "bounds.h"
#include "bytes.h"
#include "err.h"
#include "granules.h"
#include "made.h"
#include "vhdx.h"

#define LOG_POS      VHDX_MIB
#define LOG_LEN      VHDX_MIB
#define METADATA_POS (LOG_POS + LOG_LEN)
#define METADATA_LEN VHDX_MIB
#define BAT_POS      (METADATA_POS + METADATA_LEN)

#define MIN_BLOCK_BITS  20
#define MAX_BLOCKS      (1u << 20) /* larger disks have larger blocks: the BAT is 8 MiB at most */
#define PHYSICAL_SECTOR 4096u
#define REQUIRED        1u /* of a region */

struct vhdx_layout {
	struct made made;
	uint32_t sector_size;
	uint64_t ratio; /* blocks that a block of sector bitmaps would be for */
	uint64_t bat_entries;
	uint64_t bat_len, data_pos;
};

/* Section 2.2.1. */
static int fill_identifier(
	const struct made *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	static const char creator[] = "vdiskfs";

	(void)m, (void)first, (void)n, (void)e;
	memcpy(out, "vhdxfile", 8);
	for (size_t i = 0; i < sizeof creator - 1; i++)
		out[8 + 2 * i] = creator[i];
	return 0;
}

/* Section 2.2.2; the second one is current. */
static void put_header(const struct made *m, uint64_t sequence, unsigned char *h)
{
	memcpy(h, "head", 4);
	store_le64(h + 8, sequence);
	made_id(m, "VHDX file", h + 16);
	made_id(m, "VHDX data", h + 32);
	store_le16(h + 66, 1);
	store_le32(h + 68, LOG_LEN);
	store_le64(h + 72, LOG_POS);
	store_le32(h + 4, vhdx_checksum(h, VHDX_HEADER_LEN));
}

static int fill_header_1(
	const struct made *m, uint64_t first, size_t n, unsigned char *h, struct err *e)
{
	(void)first, (void)n, (void)e;
	put_header(m, 1, h);
	return 0;
}

static int fill_header_2(
	const struct made *m, uint64_t first, size_t n, unsigned char *h, struct err *e)
{
	(void)first, (void)n, (void)e;
	put_header(m, 2, h);
	return 0;
}

static void put_region(unsigned char *p, const unsigned char *guid, uint64_t pos, uint32_t len)
{
	memcpy(p, guid, GUID_LEN);
	store_le64(p + 16, pos);
	store_le32(p + 24, len);
	store_le32(p + 28, REQUIRED);
}

/* Section 2.2.3. */
static int fill_regions(
	const struct made *m, uint64_t first, size_t n, unsigned char *t, struct err *e)
{
	const struct vhdx_layout *d = (const struct vhdx_layout *)m;

	(void)first, (void)n, (void)e;
	memcpy(t, "regi", 4);
	store_le32(t + 8, 2);
	put_region(t + 16, vhdx_bat_guid, BAT_POS, d->bat_len);
	put_region(t + 48, vhdx_metadata_guid, METADATA_POS, METADATA_LEN);
	store_le32(t + 4, vhdx_checksum(t, VHDX_TABLE_LEN));
	return 0;
}

/* Section 2.6.1.2. */
enum item_flags { OF_DISK = 2, NEEDED = 4 };

static const struct {
	enum vhdx_item item;
	uint32_t pos, len; /* in the region */
	uint32_t flags;
} items[] = {
	{VHDX_PARAMETERS, VHDX_TABLE_LEN, 8, NEEDED},
	{VHDX_SIZE, VHDX_TABLE_LEN + 8, 8, OF_DISK | NEEDED},
	{VHDX_DISK_ID, VHDX_TABLE_LEN + 16, 16, OF_DISK | NEEDED},
	{VHDX_SECTOR, VHDX_TABLE_LEN + 32, 4, OF_DISK | NEEDED},
	{VHDX_PHYSICAL_SECTOR, VHDX_TABLE_LEN + 36, 4, OF_DISK | NEEDED},
};

#define ITEMS     (sizeof items / sizeof items[0])
#define ITEMS_LEN 40u

static int fill_metadata(
	const struct made *m, uint64_t first, size_t n, unsigned char *t, struct err *e)
{
	const struct vhdx_layout *d = (const struct vhdx_layout *)m;
	unsigned char *values = t + VHDX_TABLE_LEN;

	(void)first, (void)n, (void)e;
	memcpy(t, "metadata", 8);
	store_le16(t + 10, ITEMS);
	for (size_t i = 0; i < ITEMS; i++) {
		unsigned char *entry = t + 32 * (i + 1);

		memcpy(entry, vhdx_item_guid(items[i].item), GUID_LEN);
		store_le32(entry + 16, items[i].pos);
		store_le32(entry + 20, items[i].len);
		store_le32(entry + 24, items[i].flags);
	}
	store_le32(values, 1u << granules_bits(m->stored));
	store_le64(values + 8, made_disk_size(m));
	made_id(m, "VHDX disk", values + 16);
	store_le32(values + 32, d->sector_size);
	store_le32(values + 36, PHYSICAL_SECTOR);
	return 0;
}

/* Section 2.5.1.  Behind every ratio blocks there is an entry for their sector bitmaps, which only
 * differences have. */
static int fill_bat(
	const struct made *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct vhdx_layout *d = (const struct vhdx_layout *)m;
	unsigned bits = granules_bits(m->stored);
	uint64_t block = first - first / (d->ratio + 1);
	uint64_t pos = d->data_pos + (granules_rank(m->stored, block) << bits);

	(void)e;
	for (size_t i = 0; i < n; i++) {
		if ((first + i) % (d->ratio + 1) == d->ratio)
			continue;
		if (granules_has(m->stored, block++)) {
			store_le64(out + 8 * i, pos | VHDX_FULLY_PRESENT);
			pos += UINT64_C(1) << bits;
		} else {
			store_le64(out + 8 * i, VHDX_ZERO);
		}
	}
	return 0;
}

/* A disk is a whole number of its sectors. */
static uint32_t choose_sector_size(const struct made *m)
{
	bool large = m->source.sector_size == 4096 && made_disk_size(m) % 4096 == 0;

	return large ? 4096 : 512;
}

static unsigned choose_block_bits(uint64_t disk_size)
{
	unsigned bits = MIN_BLOCK_BITS;

	while (disk_size >> bits > MAX_BLOCKS)
		bits++;
	return bits;
}

static void place(struct vhdx_layout *d)
{
	uint64_t blocks = granules_all(d->made.stored);

	d->sector_size = choose_sector_size(&d->made);
	d->ratio = ((uint64_t)d->sector_size << 23) >> granules_bits(d->made.stored);
	d->bat_entries = blocks > 0 ? blocks + (blocks - 1) / d->ratio : 0;
	d->bat_len = round_up(MAX(d->bat_entries * 8, 1), VHDX_MIB);
	d->data_pos = BAT_POS + d->bat_len;
}

static int vhdx_make(
	const struct layout_source *s, const char *name, struct view **file, struct err *e)
{
	struct vhdx_layout *d = made_new(sizeof *d, s, e);
	struct made *m = &d->made;
	uint64_t end;

	(void)name;
	if (!d)
		return -e->code;
	m->stored = made_coarsen(m, choose_block_bits(made_disk_size(m)), e);
	if (!m->stored) {
		view_free(&m->view);
		return -e->code;
	}
	place(d);
	made_add_table(m, 0, 1, VHDX_HEADER_LEN, fill_identifier);
	made_add_table(m, vhdx_header_pos[0], 1, VHDX_HEADER_LEN, fill_header_1);
	made_add_table(m, vhdx_header_pos[1], 1, VHDX_HEADER_LEN, fill_header_2);
	made_add_table(m, vhdx_regions_pos[0], 1, VHDX_TABLE_LEN, fill_regions);
	made_add_table(m, vhdx_regions_pos[1], 1, VHDX_TABLE_LEN, fill_regions);
	made_add_table(m, METADATA_POS, 1, VHDX_TABLE_LEN + ITEMS_LEN, fill_metadata);
	made_add_table(m, BAT_POS, d->bat_entries, 8, fill_bat);
	end = made_add_data(m, d->data_pos, m->stored, 0, NULL);
	return made_end(m, end, &vhdx_layout, file, e);
}

const struct layout vhdx_layout = {
	.variant = "dynamic",
	.suffix = ".vhdx",
	.max_disk = VHDX_MAX_DISK,
	.max_file = LIMIT_DISK_SIZE,
	.make = vhdx_make,
};
