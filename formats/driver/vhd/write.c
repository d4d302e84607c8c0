/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - room for new blocks, and how it becomes a part of the disk.
 *
 * A new block takes the place of the footer, which moves behind it.  Where the footer was is the
 * bitmap then, or a gap, never data: so no moment's end of the file is bytes that a guest chose,
 * and when there is no footer the copy at the beginning counts.
 *
 * Orders: data, then the bitmap that reveals it, then the BAT that reveals the block.  Blocks never
 * go away: what is cleared becomes a hole of the host file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bitmap.h"
#include "util/limits.h"
#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "image/image.h"
#include "io/io.h"
#include "vhd.h"
#include "io/writeback.h"
#include "view/writer.h"

#define DATA_ALIGN 4096u /* where hosts like data to be; programs differ and all read it */

/* Room. */

int vhd_extend(struct vhd *d, uint64_t end, struct err *e)
{
	uint64_t size = d->io->size;
	struct err ignored = ERR_INIT;
	int r = io_write(d->io, d->footer, VHD_FOOTER_LEN, end, e);

	if (r == 0)
		d->end = end;
	else
		io_resize(d->io, size, &ignored);
	return r;
}

/* Where a block is whose room begins at from. */
static uint64_t block_in(const struct vhd *d, uint64_t from)
{
	return round_up(from + d->bitmap_len, MIN(d->block_size, DATA_ALIGN)) - d->bitmap_len;
}

static uint64_t room_end(const struct vhd *d, uint64_t from)
{
	return block_in(d, from) + d->bitmap_len + d->block_size;
}

/* Room that was used before has what was written to it. */
static int take_spare(struct vhd *d, uint64_t *from, struct err *e)
{
	int r;

	*from = d->spare[d->nspare - 1];
	r = io_zero(d->io, block_in(d, *from), d->bitmap_len + d->block_size, e);
	if (r == 0)
		d->nspare--;
	return r;
}

static int take_room(struct vhd *d, uint64_t *from, struct err *e)
{
	int r;

	if (d->nspare > 0)
		return take_spare(d, from, e);
	*from = d->end;
	if (block_in(d, *from) / VHD_SECTOR >= VHD_ABSENT)
		return err_set(e, EFBIG, "%s: a VHD file of 2 TiB has no room for another block",
			d->io->name);
	r = vhd_extend(d, room_end(d, *from), e);
	/* A device has old bytes there. */
	if (r == 0 && d->io->is_block)
		r = io_zero(d->io, block_in(d, *from), d->bitmap_len + d->block_size, e);
	return r;
}

static int vhd_reserve(
	struct view *v, uint64_t off, uint64_t len, struct reservation *res, struct err *e)
{
	struct vhd *d = (struct vhd *)v;
	uint64_t block = off / d->block_size, skip = off % d->block_size, pos, end;
	int r = vhd_find_block(d, block, &pos, e);

	end = MIN(round_up(skip + len, VHD_SECTOR), d->block_size);
	skip -= skip % VHD_SECTOR;
	*res = (struct reservation){
		.off = block * d->block_size + skip,
		.len = end - skip,
		.io = d->io,
		.reads_zero = pos == 0,
	};
	if (r == 0 && pos == 0) {
		r = take_room(d, &res->token, e);
		pos = block_in(d, res->token);
	}
	res->pos = pos + d->bitmap_len + skip;
	return r;
}

/* A token is where room begins: never at 0. */
static void vhd_cancel(struct view *v, const struct reservation *res)
{
	struct vhd *d = (struct vhd *)v;

	if (res->token != 0 && d->nspare < VHD_SPARES)
		d->spare[d->nspare++] = res->token;
}

/* The map. */

/* QEMU takes all sectors of a block of a dynamic disk for stored: they are, as zeroes. */
static int new_bitmap(struct vhd *d, uint64_t pos, struct err *e)
{
	unsigned char map[VHD_SECTOR];
	int r = 0;

	memset(map, d->type == VHD_DYNAMIC ? 0xff : 0, sizeof map);
	for (uint32_t i = 0; r == 0 && i < d->bitmap_len; i += sizeof map)
		r = meta_write(d->io, map, sizeof map, pos + i, ORDER_TABLES, e);
	return r;
}

static int set_entry(struct vhd *d, uint64_t block, uint64_t pos, struct err *e)
{
	unsigned char entry[VHD_BAT_ENTRY];

	store_be32(entry, pos / VHD_SECTOR);
	return meta_write(d->io, entry, sizeof entry, d->bat_pos + block * VHD_BAT_ENTRY,
		ORDER_TABLES_ROOT, e);
}

