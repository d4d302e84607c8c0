/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize.c - longer and shorter disks.
 *
 * The data area follows the block map, which grows with the disk.  When no space is left between
 * the two, the blocks in the first slots move to the end of the data area, the block map is copied
 * to where they were, and the data area begins after it.  Slots count from the beginning of the
 * data area, so all entries change in the copy; the old map holds until the header, in one sector,
 * has both positions.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "alloc.h"
#include "header.h"
#include "io/meta.h"
#include "io/io.h"
#include "io/writeback.h"
#include "map.h"
#include "view/writer.h"

/* The fields of the header that a resize changes. */
struct vdi_geometry {
	uint64_t size;
	uint64_t map_pos, data_pos;
	uint32_t nblocks, count;
};

static int check_size(const struct vdi *d, uint64_t size, struct err *e)
{
	const struct view *v = &d->view;

	if (size % 512 != 0)
		return err_set(e, EINVAL, "a disk of %" PRIu64 " bytes has no whole sectors", size);
	if (d->type == VDI_FIXED)
		return err_set(e, EOPNOTSUPP, "a fixed VDI image keeps its size");
	if (size < v->size && view_stores_beyond(v, size))
		return err_set(e, EOPNOTSUPP, "blocks are allocated beyond the new end");
	if (size / d->block_size >= VDI_MAX_BLOCKS)
		return err_set(e, EFBIG,
			"with blocks of %" PRIu32 " bytes a VDI disk has at most %" PRIu64,
			d->block_size, (uint64_t)VDI_MAX_BLOCKS * d->block_size - 512);
	if (v->below && v->below->size > v->size)
		return err_set(e, EOPNOTSUPP, "growing it would expose data of its parent");
	return 0;
}

/* Zeroes the bytes that blocks have beyond the end of the disk, which a longer disk would show. */
static int zero_past_end(struct vdi *d, struct err *e)
{
	uint64_t off = d->view.size, end = (uint64_t)d->nblocks * d->block_size;
	struct extent x;
	int r = 0;

	for (; r == 0 && off < end; off += x.len) {
		x = (struct extent){.len = 0};
		r = vdi_map(&d->view, off, end - off, &x, e);
		if (r == 0 && x.kind == EXTENT_FILE)
			r = io_zero(x.io, x.pos, x.len, e);
	}
	return r;
}

/* Everything else is written back before, so no change of the sector waits in another order. */
static int put_header(struct vdi *d, const struct vdi_geometry *g, struct err *e)
{
	unsigned char h[VDI_HEADER_LEN];
	int r = meta_read(d->view.cache, d->io, h, sizeof h, 0, e);

	if (r < 0)
		return r;
	store_le32(h + VDI_PLACES, g->map_pos);
	store_le32(h + VDI_PLACES + 4, g->data_pos);
	store_le64(h + VDI_SIZE, g->size);
	store_le32(h + VDI_SIZE + 16, g->nblocks);
	store_le32(h + VDI_COUNT, g->count);
	return meta_write(d->io, h, sizeof h, 0, ORDER_HEADER, e);
}

static int put_entries(
	struct vdi *d, const unsigned char *entries, uint32_t n, uint64_t pos, struct err *e)
{
	int r = meta_write(d->io, entries, 4 * (size_t)n, pos, ORDER_TABLES, e);

	return r == 0 && writer_is_full(d->view.writer) ? writer_write_back(d->view.writer, e) : r;
}

/* Sets the size and the number of blocks, for which the block map has space. */
static int set_blocks(struct vdi *d, uint64_t size, uint32_t nblocks, struct err *e)
{
	struct vdi_geometry g = {size, d->map_pos, d->data_pos, nblocks, 0};
	unsigned char entries[META_PAGE];
	int r = vdi_alloc_grow(&d->alloc, nblocks, e);

	memset(entries, 0xff, sizeof entries); /* VDI_ENTRY_FREE */
	for (uint32_t i = d->nblocks, n; r == 0 && i < nblocks; i += n) {
		n = MIN(nblocks - i, vdi_map_entries_in_page(d, i));
		r = put_entries(d, entries, n, vdi_entry_pos(d, i), e);
	}
	if (r == 0)
		r = writer_write_back(d->view.writer, e);
	g.count = d->count; /* which writing back may have set */
	if (r == 0)
		r = put_header(d, &g, e);
	if (r == 0)
		r = writer_write_back(d->view.writer, e);
	if (r < 0)
		return r;
	d->nblocks = nblocks;
	d->view.size = size;
	return 0;
}

/* Entries that fit between the position of the block map and the data area. */
static uint32_t map_capacity(const struct vdi *d)
{
	return MIN((d->data_pos - d->map_pos) / 4, VDI_MAX_BLOCKS);
}

static uint64_t slots_for_entries(const struct vdi *d, uint64_t entries)
{
	return div_round_up(4 * entries, vdi_slot_len(d));
}

