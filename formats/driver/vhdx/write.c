/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - new blocks, what marks them as a part of the disk, and what takes them away.
 *
 * A block without a parent below it is wholly there: what is not written to it is zeroes.  Over a
 * parent it is there by sectors, as the sector bitmap of its chunk says, unless it was written at
 * once.  All that changes is logged together, so its order in the file does not matter.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bitmap.h"
#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "image/image.h"
#include "io/io.h"
#include "write.h"
#include "io/writeback.h"
#include "view/writer.h"

#define ORDER ORDER_TABLES

/* The BAT. */

static int get_entry(const struct vhdx *d, uint64_t i, uint64_t *entry, struct err *e)
{
	unsigned char bytes[VHDX_BAT_ENTRY];
	int r = meta_read(d->view.cache, d->io, bytes, sizeof bytes, vhdx_entry_pos(d, i), e);

	*entry = r == 0 ? load_le64(bytes) : 0;
	return r;
}

static int set_entry(struct vhdx *d, uint64_t i, uint64_t entry, struct err *e)
{
	unsigned char bytes[VHDX_BAT_ENTRY];

	store_le64(bytes, entry);
	return meta_write(d->io, bytes, sizeof bytes, vhdx_entry_pos(d, i), ORDER, e);
}

static bool is_stored(uint64_t entry)
{
	return (entry & VHDX_STATE_MASK) >= VHDX_FULLY_PRESENT;
}

static uint64_t position_of(uint64_t entry)
{
	return entry & VHDX_POSITION_MASK;
}

static uint64_t visible(const struct vhdx *d, uint64_t block)
{
	return MIN(d->block_size, d->view.size - block * d->block_size);
}

/* An entry of the log has room for so many pages: those that wait go first when there may be more
 * of them afterwards. */
static int make_way(struct vhdx *d, struct err *e)
{
	struct writer *w = d->view.writer;

	if (writeback_pending(w->writeback) + VHDX_OPERATION_PAGES <= VHDX_LOG_PAGES)
		return 0;
	return writer_write_back(w, e);
}

/* Room for a write. */

/* Of new rooms the token is 1. */
static int vhdx_reserve(
	struct view *v, uint64_t off, uint64_t len, struct reservation *res, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	uint64_t block = off / d->block_size, skip = off % d->block_size, entry, pos, end;
	int r = get_entry(d, vhdx_bat_index(d, block), &entry, e);

	end = MIN(round_up(skip + len, d->sector_size), d->block_size);
	skip -= skip % d->sector_size;
	pos = position_of(entry);
	*res = (struct reservation){
		.off = block * d->block_size + skip,
		.len = end - skip,
		.io = d->io,
		.token = !is_stored(entry),
		.reads_zero = !is_stored(entry),
	};
	if (r == 0 && res->token)
		r = vhdx_room_take(d, d->block_size, &pos, e);
	res->pos = pos + skip;
	return r;
}

static void vhdx_cancel(struct view *v, const struct reservation *res)
{
	struct vhdx *d = (struct vhdx *)v;

	if (res->token)
		vhdx_room_give(d, res->pos - res->off % d->block_size, d->block_size);
}

/* Sector bitmaps. */

/* The block of bitmaps of the chunk that block is in; *fresh: it is new, and no entry has it. */
static int find_bitmaps(struct vhdx *d, uint64_t block, uint64_t *pos, bool *fresh, struct err *e)
{
	uint64_t entry;
	int r = get_entry(d, vhdx_bitmap_index(d, block), &entry, e);

	*pos = position_of(entry);
	*fresh = r == 0 && (entry & VHDX_STATE_MASK) != VHDX_BITMAP_PRESENT;
	return *fresh ? vhdx_room_take(d, VHDX_MIB, pos, e) : r;
}

/* Of a block that was not there all bits may be anything. */
static int note_sectors(struct vhdx *d, const struct reservation *res, struct err *e)
{
	uint64_t block = res->off / d->block_size, skip = res->off % d->block_size, pos;
	uint64_t per_block = d->block_size / d->sector_size;
	uint64_t first = block % d->ratio * per_block;
	bool fresh;
	int r = find_bitmaps(d, block, &pos, &fresh, e);

	if (r < 0)
		return r;
	if (res->token)
		r = meta_put_bits(d->io, pos, first, per_block, false, LSB_FIRST, ORDER, e);
	if (r == 0)
		r = meta_put_bits(d->io, pos, first + skip / d->sector_size,
			res->len / d->sector_size, true, LSB_FIRST, ORDER, e);
	/* Without an entry the room is lost until the image is opened again: changes of what is in
	 * it may be waiting. */
	if (r == 0 && fresh)
		r = set_entry(d, vhdx_bitmap_index(d, block), pos | VHDX_BITMAP_PRESENT, e);
	return r;
}

/* A room that was taken goes on the map. */
static int commit_block(struct vhdx *d, const struct reservation *res, struct err *e)
{
	uint64_t block = res->off / d->block_size, pos = res->pos - res->off % d->block_size, entry;
	int r = get_entry(d, vhdx_bat_index(d, block), &entry, e);
	bool partial = d->differencing && (entry & VHDX_STATE_MASK) == VHDX_NOT_PRESENT &&
		       res->len < visible(d, block);

	if (r == 0 && partial)
		r = note_sectors(d, res, e);
	if (r < 0)
		return r;
	return set_entry(d, vhdx_bat_index(d, block),
		pos | (partial ? VHDX_PARTIALLY_PRESENT : VHDX_FULLY_PRESENT), e);
}

