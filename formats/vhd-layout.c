/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhd-layout.c - a disk as a dynamic VHD file: copy of the footer, header, BAT, blocks of 2 MiB,
 * footer.
 *
 * Blocks lie so that their data begins at multiples of 4096; what is in front of the bitmap then is
 * room that the format does not ask for, nor mind.
 */
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "granules.h"
#include "made.h"
#include "vhd.h"

#define BLOCK_BITS 21
#define BLOCK      (1u << BLOCK_BITS)
#define HEAD       4096u /* in front of a block's data */
#define BITMAP_LEN (BLOCK / VHD_SECTOR / 8)
#define HEADER_POS VHD_FOOTER_LEN
#define BAT_POS    (HEADER_POS + VHD_HEADER_LEN)
#define VERSION    0x00010000u

/* All readers go by the size in the footer and not by the geometry, which may say less, when this
 * is who made the file. */
#define CREATOR         "win "
#define CREATOR_VERSION 0x000a0000u
#define CREATOR_SYSTEM  "Wi2k"

/* Of a disk that the geometry can express. */
#define MAX_CYLINDERS 65535u
#define MAX_SECTORS   (MAX_CYLINDERS * 16 * 255)

struct vhd_layout {
	struct made made;
	uint64_t data_pos;
};

/* Virtual Hard Disk Image Format Specification, appendix "CHS Calculation". */
static void put_geometry(unsigned char *p, uint64_t size)
{
	uint32_t sectors = MIN(size / VHD_SECTOR, MAX_SECTORS), per_track, heads, tracks;

	if (sectors >= MAX_CYLINDERS * 16 * 63) {
		per_track = 255;
		heads = 16;
		tracks = sectors / per_track;
	} else {
		per_track = 17;
		tracks = sectors / per_track;
		heads = MAX(4, div_round_up(tracks, 1024));
		if (tracks >= heads * 1024 || heads > 16) {
			per_track = 31;
			heads = 16;
			tracks = sectors / per_track;
		}
		if (tracks >= heads * 1024) {
			per_track = 63;
			heads = 16;
			tracks = sectors / per_track;
		}
	}
	store_be16(p, tracks / heads);
	p[2] = heads;
	p[3] = per_track;
}

static int fill_footer(
	const struct made *m, uint64_t first, size_t n, unsigned char *f, struct err *e)
{
	uint64_t size = made_disk_size(m);

	(void)first, (void)n, (void)e;
	memcpy(f, "conectix", 8);
	store_be32(f + 8, 2); /* a bit that is always set */
	store_be32(f + 12, VERSION);
	store_be64(f + 16, HEADER_POS);
	store_be32(f + 24, MAX(m->source.when - VHD_EPOCH, 0));
	memcpy(f + 28, CREATOR, 4);
	store_be32(f + 32, CREATOR_VERSION);
	memcpy(f + 36, CREATOR_SYSTEM, 4);
	store_be64(f + 40, size);
	store_be64(f + 48, size);
	put_geometry(f + 56, size);
	store_be32(f + 60, VHD_DYNAMIC);
	made_id(m, "VHD", f + 68);
	store_be32(f + VHD_FOOTER_SUM, vhd_checksum(f, VHD_FOOTER_LEN, VHD_FOOTER_SUM));
	return 0;
}

static int fill_header(
	const struct made *m, uint64_t first, size_t n, unsigned char *h, struct err *e)
{
	(void)first, (void)n, (void)e;
	memcpy(h, "cxsparse", 8);
	store_be64(h + 8, UINT64_MAX);
	store_be64(h + 16, BAT_POS);
	store_be32(h + 24, VERSION);
	store_be32(h + 28, granules_all(m->stored));
	store_be32(h + 32, BLOCK);
	store_be32(h + VHD_HEADER_SUM, vhd_checksum(h, VHD_HEADER_LEN, VHD_HEADER_SUM));
	return 0;
}

/* Whole sectors; entries behind the last block have none. */
static int fill_bat(
	const struct made *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	const struct vhd_layout *d = (const struct vhd_layout *)m;
	uint64_t all = granules_all(m->stored), pos = d->data_pos + HEAD - BITMAP_LEN;

	(void)e;
	pos += granules_rank(m->stored, MIN(first, all)) * (HEAD + BLOCK);
	for (size_t i = 0; i < n; i++) {
		bool stored = first + i < all && granules_has(m->stored, first + i);

		store_be32(out + 4 * i, stored ? pos / VHD_SECTOR : VHD_ABSENT);
		pos += stored ? HEAD + BLOCK : 0;
	}
	return 0;
}

/* All sectors of a block are there. */
static int fill_head(
	const struct made *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	(void)m, (void)first, (void)n, (void)e;
	memset(out + HEAD - BITMAP_LEN, 0xff, BITMAP_LEN);
	return 0;
}

static int vhd_make(
	const struct layout_source *s, const char *name, struct view **file, struct err *e)
{
	struct vhd_layout *d = made_new(sizeof *d, s, e);
	struct made *m = &d->made;
	uint64_t end;

	(void)name;
	if (!d)
		return -e->code;
	m->stored = made_coarsen(m, BLOCK_BITS, e);
	if (!m->stored) {
		view_free(&m->view);
		return -e->code;
	}
	made_add_table(m, 0, 1, VHD_FOOTER_LEN, fill_footer);
	made_add_table(m, HEADER_POS, 1, VHD_HEADER_LEN, fill_header);
	end = made_add_table(
		m, BAT_POS, round_up(granules_all(m->stored), VHD_SECTOR / 4), 4, fill_bat);
	d->data_pos = round_up(end, HEAD);
	end = made_add_data(m, d->data_pos, m->stored, HEAD, fill_head);
	end = made_add_table(m, end, 1, VHD_FOOTER_LEN, fill_footer);
	return made_end(m, end, &vhd_layout, file, e);
}

const struct layout vhd_layout = {
	.variant = "dynamic",
	.suffix = ".vhd",
	.max_disk = UINT64_C(2040) << 30,
	.max_file = UINT64_C(2) << 40, /* sectors are counted in 32 bits */
	.make = vhd_make,
};
