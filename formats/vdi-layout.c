/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdi-layout.c - a disk as a VDI file: header, block map, blocks of 1 MiB, placed as VirtualBox
 * places them. */
#include <string.h>

#include "bounds.h"
#include "bytes.h"
#include "err.h"
#include "granules.h"
#include "made.h"
#include "vdi.h"

#define BLOCK_BITS 20
#define BLOCK      (1u << BLOCK_BITS)
#define MAP_POS    BLOCK
#define HEADER_LEN 472u /* with the geometry at its end */

struct vdi_layout {
	struct made made;
	uint64_t data_pos;
};

static int fill_header(
	const struct made *m, uint64_t first, size_t n, unsigned char *h, struct err *e)
{
	const struct vdi_layout *d = (const struct vdi_layout *)m;

	(void)first, (void)n, (void)e;
	strcpy((char *)h, "<<< vdiskfs VirtualBox Disk Image >>>\n");
	store_le32(h + 64, VDI_SIGNATURE);
	store_le32(h + 68, VDI_VERSION_1);
	store_le32(h + 72, HEADER_LEN - 72);
	store_le32(h + 76, VDI_DYNAMIC);
	store_le32(h + 340, MAP_POS);
	store_le32(h + 344, d->data_pos);
	store_le32(h + 360, 512);
	store_le64(h + 368, made_disk_size(m));
	store_le32(h + 376, BLOCK);
	store_le32(h + 384, granules_all(m->stored));
	store_le32(h + 388, granules_stored(m->stored));
	made_id(m, "VDI image", h + 392);
	made_id(m, "VDI modification", h + 408);
	store_le32(h + 468, 512);
	return 0;
}

static int fill_map(
	const struct made *m, uint64_t first, size_t n, unsigned char *out, struct err *e)
{
	uint32_t entry = granules_rank(m->stored, first);

	(void)e;
	for (size_t i = 0; i < n; i++)
		store_le32(
			out + 4 * i, granules_has(m->stored, first + i) ? entry++ : VDI_ENTRY_FREE);
	return 0;
}

static int vdi_make(
	const struct layout_source *s, const char *name, struct view **file, struct err *e)
{
	struct vdi_layout *d = made_new(sizeof *d, s, e);
	uint64_t end;

	(void)name;
	if (!d)
		return -e->code;
	d->made.stored = made_coarsen(&d->made, BLOCK_BITS, e);
	if (!d->made.stored) {
		view_free(&d->made.view);
		return -e->code;
	}
	made_add_table(&d->made, 0, 1, HEADER_LEN, fill_header);
	end = made_add_table(&d->made, MAP_POS, granules_all(d->made.stored), 4, fill_map);
	d->data_pos = round_up(MAX(end, MAP_POS + 1), BLOCK);
	end = made_add_data(&d->made, d->data_pos, d->made.stored, 0, NULL);
	return made_end(&d->made, end, &vdi_layout, file, e);
}

const struct layout vdi_layout = {
	.suffix = ".vdi",
	.max_disk = 0x1fffff8000000, /* QEMU's limit; a block map reaches a little further */
	.max_file = LIMIT_DISK_SIZE,
	.make = vdi_make,
};
