/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize.c - other sizes for VDI disks.
 *
 * The data area follows the map, which must become longer with the disk.  When there is no room
 * left between the two, the map goes to where the first blocks are, after these have gone to the
 * end; the data area begins behind it then.  Entries count from where that begins: so all of them
 * are others in the new map, and the old one holds until the header, in one sector, says where both
 * are.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "io/io.h"
#include "vdi.h"
#include "io/writeback.h"
#include "view/writer.h"

static int check_size(const struct vdi *d, uint64_t size, struct err *e)
{
	const struct view *v = &d->view;

	if (size % 512 != 0)
		return err_set(e, EINVAL, "a disk of %" PRIu64 " bytes has no whole sectors", size);
	if (d->type == VDI_FIXED)
		return err_set(e, EOPNOTSUPP, "a fixed VDI image keeps its size");
	if (size < v->size && view_stores_behind(v, size))
		return err_set(e, EOPNOTSUPP, "there are blocks behind the end");
	if (size / d->block_size >= VDI_MAX_BLOCKS)
		return err_set(e, EFBIG,
			"with blocks of %" PRIu32 " bytes a VDI disk has at most %" PRIu64,
			d->block_size, (uint64_t)VDI_MAX_BLOCKS * d->block_size - 512);
	if (v->below && v->below->size > v->size)
		return err_set(e, EOPNOTSUPP,
			"its parent is longer: what that has past the end would come to light");
	return 0;
}

/* What blocks hold past the end of the disk was never seen, and must not be. */
static int zero_past_end(struct vdi *d, struct err *e)
{
	uint64_t off = d->view.size, end = (uint64_t)d->nblocks * d->block_size;
	struct extent x;
	int r = 0;

	for (; r == 0 && off < end; off += x.len) {
		x = (struct extent){.len = 0};
		r = d->view.ops->map(&d->view, off, end - off, &x, e);
		if (r == 0 && x.kind == EXTENT_FILE)
			r = io_zero(x.io, x.pos, x.len, e);
	}
	return r;
}

/* What the header says of the disk and its places. */
struct shape {
	uint64_t size;
	uint64_t map_pos, data_pos;
	uint32_t nblocks, count;
};

static struct shape shape_of(const struct vdi *d)
{
	return (struct shape){
		.size = d->view.size,
		.map_pos = d->map_pos,
		.data_pos = d->data_pos,
		.nblocks = d->nblocks,
		.count = d->count,
	};
}

/* All that was done before is durable: so no field of the sector waits for another order. */
static int put_header(struct vdi *d, const struct shape *s, struct err *e)
{
	unsigned char h[VDI_HEADER_LEN];
	int r = meta_read(d->view.cache, d->io, h, sizeof h, 0, e);

	if (r < 0)
		return r;
	store_le32(h + VDI_PLACES, s->map_pos);
	store_le32(h + VDI_PLACES + 4, s->data_pos);
	store_le64(h + VDI_SIZE, s->size);
	store_le32(h + VDI_SIZE + 16, s->nblocks);
	store_le32(h + VDI_COUNT, s->count);
	return meta_write(d->io, h, sizeof h, 0, ORDER_HEADER, e);
}

/* The header does not know of these entries yet. */
static int add_entries(struct vdi *d, uint32_t nblocks, struct err *e)
{
	unsigned char entries[META_PAGE];
	int r = vdi_alloc_grow(d->alloc, nblocks, e);

	memset(entries, 0xff, sizeof entries); /* VDI_ENTRY_FREE */
	for (uint32_t i = d->nblocks, n; r == 0 && i < nblocks; i += n) {
		n = MIN(nblocks - i, vdi_entries_in_page(d, i));
		r = meta_write(d->io, entries, 4 * (size_t)n, vdi_entry_pos(d, i), ORDER_TABLES, e);
		if (r == 0)
			r = vdi_write_back_some(d, e);
	}
	return r;
}

/* The map has room for so many. */
static int set_blocks(struct vdi *d, uint64_t size, uint32_t nblocks, struct err *e)
{
	struct shape s;
	int r = add_entries(d, nblocks, e);

	if (r == 0)
		r = writer_write_back(d->view.writer, e);
	s = shape_of(d);
	s.size = size;
	s.nblocks = nblocks;
	if (r == 0)
		r = put_header(d, &s, e);
	if (r == 0)
		r = writer_write_back(d->view.writer, e);
	if (r < 0)
		return r;
	d->nblocks = nblocks;
	d->view.size = size;
	return 0;
}

/* A longer map. */

static uint64_t place_len(const struct vdi *d)
{
	return (uint64_t)d->block_size + d->extra;
}

/* Entries that the map has room for where it is. */
static uint32_t map_room(const struct vdi *d)
{
	return MIN((d->data_pos - d->map_pos) / 4, VDI_MAX_BLOCKS);
}

/* Places of blocks that so many entries take. */
static uint64_t places_for(const struct vdi *d, uint64_t entries)
{
	return div_round_up(4 * entries, place_len(d));
}

struct new_map {
	struct vdi *d;
	uint64_t pos;
	uint32_t places; /* that the data area gives up */
};

