/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize.c - longer and shorter disks.
 *
 * The size of the disk is one item of the metadata; changing it is one entry of the log.  A BAT
 * that is too short for a longer disk is copied to free space for a longer one: the same entry of
 * the log changes both region tables.
 */
#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "alloc.h"
#include "io/io.h"
#include "io/writeback.h"
#include "map.h"
#include "region-table.h"
#include "view/writer.h"

static int check_size(const struct vhdx *d, uint64_t size, struct err *e)
{
	if (size % d->sector_size != 0)
		return err_set(e, EINVAL,
			"the disk is a whole number of sectors of %" PRIu32 " bytes",
			d->sector_size);
	if (size > VHDX_MAX_DISK)
		return err_set(e, EFBIG, "a VHDX disk has at most 64 TiB");
	if (size < d->view.size && view_stores_beyond(&d->view, size))
		return err_set(e, EOPNOTSUPP, "blocks are allocated beyond the new end");
	if (d->view.below && d->view.below->size > d->view.size)
		return err_set(e, EOPNOTSUPP, "growing it would expose data of its parent");
	return 0;
}

/* Fails if one of the entries after those of the disk is not empty: a disk that was longer may have
 * left it. */
static int check_entries(const struct vhdx *d, uint64_t first, uint64_t end, struct err *e)
{
	for (uint64_t i = first; i < end; i++) {
		uint64_t entry;
		int r = vhdx_map_get_entry(d, i, &entry, e);

		if (r < 0)
			return r;
		if (entry != VHDX_NOT_PRESENT && entry != VHDX_ZERO)
			return err_set(e, EOPNOTSUPP,
				"entry %" PRIu64 " of its BAT, after those of the disk, is not "
				"empty",
				i);
	}
	return 0;
}

/* Zeroes the bytes that the last block has beyond the end of the disk. */
static int zero_past_end(struct vhdx *d, struct err *e)
{
	uint64_t block = d->view.size / d->block_size, skip = d->view.size % d->block_size, entry;
	int r;

	if (skip == 0)
		return 0;
	r = vhdx_map_get_entry(d, vhdx_bat_index(d, block), &entry, e);
	if (r < 0 || !vhdx_is_stored(entry))
		return r;
	return io_zero(d->io, (entry & VHDX_POSITION_MASK) + skip, d->block_size - skip, e);
}

/* Makes *bat a place with so many entries: at least twice as long as now, so that the BAT seldom
 * moves, but not longer than the largest disk needs.  Entries after those of the disk are zeroes:
 * VHDX_NOT_PRESENT. */
static int extend_bat(struct vhdx *d, uint64_t entries, struct vhdx_range *bat, struct err *e)
{
	uint64_t had = vhdx_bat_entries(d, d->nblocks);
	uint64_t most = vhdx_bat_entries(d, VHDX_MAX_DISK / d->block_size) * VHDX_BAT_ENTRY;
	int r;

	if (entries * VHDX_BAT_ENTRY <= bat->len)
		return check_entries(d, had, entries, e);
	bat->len = MAX(entries * VHDX_BAT_ENTRY, 2 * bat->len);
	bat->len = round_up(MIN(bat->len, most), VHDX_MIB);
	r = vhdx_alloc_take(d, bat->len, &bat->pos, e);
	if (r < 0)
		return r;
	r = io_copy(d->io, bat->pos, d->io, d->parts[VHDX_BAT].pos, had * VHDX_BAT_ENTRY, e);
	if (r < 0)
		vhdx_alloc_give(d, bat->pos, bat->len);
	return r;
}

/* All of this is one entry of the log.  The space of the old BAT, of which pages are in the cache,
 * stays unused until the image is opened again. */
static int set_size(struct vhdx *d, uint64_t size, const struct vhdx_range *bat, struct err *e)
{
	unsigned char item[8];
	int r = 0;

	store_le64(item, size);
	if (bat->pos != d->parts[VHDX_BAT].pos)
		r = vhdx_region_table_move_bat(d, bat->pos, bat->len, e);
	if (r == 0)
		r = meta_write(d->io, item, sizeof item, d->size_pos, ORDER_TABLES, e);
	if (r < 0)
		return writer_fail(d->view.writer, e);
	d->parts[VHDX_BAT] = *bat;
	d->nblocks = div_round_up(size, d->block_size);
	d->view.size = size;
	return 0;
}

int vhdx_resize(struct view *v, uint64_t size, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	struct vhdx_range bat = d->parts[VHDX_BAT];
	int r = check_size(d, size, e);

	if (r == 0 && size > v->size)
		r = zero_past_end(d, e);
	if (r == 0)
		r = extend_bat(d, vhdx_bat_entries(d, div_round_up(size, d->block_size)), &bat, e);
	/* One entry of the log has only so many pages. */
	if (r == 0)
		r = writer_write_back(v->writer, e);
	return r == 0 ? set_size(d, size, &bat, e) : r;
}
