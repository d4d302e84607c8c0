/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhdx-resize.c - longer VHDX disks, as far as the BAT reaches, and shorter ones.
 *
 * How long the disk is stands in one item of the metadata; changing it is one entry of the log.
 */
#include <errno.h>
#include <inttypes.h>

#include "bounds.h"
#include "bytes.h"
#include "cache.h"
#include "err.h"
#include "io.h"
#include "vhdx-write.h"
#include "writeback.h"
#include "writer.h"

static int check_size(const struct vhdx *d, uint64_t size, struct err *e)
{
	if (size % d->sector_size != 0)
		return err_set(e, EINVAL,
			"the disk is a whole number of sectors of %" PRIu32 " bytes",
			d->sector_size);
	if (size > VHDX_MAX_DISK)
		return err_set(e, EFBIG, "a VHDX disk has at most 64 TiB");
	if (size < d->view.size && view_stores_behind(&d->view, size))
		return err_set(e, EOPNOTSUPP, "there are blocks behind the end");
	if (d->view.below && d->view.below->size > d->view.size)
		return err_set(e, EOPNOTSUPP, "its parent is longer, and would be seen");
	return 0;
}

/* Entries of blocks that nobody wrote to, which a disk that was longer may have left. */
static int check_entries(const struct vhdx *d, uint64_t first, uint64_t end, struct err *e)
{
	if (end > d->parts[VHDX_BAT].len / VHDX_BAT_ENTRY)
		return err_set(e, EOPNOTSUPP,
			"its BAT has %" PRIu64 " entries, and %" PRIu64 " would be needed",
			d->parts[VHDX_BAT].len / VHDX_BAT_ENTRY, end);
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

int vhdx_resize(struct view *v, uint64_t size, struct err *e)
{
	struct vhdx *d = (struct vhdx *)v;
	uint64_t nblocks = div_round_up(size, d->block_size);
	unsigned char item[8];
	int r = check_size(d, size, e);

	if (r == 0)
		r = check_entries(
			d, vhdx_bat_entries(d, d->nblocks), vhdx_bat_entries(d, nblocks), e);
	if (r == 0 && size > v->size)
		r = clear_tail(d, e);
	/* The log takes only so much at a time. */
	if (r == 0)
		r = writer_write_back(v->writer, e);
	if (r < 0)
		return r;
	store_le64(item, size);
	r = meta_write(d->io, item, sizeof item, d->size_pos, ORDER_TABLES, e);
	if (r < 0)
		return r;
	d->nblocks = nblocks;
	v->size = size;
	return 0;
}