static int vhdx_commit(struct view *v, const struct reservation *res, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	int r = make_way(d, e);

	if (r < 0)
		return r;
	return res->token ? commit_block(d, res, e) : note_sectors(d, res, e);
}

/* Clearing. */

static int expect_freed(struct vhdx_writing *w, struct err *e)
{
	size_t room = w->freed_room ? 2 * w->freed_room : 64;
	uint64_t *more;

	if (w->nfreed < w->freed_room)
		return 0;
	more = reallocarray(w->freed, room, sizeof more[0]);
	if (!more)
		return err_nomem(e);
	w->freed = more;
	w->freed_room = room;
	return 0;
}

static int clear_block(struct vhdx *d, uint64_t block, struct err *e)
{
	struct vhdx_writing *w = d->writing;
	uint64_t i = vhdx_bat_index(d, block), entry;
	int r = get_entry(d, i, &entry, e);
	bool stored = is_stored(entry);

	/* Without a parent all that is not stored is zeroes; over one all but what is not present.
	 */
	if (r < 0 ||
		(!stored && !(d->differencing && (entry & VHDX_STATE_MASK) == VHDX_NOT_PRESENT)))
		return r;
	r = expect_freed(w, e);
	if (r == 0)
		r = set_entry(d, i, VHDX_ZERO, e);
	if (r == 0 && stored)
		w->freed[w->nfreed++] = position_of(entry);
	return r;
}

/* Fixed disks keep their blocks. */
static int vhdx_clear(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	int r = d->fixed ? -EOPNOTSUPP : 0;

	/* Their entries may have more pages than the log. */
	for (uint64_t end = off + len; r == 0 && off < end; off += d->block_size) {
		r = make_way(d, e);
		if (r == 0)
			r = clear_block(d, off / d->block_size, e);
	}
	return r;
}

static bool vhdx_durable(struct view *v)
{
	struct vhdx_writing *w = ((struct vhdx *)v)->writing;

	w->ndurable = w->nfreed;
	return w->ndurable > 0;
}

/* The host gets its room back at once; when it does not want it, whoever is given the room has it
 * made zeroes then. */
static int vhdx_release_freed(struct view *v, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	struct vhdx_writing *w = d->writing;
	struct err ignored = ERR_INIT;

	(void)e;
	for (size_t i = 0; i < w->ndurable; i++) {
		io_zero(d->io, w->freed[i], d->block_size, &ignored);
		vhdx_room_give(d, w->freed[i], d->block_size);
	}
	w->nfreed -= w->ndurable;
	memmove(w->freed, w->freed + w->ndurable, w->nfreed * sizeof w->freed[0]);
	w->ndurable = 0;
	return 0;
}

/* Beginning and end. */

/* Children know by the GUID of the data that it is not what it was (section 2.2.2). */
static int vhdx_begin(struct view *v, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	uint64_t size = d->writing->n * VHDX_MIB;
	int r = guid_random(d->header.file_guid, e);

	if (r == 0)
		r = guid_random(d->header.data_guid, e);
	if (r == 0)
		r = vhdx_headers_write(d, e);
	/* Old programs cut the last block where they wrote last. */
	if (r == 0 && d->io->size < size)
		r = io_resize(d->io, size, e);
	return r;
}

/* As long as the log counts the file must not become shorter. */
static int vhdx_finish(struct view *v, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	int r = vhdx_journal_end(d, e);

	return r < 0 ? r : vhdx_room_trim(d, e);
}

const struct write_ops vhdx_write_ops = {
	.begin = vhdx_begin,
	.reserve = vhdx_reserve,
	.commit = vhdx_commit,
	.cancel = vhdx_cancel,
	.clear = vhdx_clear,
	.prepare = vhdx_journal_prepare,
	.durable = vhdx_durable,
	.release_freed = vhdx_release_freed,
	.resize = vhdx_resize,
	.finish = vhdx_finish,
};

int vhdx_replay(struct image *img, struct vhdx *d, struct err *e)
{
	int r = guid_random(d->header.file_guid, e);

	if (r == 0)
		r = vhdx_journal_replay(d, img->io, e);
	if (r == 0)
		d->replayed = false;
	return r;
}

int vhdx_start_writing(struct image *img, struct err *e)
{
	struct vhdx *d = (struct vhdx *)img->states[0]->view;
	bool unclean = d->replayed;
	int r = unclean ? vhdx_replay(img, d, e) : 0;

	if (r == 0 && unclean)
		image_warn(img, "it was not closed properly; its log was replayed");
	img->writer->pending_max = VHDX_LOG_PAGES / 2;
	if (r == 0)
		r = vhdx_room_scan(d, e);
	return r < 0 ? r : vhdx_journal_start(d, e);
}

void vhdx_writing_free(struct vhdx_writing *w)
{
	if (!w)
		return;
	free(w->used);
	free(w->freed);
	free(w->entry);
	free(w);
}
