/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - changes of the disk: new blocks, and sectors of blocks that are there.
 *
 * A new block takes the place of the footer, which moves to its end.  The sector bitmap or a gap
 * lies where the footer was, never data: otherwise a crash could leave a file that ends with bytes
 * of the guest.  While there is no footer the copy at the beginning counts.
 *
 * Order: data, then the sector bitmap that reveals it, then the BAT that reveals the block.  Blocks
 * are never freed: cleared bytes become a hole of the host file.
 */
#include <errno.h>
#include <string.h>

#include "util/bitmap.h"
#include "util/bytes.h"
#include "util/err.h"
#include "footer.h"
#include "io/io.h"
#include "io/writeback.h"
#include "map.h"
#include "view/writer.h"

#define DATA_ALIGN 4096u /* of data in the file, as hosts like it; the format does not care */

/* The position of a new block when the data ended at end: its data is aligned. */
static uint64_t block_after(const struct vhd *d, uint64_t end)
{
	return round_up(end + d->bitmap_len, MIN(d->block_size, DATA_ALIGN)) - d->bitmap_len;
}

/* Allocates a block of zeroes, in the place of a cancelled one or at the end of the data; *end is
 * the end before it. */
static int allocate(struct vhd *d, uint64_t *end, struct err *e)
{
	int r;

	if (d->nspare > 0) {
		*end = d->spare[d->nspare - 1];
		r = io_zero(d->io, block_after(d, *end), vhd_block_len(d), e);
		d->nspare -= r == 0;
		return r;
	}
	*end = d->end;
	if (block_after(d, *end) / VHD_SECTOR >= VHD_ABSENT)
		return err_set(e, EFBIG, "%s: a VHD file of 2 TiB has no space for another block",
			d->io->name);
	r = vhd_footer_move(d, block_after(d, *end) + vhd_block_len(d), e);
	/* A device has old bytes there. */
	if (r == 0 && d->io->is_block)
		r = io_zero(d->io, block_after(d, *end), vhd_block_len(d), e);
	return r;
}

/* The token of a new block is the end of the data before it, which is never 0. */
static int vhd_reserve(
	struct view *v, uint64_t off, uint64_t len, struct reservation *res, struct err *e)
{
	struct vhd *d = (struct vhd *)v;
	uint64_t block = off / d->block_size, skip = off % d->block_size, pos, end;
	int r = vhd_map_block(d, block, &pos, e);

	end = MIN(round_up(skip + len, VHD_SECTOR), d->block_size);
	skip -= skip % VHD_SECTOR;
	*res = (struct reservation){
		.off = block * d->block_size + skip,
		.len = end - skip,
		.io = d->io,
		.reads_zero = pos == 0,
	};
	if (r == 0 && pos == 0) {
		r = allocate(d, &res->token, e);
		pos = block_after(d, res->token);
	}
	res->pos = pos + d->bitmap_len + skip;
	return r;
}

static void vhd_cancel(struct view *v, const struct reservation *res)
{
	struct vhd *d = (struct vhd *)v;

	if (res->token != 0 && d->nspare < VHD_SPARES)
		d->spare[d->nspare++] = res->token;
}

static int vhd_commit(struct view *v, const struct reservation *res, struct err *e)
{
	struct vhd *d = (struct vhd *)v;
	uint64_t block = res->off / d->block_size, skip = res->off % d->block_size;
	uint64_t pos = res->pos - skip - d->bitmap_len;
	unsigned char entry[VHD_BAT_ENTRY], bitmap[VHD_SECTOR];
	int r = 0;

	/* QEMU takes all sectors of a block of a dynamic disk to be stored, so their bits are set:
	 * the rest of the block is zeroes. */
	memset(bitmap, d->type == VHD_DYNAMIC ? 0xff : 0, sizeof bitmap);
	for (uint32_t i = 0; r == 0 && res->token && i < d->bitmap_len; i += sizeof bitmap)
		r = meta_write(d->io, bitmap, sizeof bitmap, pos + i, ORDER_TABLES, e);
	if (r == 0 && (d->type == VHD_DIFFERENCING || !res->token))
		r = meta_put_bits(d->io, pos, skip / VHD_SECTOR, res->len / VHD_SECTOR, true,
			MSB_FIRST, ORDER_TABLES, e);
	if (r < 0 || !res->token)
		return r;
	store_be32(entry, pos / VHD_SECTOR);
	return meta_write(
		d->io, entry, sizeof entry, vhd_entry_pos(d, block), ORDER_TABLES_ROOT, e);
}

static int vhd_begin(struct view *v, struct err *e)
{
	struct vhd *d = (struct vhd *)v;

	return d->footer_bad ? vhd_footer_repair(d, e) : 0;
}

/* Cuts cancelled blocks off the end of the data, when no change of them waits any more. */
static int vhd_finish(struct view *v, struct err *e)
{
	struct vhd *d = (struct vhd *)v;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < d->nspare;) {
		uint64_t end = d->spare[i];

		if (block_after(d, end) + vhd_block_len(d) != d->end) {
			i++;
			continue;
		}
		r = vhd_footer_cut(d, end, e);
		if (r == 0)
			d->spare[i] = d->spare[--d->nspare];
		i = 0;
	}
	return r;
}

const struct write_ops vhd_write_ops_fixed = {
	.begin = vhd_begin,
	.resize = vhd_resize_fixed,
};

const struct write_ops vhd_write_ops = {
	.begin = vhd_begin,
	.reserve = vhd_reserve,
	.commit = vhd_commit,
	.cancel = vhd_cancel,
	.resize = vhd_resize,
	.finish = vhd_finish,
};
