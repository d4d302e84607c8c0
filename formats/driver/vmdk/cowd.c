/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cowd.c - COWD (vmfsSparse) extents of ESX: the deltas of its snapshots.
 *
 * All sectors are 32 bits wide.  There is no redundant directory and no entry for zeroes.  A grain
 * is a sector by default.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/io.h"
#include "image/image.h"
#include "disk.h"
#include "tables.h"

#define HEADER_SIZE  2048u
#define VERSION      1
#define FLAGS        3u
#define TABLE_LEN    4096u /* entries */
#define PARENT_POS   32u
#define GEOMETRY_POS 32u /* cylinders, heads, sectors; in place of the parent's name */

int vmdk_cowd_read(struct io *io, struct vmdk_cowd_header *h, struct err *e)
{
	unsigned char raw[HEADER_SIZE];
	uint32_t version, flags;
	int r = io_read(io, raw, sizeof raw, 0, e);

	if (r < 0)
		return r;
	version = load_le32(raw + 4);
	flags = load_le32(raw + 8);
	*h = (struct vmdk_cowd_header){
		.capacity = load_le32(raw + 12),
		.grain = load_le32(raw + 16),
		.gd = load_le32(raw + 20),
		.gd_len = load_le32(raw + 24),
	};
	/* A root disk has its geometry where a child has its parent's name.  Cylinders take three
	 * bytes at most: as a name they end before byte 4, and after the end of a name all is zero.
	 */
	h->is_root =
		load_le32(raw + GEOMETRY_POS) >> 24 == 0 && load_le32(raw + GEOMETRY_POS + 4) != 0;
	if (!h->is_root)
		memcpy(h->parent, raw + PARENT_POS, VMDK_COWD_NAME);
	if (version != VERSION)
		return err_set(
			e, ENOTSUP, "COWD extent version %" PRIu32 " is not supported", version);
	if (flags & ~FLAGS)
		return err_set(e, ENOTSUP, "COWD extent: flags 0x%" PRIx32 " are not supported",
			flags & ~FLAGS);
	if (h->grain < 1 || h->grain > VMDK_MAX_GRAIN_SECTORS)
		return err_set(e, EINVAL, "grain of %" PRIu32 " sectors, 1 to %" PRIu32 " expected",
			h->grain, VMDK_MAX_GRAIN_SECTORS);
	return 0;
}

static int cowd_open(struct vmdk_extent *x, const struct image *img, struct err *e)
{
	struct vmdk_tables *t = x->tables = calloc(1, sizeof *t);
	struct vmdk_cowd_header h;
	int r;

	if (!t)
		return err_nomem(e);
	r = vmdk_cowd_read(x->io, &h, e);
	if (r < 0)
		return r;
	*t = (struct vmdk_tables){
		.cache = img->opts->cache,
		.io = x->io,
		.table_at = vmdk_tables_decode_sector,
		.grain_at = vmdk_tables_decode_sector,
		.entry_len = VMDK_ENTRY,
		.per_table = TABLE_LEN,
		.grain = h.grain * VMDK_SECTOR,
		.capacity = h.capacity * (uint64_t)VMDK_SECTOR,
	};
	r = vmdk_tables_measure(t, e);
	if (r < 0)
		return r;
	if (h.gd_len < t->gd_len / VMDK_ENTRY)
		return err_set(e, EINVAL,
			"grain directory of %" PRIu32 " entries, %" PRIu64 " expected", h.gd_len,
			t->gd_len / VMDK_ENTRY);
	t->first_grain = h.gd + div_round_up(t->gd_len, VMDK_SECTOR);
	return vmdk_tables_place(t, h.gd, e);
}

const struct vmdk_kind vmdk_cowd = {
	.no_writing = "it has an extent of the kind vmfsSparse (COWD)",
	.open = cowd_open,
	.map = vmdk_tables_map,
};
