/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* export.c - a disk as a VDI file: header, block map and blocks of 1 MiB, where VirtualBox has
 * them.
 */
#include "util/limits.h"
#include "util/bytes.h"
#include "util/err.h"
#include "export/allocmap.h"
#include "export/regions.h"
#include "header.h"

#define BLOCK_BITS 20
#define BLOCK      (1u << BLOCK_BITS)
#define MAP_POS    BLOCK

struct vdi_regions {
	struct regions regions;
	uint64_t data_pos;
};

static int fill_header(
	const struct regions *m, uint64_t first, size_t n, unsigned char *h, struct err *e)
{
	const struct vdi_regions *d = (const struct vdi_regions *)m;
	struct vdi_header header = {
		.type = VDI_DYNAMIC,
		.size = regions_disk_size(m),
		.map_pos = MAP_POS,
		.data_pos = d->data_pos,
		.block_size = BLOCK,
		.nblocks = allocmap_all(m->coarse),
		.count = allocmap_stored(m->coarse),
	};

	(void)first, (void)n, (void)e;
	regions_id(m, "VDI image", header.ids[0]);
	regions_id(m, "VDI modification", header.ids[1]);
	vdi_header_encode(&header, h);
	return 0;
}

static int fill_map(
	const struct regions *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	uint32_t entry = allocmap_rank(m->coarse, first);

	(void)e;
	for (size_t i = 0; i < n; i++)
		store_le32(
			out + 4 * i, allocmap_has(m->coarse, first + i) ? entry++ : VDI_ENTRY_FREE);
	return 0;
}

static int make_file(
	const struct export_source *s, const char *name, struct view **file, struct err *e)
{
	struct vdi_regions *d = regions_new(sizeof *d, s, BLOCK_BITS, e);
	uint64_t end;

	(void)name;
	if (!d)
		return -e->code;
	regions_add_table(&d->regions, 0, 1, VDI_HEADER_LEN, fill_header);
	end = regions_add_table(&d->regions, MAP_POS, allocmap_all(d->regions.coarse), 4, fill_map);
	d->data_pos = round_up(MAX(end, MAP_POS + 1), BLOCK);
	end = regions_add_data(&d->regions, d->data_pos, d->regions.coarse, 0, NULL);
	return regions_end(&d->regions, end, &vdi_export, file, e);
}

const struct export_format vdi_export = {
	.suffix = ".vdi",
	.max_disk = 0x1fffff8000000, /* as in QEMU; a block map reaches a little further */
	.max_file = LIMIT_DISK_SIZE,
	.make = make_file,
};
