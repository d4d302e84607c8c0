/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export.c - a disk as a dynamic VHDX file: headers and region tables, an empty log, metadata, BAT,
 * payload blocks. */
#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "export/allocmap.h"
#include "export/regions.h"
#include "header.h"
#include "metadata.h"
#include "region-table.h"

#define LOG_POS      VHDX_MIB
#define LOG_LEN      VHDX_MIB
#define METADATA_POS (LOG_POS + LOG_LEN)
#define BAT_POS      (METADATA_POS + VHDX_MIB)

#define MIN_BLOCK_BITS 20
#define MAX_BLOCKS     (1u << 20) /* larger disks have larger blocks: the BAT is 8 MiB at most */

struct vhdx_regions {
	struct regions regions;
	uint32_t sector_size;
	uint64_t ratio; /* payload blocks for each sector bitmap block */
	uint64_t bat_entries;
	uint64_t bat_len, data_pos;
};

static int fill_identifier(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	(void)m, (void)first, (void)n, (void)e;
	vhdx_header_encode_identifier(out);
	return 0;
}

static struct vhdx_new describe(const struct regions *m)
{
	const struct vhdx_regions *d = (const struct vhdx_regions *)m;
	struct vhdx_new n = {
		.header = {.sequence = 1, .log_pos = LOG_POS, .log_len = LOG_LEN},
		.metadata_pos = METADATA_POS,
		.bat_pos = BAT_POS,
		.bat_len = d->bat_len,
		.size = regions_disk_size(m),
		.block_size = 1u << allocmap_bits(m->coarse),
		.sector_size = d->sector_size,
	};

	regions_id(m, "VHDX file", n.header.file_guid);
	regions_id(m, "VHDX data", n.header.data_guid);
	regions_id(m, "VHDX disk", n.disk_id);
	return n;
}

static int fill_header_1(
	const struct regions *m, uint64_t first, size_t n, unsigned char *h, struct err *e)
{
	struct vhdx_new new = describe(m);

	(void)first, (void)n, (void)e;
	vhdx_header_encode(h, &new.header);
	return 0;
}

/* The current header. */
static int fill_header_2(
	const struct regions *m, uint64_t first, size_t n, unsigned char *h, struct err *e)
{
	struct vhdx_new new = describe(m);

	(void)first, (void)n, (void)e;
	new.header.sequence++;
	vhdx_header_encode(h, &new.header);
	return 0;
}

static int fill_regions(
	const struct regions *m, uint64_t first, size_t n, unsigned char *t, struct err *e)
{
	struct vhdx_new new = describe(m);

	(void)first, (void)n, (void)e;
	vhdx_region_table_encode(t, &new);
	return 0;
}

static int fill_metadata(
	const struct regions *m, uint64_t first, size_t n, unsigned char *t, struct err *e)
{
	struct vhdx_new new = describe(m);

	(void)first, (void)n, (void)e;
	vhdx_metadata_encode(t, &new);
	return 0;
}

/* Section 2.5.1.  The entry after those of a chunk is for its sector bitmap block, which only
 * differencing disks have. */
static int fill_bat(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct vhdx_regions *d = (const struct vhdx_regions *)m;
	unsigned bits = allocmap_bits(m->coarse);
	uint64_t block = first - first / (d->ratio + 1);
	uint64_t pos = d->data_pos + (allocmap_rank(m->coarse, block) << bits);

	(void)e;
	for (size_t i = 0; i < n; i++) {
		if ((first + i) % (d->ratio + 1) == d->ratio)
			continue;
		if (allocmap_has(m->coarse, block++)) {
			store_le64(out + 8 * i, pos | VHDX_FULLY_PRESENT);
			pos += UINT64_C(1) << bits;
		} else {
			store_le64(out + 8 * i, VHDX_ZERO);
		}
	}
	return 0;
}

static int make_file(
	const struct export_source *s, const char *name, struct view **file, struct err *e)
{
	unsigned bits = MIN_BLOCK_BITS;
	struct vhdx_regions *d;
	struct regions *m;
	uint64_t blocks, end;

	(void)name;
	while (round_up(s->disk->size, 512) >> bits > MAX_BLOCKS)
		bits++;
	d = regions_new(sizeof *d, s, bits, e);
	if (!d)
		return -e->code;
	m = &d->regions;
	/* A disk is a whole number of its sectors. */
	d->sector_size = s->sector_size == 4096 && regions_disk_size(m) % 4096 == 0 ? 4096 : 512;
	d->ratio = ((uint64_t)d->sector_size << 23) >> bits;
	blocks = allocmap_all(m->coarse);
	d->bat_entries = blocks > 0 ? blocks + (blocks - 1) / d->ratio : 0;
	d->bat_len = round_up(MAX(d->bat_entries * 8, 1), VHDX_MIB);
	d->data_pos = BAT_POS + d->bat_len;
	regions_add_table(m, 0, 1, VHDX_HEADER_LEN, fill_identifier);
	regions_add_table(m, vhdx_header_pos[0], 1, VHDX_HEADER_LEN, fill_header_1);
	regions_add_table(m, vhdx_header_pos[1], 1, VHDX_HEADER_LEN, fill_header_2);
	regions_add_table(m, vhdx_region_table_pos[0], 1, VHDX_TABLE_LEN, fill_regions);
	regions_add_table(m, vhdx_region_table_pos[1], 1, VHDX_TABLE_LEN, fill_regions);
	regions_add_table(m, METADATA_POS, 1, VHDX_NEW_METADATA, fill_metadata);
	regions_add_table(m, BAT_POS, d->bat_entries, 8, fill_bat);
	end = regions_add_data(m, d->data_pos, m->coarse, 0, NULL);
	return regions_end(m, end, &vhdx_export, file, e);
}

const struct export_format vhdx_export = {
	.variant = "dynamic",
	.suffix = ".vhdx",
	.max_disk = VHDX_MAX_DISK,
	.max_file = LIMIT_DISK_SIZE,
	.make = make_file,
};