struct map_copy {
	struct vdi *d;
	uint64_t pos;
	uint32_t slots; /* by which the data area begins later */
};

static int copy_entries(
	void *arg, uint32_t first, const unsigned char *p, uint32_t n, struct err *e)
{
	const struct map_copy *c = arg;
	unsigned char entries[META_PAGE];

	for (size_t i = 0; i < n; i++) {
		uint32_t entry = load_le32(p + 4 * i);

		store_le32(entries + 4 * i, vdi_is_stored(entry) ? entry - c->slots : entry);
	}
	return put_entries(c->d, entries, n, c->pos + 4 * (uint64_t)first, e);
}

/* Moves the block map to the first so many slots of the data area.  Until the header is written,
 * the blocks that were there need slots after all others: more than the disk may have blocks. */
static int move_map(struct vdi *d, uint32_t slots, struct err *e)
{
	uint32_t most = slots + d->alloc.nused;
	struct vdi_geometry g = {
		.size = d->view.size,
		.map_pos = d->data_pos,
		.data_pos = d->data_pos + slots * vdi_slot_len(d),
		.nblocks = d->nblocks,
	};
	struct map_copy copy = {d, g.map_pos, slots};
	struct err ignored = ERR_INIT;
	int r = most > d->nblocks ? set_blocks(d, d->view.size, most, e) : 0;

	if (r == 0)
		r = vdi_alloc_clear_front(d, slots, e);
	if (r == 0 && d->io->size < g.data_pos)
		r = io_resize(d->io, g.data_pos, e);
	if (r == 0)
		r = vdi_map_each(d, copy_entries, &copy, e);
	if (r == 0)
		r = writer_write_back(d->view.writer, e);
	g.count = d->alloc.end - MIN(slots, d->alloc.end);
	if (r == 0)
		r = put_header(d, &g, e);
	if (r < 0) {
		/* Entries of the copy must not be written later, over a block in their slot. */
		writer_write_back(d->view.writer, &ignored);
		return r;
	}
	vdi_alloc_shift(&d->alloc, slots);
	d->map_pos = g.map_pos;
	d->data_pos = g.data_pos;
	d->nblocks = g.nblocks;
	d->count = g.count;
	return writer_write_back(d->view.writer, e);
}

/* Makes the block map longer: at least twice as long, so that it seldom moves, but by no more slots
 * than others can be free for, and within the 32 bits of the header. */
static int lengthen_map(struct vdi *d, uint32_t nblocks, struct err *e)
{
	uint64_t capacity = map_capacity(d), spare = capacity - d->alloc.nused;
	uint64_t entries = MAX(2 * capacity, nblocks + nblocks / (uint64_t)8);
	uint64_t wanted = slots_for_entries(d, MIN(entries, VDI_MAX_BLOCKS));
	uint64_t reach = (UINT32_MAX - d->data_pos) / vdi_slot_len(d);
	uint64_t least = slots_for_entries(d, capacity + 1);

	if (vdi_slot_len(d) % 512 != 0)
		return err_set(e, EOPNOTSUPP,
			"its block map has no more space, and blocks of %" PRIu64
			" bytes leave none that is whole sectors",
			vdi_slot_len(d));
	if (least > reach || capacity == VDI_MAX_BLOCKS)
		return err_set(e, EFBIG, "its block map cannot become longer than it is");
	if (least > spare)
		return err_set(e, EOPNOTSUPP,
			"its block map has no more space, and too many of its blocks are stored "
			"for "
			"any to be moved");
	return move_map(d, MIN(MIN(wanted, spare), reach), e);
}

/* Makes space for so many entries, and some more: the block map of a disk that uses all slots could
 * not move any more. */
static int extend_map(struct vdi *d, uint32_t nblocks, struct err *e)
{
	uint64_t kept = slots_for_entries(d, 2 * (uint64_t)map_capacity(d));
	struct err ignored = ERR_INIT;
	int r = 0;

	while (r == 0 && map_capacity(d) < nblocks)
		r = lengthen_map(d, nblocks, e);
	if (r == 0 && nblocks > d->nblocks && nblocks + kept > map_capacity(d))
		lengthen_map(d, nblocks, &ignored);
	return r;
}

int vdi_resize(struct view *v, uint64_t size, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	uint32_t needed, nblocks;
	int r = check_size(d, size, e);

	if (r < 0)
		return r;
	/* An image that has more blocks than its disk needs keeps them. */
	needed = div_round_up(size, d->block_size);
	nblocks = MAX(d->nblocks, needed);
	if (size < v->size && d->nblocks <= div_round_up(v->size, d->block_size))
		nblocks = needed;
	r = vdi_alloc_close_gaps(d, e);
	if (r == 0)
		r = zero_past_end(d, e);
	if (r == 0)
		r = extend_map(d, nblocks, e);
	return r == 0 ? set_blocks(d, size, nblocks, e) : r;
}
