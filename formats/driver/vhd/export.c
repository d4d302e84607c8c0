/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export.c - a disk as a dynamic VHD file: copy of the footer, header, BAT, blocks of 2 MiB,
 * footer.
 *
 * The data of blocks begin at multiples of 4096: the sector bitmap is at the end of the 4096 bytes
 * before, and the rest of these is a gap that the format allows.
 */
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "export/allocmap.h"
#include "export/regions.h"
#include "footer.h"
#include "header.h"

#define BLOCK_BITS 21
#define BLOCK      (1u << BLOCK_BITS)
#define HEAD       4096u /* before the data of a block */
#define BITMAP_LEN (BLOCK / VHD_SECTOR / 8)
#define HEADER_POS VHD_FOOTER_LEN
#define BAT_POS    (HEADER_POS + VHD_HEADER_LEN)

struct vhd_export_regions {
	struct regions regions;
	uint64_t data_pos;
};

static struct vhd_new describe(const struct regions *m)
{
	struct vhd_new n = {
		.type = VHD_DYNAMIC,
		.size = regions_disk_size(m),
		.when = m->source.when,
		.bat_pos = BAT_POS,
		.entries = allocmap_all(m->coarse),
		.block_size = BLOCK,
	};

	regions_id(m, "VHD", n.id);
	return n;
}

static int fill_footer(
	const struct regions *m, uint64_t first, size_t n, unsigned char *f, struct err *e)
{
	struct vhd_new new = describe(m);

	(void)first, (void)n, (void)e;
	vhd_footer_encode(f, &new);
	return 0;
}

static int fill_header(
	const struct regions *m, uint64_t first, size_t n, unsigned char *h, struct err *e)
{
	struct vhd_new new = describe(m);

	(void)first, (void)n, (void)e;
	vhd_header_encode(h, &new);
	return 0;
}

/* The BAT is whole sectors; entries after that of the last block are absent. */
static int fill_bat(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct vhd_export_regions *d = (const struct vhd_export_regions *)m;
	uint64_t all = allocmap_all(m->coarse), pos = d->data_pos + HEAD - BITMAP_LEN;

	(void)e;
	pos += allocmap_rank(m->coarse, MIN(first, all)) * (HEAD + BLOCK);
	for (size_t i = 0; i < n; i++) {
		bool stored = first + i < all && allocmap_has(m->coarse, first + i);

		store_be32(out + 4 * i, stored ? pos / VHD_SECTOR : VHD_ABSENT);
		pos += stored ? HEAD + BLOCK : 0;
	}
	return 0;
}

/* All sectors of a block are stored. */
static int fill_head(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	(void)m, (void)first, (void)n, (void)e;
	memset(out + HEAD - BITMAP_LEN, 0xff, BITMAP_LEN);
	return 0;
}

static int make_file(
	const struct export_source *s, const char *name, struct view **file, struct err *e)
{
	struct vhd_export_regions *d = regions_new(sizeof *d, s, BLOCK_BITS, e);
	struct regions *m = &d->regions;
	uint64_t end;

	(void)name;
	if (!d)
		return -e->code;
	regions_add_table(m, 0, 1, VHD_FOOTER_LEN, fill_footer);
	regions_add_table(m, HEADER_POS, 1, VHD_HEADER_LEN, fill_header);
	end = regions_add_table(
		m, BAT_POS, round_up(allocmap_all(m->coarse), VHD_SECTOR / 4), 4, fill_bat);
	d->data_pos = round_up(end, HEAD);
	end = regions_add_data(m, d->data_pos, m->coarse, HEAD, fill_head);
	end = regions_add_table(m, end, 1, VHD_FOOTER_LEN, fill_footer);
	return regions_end(m, end, &vhd_export, file, e);
}

const struct export_format vhd_export = {
	.variant = "dynamic",
	.suffix = ".vhd",
	.max_disk = UINT64_C(2040) << 30,
	.max_file = UINT64_C(2) << 40, /* sectors are counted in 32 bits */
	.make = make_file,
};