static int vhd_commit(struct view *v, const struct reservation *res, struct err *e)
{
	struct vhd *d = (struct vhd *)v;
	uint64_t block = res->off / d->block_size, skip = res->off % d->block_size;
	uint64_t pos = res->pos - skip - d->bitmap_len;
	int r = res->token ? new_bitmap(d, pos, e) : 0;

	if (r == 0 && (d->type == VHD_DIFFERENCING || !res->token))
		r = meta_put_bits(d->io, pos, skip / VHD_SECTOR, res->len / VHD_SECTOR, true,
			MSB_FIRST, ORDER_TABLES, e);
	if (r == 0 && res->token)
		r = set_entry(d, block, pos, e);
	return r;
}

/* Beginning and end. */

/* A good one stays as long as the other is not durable. */
int vhd_mend_footers(struct vhd *d, struct err *e)
{
	uint64_t end = round_up(d->end, VHD_SECTOR);
	int r = vhd_extend(d, end, e);

	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0 && d->type != VHD_FIXED)
		r = io_write(d->io, d->footer, VHD_FOOTER_LEN, 0, e);
	if (r == 0)
		d->footer_bad = false;
	return r;
}

static int vhd_begin(struct view *v, struct err *e)
{
	struct vhd *d = (struct vhd *)v;

	return d->footer_bad ? vhd_mend_footers(d, e) : 0;
}

/* Is there spare room at the end of the data? */
static bool find_last(const struct vhd *d, unsigned *i)
{
	for (*i = 0; *i < d->nspare; ++*i)
		if (room_end(d, d->spare[*i]) == d->end)
			return true;
	return false;
}

int vhd_cut(struct vhd *d, uint64_t end, struct err *e)
{
	int r = io_write(d->io, d->footer, VHD_FOOTER_LEN, end, e);

	if (r == 0)
		r = d->io->is_block ? 0 : io_resize(d->io, end + VHD_FOOTER_LEN, e);
	if (r == 0)
		d->end = end;
	return r;
}

/* Gives spare room at the end back, once nothing waits to be written there. */
static int trim(struct vhd *d, struct err *e)
{
	int r = 0;

	for (unsigned i; r == 0 && find_last(d, &i);) {
		r = vhd_cut(d, d->spare[i], e);
		if (r == 0)
			d->spare[i] = d->spare[--d->nspare];
	}
	return r;
}

static int vhd_finish(struct view *v, struct err *e)
{
	return trim((struct vhd *)v, e);
}

const struct write_ops vhd_fixed_write_ops = {
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

/* Before the first change: may the image be trusted? */

static int check_regions(const struct vhd *d, const struct vhd_places *p, struct err *e)
{
	struct vhd_regions regions;
	int r = vhd_find_regions(d, &regions, e);

	for (size_t i = 0; r == 0 && i < p->n; i++) {
		uint64_t pos = p->at[i] * (uint64_t)VHD_SECTOR;
		const char *hit = vhd_find_hit(d, &regions, pos);

		if (hit)
			r = err_set(
				e, EUCLEAN, "the block at %" PRIu64 " and %s overlap", pos, hit);
	}
	return r;
}

static int check_places(const struct vhd *d, const struct vhd_places *p, struct err *e)
{
	uint64_t len = (d->bitmap_len + (uint64_t)d->block_size) / VHD_SECTOR;

	for (size_t i = 0; i + 1 < p->n; i++)
		if (p->at[i + 1] - p->at[i] < len)
			return err_set(e, EUCLEAN,
				"two blocks share room at %" PRIu64 ": writing one would spoil the "
				"other",
				p->at[i + 1] * (uint64_t)VHD_SECTOR);
	if (p->n > 0 && p->at[p->n - 1] + len > d->end / VHD_SECTOR)
		return err_set(e, EUCLEAN,
			"the block at %" PRIu64 " passes the end of the data, %" PRIu64,
			p->at[p->n - 1] * (uint64_t)VHD_SECTOR, (uint64_t)d->end);
	return 0;
}

/* Where the data on a device ends, behind which there is room. */
static void find_end(struct vhd *d, const struct vhd_places *p)
{
	uint64_t end = MAX(d->header_pos + VHD_HEADER_LEN,
		d->bat_pos + round_up(d->nblocks * VHD_BAT_ENTRY, VHD_SECTOR));

	if (p->n > 0)
		end = MAX(end,
			p->at[p->n - 1] * (uint64_t)VHD_SECTOR + d->bitmap_len + d->block_size);
	d->end = MIN(end, d->end);
}

int vhd_start_writing(struct image *img, struct err *e)
{
	struct vhd *d = (struct vhd *)img->states[0]->view;
	struct vhd_places p;
	int r;

	if (d->type == VHD_FIXED)
		return 0;
	r = vhd_find_places(d, &p, e);
	if (r == 0)
		r = check_regions(d, &p, e);
	if (r == 0)
		r = check_places(d, &p, e);
	if (r == 0 && d->io->is_block && d->type == VHD_DYNAMIC)
		find_end(d, &p);
	free(p.at);
	return r;
}
