/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - changes of the disk: allocating payload blocks, the sectors that they hold, freeing.
 *
 * A block without a parent below it is fully present: bytes that are not written to it are zeroes.
 * Over a parent it is present by sectors, as the sector bitmap of its chunk has them, unless all of
 * it was written at once.  All changes of metadata go through the log together, so their order in
 * the file does not matter.
 */
#include <errno.h>

#include "util/bitmap.h"
#include "util/bytes.h"
#include "util/err.h"
#include "alloc.h"
#include "header.h"
#include "io/io.h"
#include "io/writeback.h"
#include "log.h"
#include "map.h"
#include "view/writer.h"

#define ORDER ORDER_TABLES

/* Pages of metadata, at most, that one operation changes. */
#define OPERATION_PAGES 40u

static int set_entry(struct vhdx *d, uint64_t i, uint64_t entry, struct err *e)
{
	unsigned char bytes[VHDX_BAT_ENTRY];

	store_le64(bytes, entry);
	return meta_write(d->io, bytes, sizeof bytes, vhdx_entry_pos(d, i), ORDER, e);
}

/* Writes back the pages that wait if an entry of the log could not hold those of one more
 * operation. */
static int make_log_space(struct vhdx *d, struct err *e)
{
	struct writer *w = d->view.writer;

	if (writeback_pending(w->writeback) + OPERATION_PAGES <= VHDX_LOG_PAGES)
		return 0;
	return writer_write_back(w, e);
}

/* The token is 1 for a new block. */
static int vhdx_reserve(
	struct view *v, uint64_t off, uint64_t len, struct reservation *res, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	uint64_t block = off / d->block_size, skip = off % d->block_size, entry, pos, end;
	int r = vhdx_map_get_entry(d, vhdx_bat_index(d, block), &entry, e);

	end = MIN(round_up(skip + len, d->sector_size), d->block_size);
	skip -= skip % d->sector_size;
	pos = entry & VHDX_POSITION_MASK;
	*res = (struct reservation){
		.off = block * d->block_size + skip,
		.len = end - skip,
		.io = d->io,
		.token = !vhdx_is_stored(entry),
		.reads_zero = !vhdx_is_stored(entry),
	};
	if (r == 0 && res->token)
		r = vhdx_alloc_take(d, d->block_size, &pos, e);
	res->pos = pos + skip;
	return r;
}

static void vhdx_cancel(struct view *v, const struct reservation *res)
{
	struct vhdx *d = (struct vhdx *)v;

	if (res->token)
		vhdx_alloc_give(d, res->pos - res->off % d->block_size, d->block_size);
}

/* Sets the bits of the sectors in the sector bitmap, for a new block after clearing all of its
 * bits, and allocates the sector bitmap block if the chunk has none. */
static int set_sectors(struct vhdx *d, const struct reservation *res, struct err *e)
{
	uint64_t block = res->off / d->block_size, skip = res->off % d->block_size, entry, pos;
	uint64_t per_block = d->block_size / d->sector_size;
	uint64_t first = block % d->ratio * per_block;
	bool exists;
	int r = vhdx_map_get_entry(d, vhdx_bitmap_index(d, block), &entry, e);

	exists = (entry & VHDX_STATE_MASK) == VHDX_BITMAP_PRESENT;
	pos = entry & VHDX_POSITION_MASK;
	if (r == 0 && !exists)
		r = vhdx_alloc_take(d, VHDX_MIB, &pos, e);
	if (r == 0 && res->token)
		r = meta_put_bits(d->io, pos, first, per_block, false, LSB_FIRST, ORDER, e);
	if (r == 0)
		r = meta_put_bits(d->io, pos, first + skip / d->sector_size,
			res->len / d->sector_size, true, LSB_FIRST, ORDER, e);
	/* A block that gets no entry after a failure is leaked until the image is opened again:
	 * changes of its bytes may be waiting. */
	if (r == 0 && !exists)
		r = set_entry(d, vhdx_bitmap_index(d, block), pos | VHDX_BITMAP_PRESENT, e);
	return r;
}

