/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize.c - longer VHDX disks and shorter ones.
 *
 * How long the disk is stands in one item of the metadata; changing it is one entry of the log.  A
 * BAT that is too short for a longer disk is copied to where there is room for a longer one: the
 * same entry of the log makes both region tables say so.
 */
#include <errno.h>
#include <inttypes.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "io/io.h"
#include "write.h"
#include "io/writeback.h"
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
		return err_set(e, EOPNOTSUPP, "there are blocks behind the end");
	if (d->view.below && d->view.below->size > d->view.size)
		return err_set(e, EOPNOTSUPP, "its parent is longer, and would be seen");
	return 0;
}

/* Entries of blocks that nobody wrote to, which a disk that was longer may have left. */
static int check_entries(const struct vhdx *d, uint64_t first, uint64_t end, struct err *e)
{
	for (uint64_t i = first; i < end; i++) {
		unsigned char entry[VHDX_BAT_ENTRY];
		int r = meta_read(
			d->view.cache, d->io, entry, sizeof entry, vhdx_entry_pos(d, i), e);

		if (r < 0)
			return r;
		if (load_le64(entry) != VHDX_NOT_PRESENT && load_le64(entry) != VHDX_ZERO)
			return err_set(e, EOPNOTSUPP,
				"entry %" PRIu64 " of its BAT, behind those of the disk, is not "
				"empty",
				i);
	}
	return 0;
}

/* What the last block has behind the end of the disk is not always zeroes. */
static int clear_tail(struct vhdx *d, struct err *e)
{
	uint64_t block = d->view.size / d->block_size, skip = d->view.size % d->block_size, entry;
	unsigned char bytes[VHDX_BAT_ENTRY];
	int r;

	if (skip == 0)
		return 0;
	r = meta_read(d->view.cache, d->io, bytes, sizeof bytes,
		vhdx_entry_pos(d, vhdx_bat_index(d, block)), e);
	entry = r == 0 ? load_le64(bytes) : 0;
	if (r < 0 || (entry & VHDX_STATE_MASK) < VHDX_FULLY_PRESENT)
		return r;
	return io_zero(d->io, (entry & VHDX_POSITION_MASK) + skip, d->block_size - skip, e);
}

/* Twice as long at least, so that it is seldom done; no longer than the longest disk needs. */
static uint64_t bat_len(const struct vhdx *d, uint64_t entries)
{
	uint64_t most = vhdx_bat_entries(d, VHDX_MAX_DISK / d->block_size) * VHDX_BAT_ENTRY;
	uint64_t len = MAX(entries * VHDX_BAT_ENTRY, 2 * d->parts[VHDX_BAT].len);

	return round_up(MIN(len, most), VHDX_MIB);
}

/* Entries behind those of the disk are zeroes: VHDX_NOT_PRESENT. */
static int copy_bat(struct vhdx *d, uint64_t entries, struct vhdx_range *bat, struct err *e)
{
	uint64_t len = vhdx_bat_entries(d, d->nblocks) * VHDX_BAT_ENTRY;
	int r;

	bat->len = bat_len(d, entries);
	r = vhdx_room_take(d, bat->len, &bat->pos, e);
	if (r < 0)
		return r;
	r = io_copy(d->io, bat->pos, d->io, d->parts[VHDX_BAT].pos, len, e);
	if (r < 0)
		vhdx_room_give(d, bat->pos, bat->len);
	return r;
}

static int make_entries(struct vhdx *d, uint64_t nblocks, struct vhdx_range *bat, struct err *e)
{
	uint64_t entries = vhdx_bat_entries(d, nblocks);

	if (entries * VHDX_BAT_ENTRY > bat->len)
		return copy_bat(d, entries, bat, e);
	return check_entries(d, vhdx_bat_entries(d, d->nblocks), entries, e);
}

/* All of this is one entry of the log.  The room of the old BAT, of which there are pages in the
 * cache, stays unused until the image is opened again. */
static int set_size(struct vhdx *d, uint64_t size, const struct vhdx_range *bat, struct err *e)
{
	unsigned char item[8];
	int r = 0;

	store_le64(item, size);
	if (bat->pos != d->parts[VHDX_BAT].pos)
		r = vhdx_regions_move_bat(d, bat->pos, bat->len, e);
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
		r = clear_tail(d, e);
	if (r == 0)
		r = make_entries(d, div_round_up(size, d->block_size), &bat, e);
	/* The log takes only so much at a time. */
	if (r == 0)
		r = writer_write_back(v->writer, e);
	return r == 0 ? set_size(d, size, &bat, e) : r;
}