static int copy_entries(
	void *arg, uint32_t first, const unsigned char *p, uint32_t n, struct err *e)
{
	const struct new_map *map = arg;
	unsigned char entries[META_PAGE];
	int r;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t entry = load_le32(p + 4 * (size_t)i);

		store_le32(entries + 4 * (size_t)i,
			vdi_is_stored(entry) ? entry - map->places : entry);
	}
	r = meta_write(map->d->io, entries, 4 * (size_t)n, map->pos + 4 * (uint64_t)first,
		ORDER_TABLES, e);
	return r == 0 ? vdi_write_back_some(map->d, e) : r;
}

static int copy_map(struct vdi *d, const struct shape *s, uint32_t places, struct err *e)
{
	struct new_map map = {.d = d, .pos = s->map_pos, .places = places};
	int r = d->io->size < s->data_pos ? io_resize(d->io, s->data_pos, e) : 0;

	if (r == 0)
		r = vdi_map_each(d, copy_entries, &map, e);
	return r == 0 ? writer_write_back(d->view.writer, e) : r;
}

static int switch_map(struct vdi *d, const struct shape *s, uint32_t places, struct err *e)
{
	int r = put_header(d, s, e);

	if (r < 0)
		return r;
	vdi_alloc_shift(d->alloc, places);
	d->map_pos = s->map_pos;
	d->data_pos = s->data_pos;
	d->nblocks = s->nblocks;
	d->count = s->count;
	return writer_write_back(d->view.writer, e);
}

/* Into the first so many places of the data area.  While the blocks that were there are at its end,
 * their numbers may be higher than before. */
static int move_map(struct vdi *d, uint32_t places, struct err *e)
{
	uint32_t nblocks = d->nblocks, most = places + vdi_alloc_taken(d->alloc);
	struct shape s = shape_of(d);
	int r = most > nblocks ? set_blocks(d, d->view.size, most, e) : 0;

	s.map_pos = d->data_pos;
	s.data_pos = d->data_pos + places * place_len(d);
	if (r == 0)
		r = vdi_alloc_clear_front(d, places, e);
	if (r == 0)
		r = copy_map(d, &s, places, e);
	s.count = vdi_alloc_end(d->alloc) - MIN(places, vdi_alloc_end(d->alloc));
	return r == 0 ? switch_map(d, &s, places, e) : r;
}

/* Places that the data area can give up: as many as can be filled again, before the end of what a
 * header can say. */
static int choose_places(const struct vdi *d, uint64_t wanted, uint32_t *places, struct err *e)
{
	uint64_t room = map_room(d), spare = room - vdi_alloc_taken(d->alloc);
	uint64_t reach = (UINT32_MAX - d->data_pos) / place_len(d), least = places_for(d, room + 1);

	*places = MIN(MIN(wanted, spare), reach);
	if (place_len(d) % 512 != 0)
		return err_set(e, EOPNOTSUPP,
			"its block map has no more room, and blocks of %" PRIu64
			" bytes leave none that is whole sectors",
			place_len(d));
	if (least > reach || room == VDI_MAX_BLOCKS)
		return err_set(e, EFBIG, "its block map cannot become longer than it is");
	if (least > spare)
		return err_set(e, EOPNOTSUPP,
			"its block map has no more room, and too many of its blocks are stored for "
			"any to be moved");
	return 0;
}

/* Twice as long at least, so that it is seldom done. */
static int lengthen_map(struct vdi *d, uint32_t nblocks, struct err *e)
{
	uint64_t entries = MAX(2 * (uint64_t)map_room(d), nblocks + nblocks / (uint64_t)8);
	uint32_t places;
	int r = choose_places(d, places_for(d, MIN(entries, VDI_MAX_BLOCKS)), &places, e);

	return r == 0 ? move_map(d, places, e) : r;
}

/* A few numbers stay free, or the map of a disk that is full could not be moved any more. */
static int make_room(struct vdi *d, uint32_t nblocks, struct err *e)
{
	uint64_t kept = places_for(d, 2 * (uint64_t)map_room(d));
	struct err ignored = ERR_INIT;
	int r = 0;

	while (r == 0 && map_room(d) < nblocks)
		r = lengthen_map(d, nblocks, e);
	if (r == 0 && nblocks > d->nblocks && nblocks + kept > map_room(d))
		lengthen_map(d, nblocks, &ignored);
	return r;
}

/* An image may have more blocks than its disk needs. */
static uint32_t blocks_for(const struct vdi *d, uint64_t size)
{
	uint32_t needed = div_round_up(size, d->block_size);
	bool spare = d->nblocks > div_round_up(d->view.size, d->block_size);

	return size < d->view.size && !spare ? needed : MAX(d->nblocks, needed);
}

int vdi_resize(struct view *v, uint64_t size, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	uint32_t nblocks;
	int r = check_size(d, size, e);

	if (r < 0)
		return r;
	nblocks = blocks_for(d, size);
	r = vdi_alloc_close_gaps(d, e);
	if (r == 0)
		r = zero_past_end(d, e);
	if (r == 0)
		r = make_room(d, nblocks, e);
	return r == 0 ? set_blocks(d, size, nblocks, e) : r;
}