static int vhdx_commit(struct view *v, const struct reservation *res, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	uint64_t block = res->off / d->block_size, i = vhdx_bat_index(d, block), entry = 0;
	bool partial = !res->token;
	int r = make_log_space(d, e);

	if (r == 0 && res->token) {
		r = vhdx_map_get_entry(d, i, &entry, e);
		partial = d->differencing && (entry & VHDX_STATE_MASK) == VHDX_NOT_PRESENT &&
			  res->len < vhdx_visible(d, block);
	}
	if (r == 0 && partial)
		r = set_sectors(d, res, e);
	if (r < 0 || !res->token)
		return r;
	return set_entry(d, i,
		(res->pos - res->off % d->block_size) |
			(partial ? VHDX_PARTIALLY_PRESENT : VHDX_FULLY_PRESENT),
		e);
}

/* A block that is not stored reads as zeroes already, unless its bytes are the parent's. */
static int clear_block(struct vhdx *d, uint64_t block, struct err *e)
{
	uint64_t i = vhdx_bat_index(d, block), entry;
	int r = vhdx_map_get_entry(d, i, &entry, e);
	bool stored = vhdx_is_stored(entry);
	bool below = d->differencing && (entry & VHDX_STATE_MASK) == VHDX_NOT_PRESENT;

	if (r < 0 || (!stored && !below))
		return r;
	r = freed_prepare(&d->freed, 1, e);
	if (r == 0)
		r = set_entry(d, i, VHDX_ZERO, e);
	if (r == 0 && stored)
		freed_add(&d->freed, entry & VHDX_POSITION_MASK, d->block_size);
	return r;
}

/* Fixed disks keep their blocks. */
static int vhdx_clear(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	int r = d->fixed ? -EOPNOTSUPP : 0;

	/* The entries may be on more pages than the log takes at once. */
	for (uint64_t end = off + len; r == 0 && off < end; off += d->block_size) {
		r = make_log_space(d, e);
		if (r == 0)
			r = clear_block(d, off / d->block_size, e);
	}
	return r;
}

static bool vhdx_durable(struct view *v)
{
	return freed_set_durable(&((struct vhdx *)v)->freed);
}

/* The host frees the bytes at once.  If it cannot, the next allocation makes them zeroes. */
static int release(void *arg, struct freed_run run, struct err *e)
{
	struct vhdx *d = arg;
	struct err ignored = ERR_INIT;

	(void)e;
	io_zero(d->io, run.first, run.n, &ignored);
	vhdx_alloc_give(d, run.first, run.n);
	return 0;
}

static int vhdx_release_freed(struct view *v, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;

	return freed_release(&d->freed, release, d, e);
}

/* Children compare the GUID of the data with the one that they record: another one means that their
 * parent has changed (section 2.2.2). */
static int vhdx_begin(struct view *v, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	uint64_t size = d->alloc.n * VHDX_MIB;
	int r = guid_random(d->header.file_guid, e);

	if (r == 0)
		r = guid_random(d->header.data_guid, e);
	if (r == 0)
		r = vhdx_header_write_both(d, e);
	/* Old programs cut the file inside the last block. */
	if (r == 0 && d->io->size < size)
		r = io_resize(d->io, size, e);
	return r;
}

/* The file must not become shorter while the log has entries: they have its length. */
static int vhdx_finish(struct view *v, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	int r = vhdx_log_end(d, e);

	return r < 0 ? r : vhdx_alloc_trim(d, e);
}

const struct write_ops vhdx_write_ops = {
	.begin = vhdx_begin,
	.reserve = vhdx_reserve,
	.commit = vhdx_commit,
	.cancel = vhdx_cancel,
	.clear = vhdx_clear,
	.prepare = vhdx_log_prepare,
	.durable = vhdx_durable,
	.release_freed = vhdx_release_freed,
	.resize = vhdx_resize,
	.finish = vhdx_finish,
};
