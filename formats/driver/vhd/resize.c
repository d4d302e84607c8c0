/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize.c - longer and shorter disks.
 *
 * The footer has the size of the disk, so it changes last.  A longer dynamic disk may need a longer
 * BAT, which seldom fits where the BAT is: it moves to the end of the file.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "footer.h"
#include "header.h"
#include "io/meta.h"
#include "io/io.h"
#include "io/writeback.h"
#include "map.h"
#include "view/writer.h"

static int check_size(uint64_t size, struct err *e)
{
	if (size % VHD_SECTOR != 0)
		return err_set(e, EINVAL, "a VHD disk is a whole number of sectors of %u bytes",
			VHD_SECTOR);
	if (size > VHD_MAX_SIZE)
		return err_set(e, EFBIG, "a VHD disk has at most 2040 GiB");
	return 0;
}

/* A fixed disk has no copy of the footer, so there must be one at the end of the file at any time:
 * until the bytes of the old footer, now part of the disk, are durable zeroes, the new one has the
 * old size. */
static int fixed_grow(struct vhd *d, const unsigned char *footer, uint64_t size, struct err *e)
{
	uint64_t from = d->view.size, end = d->end;
	int r = size > end ? vhd_footer_move(d, size, e) : 0;

	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0)
		r = io_zero(d->io, from, MIN(end + VHD_FOOTER_LEN, size) - from, e);
	if (r == 0)
		r = io_sync(d->io, e);
	if (r < 0)
		return r;
	memcpy(d->footer, footer, VHD_FOOTER_LEN);
	return vhd_footer_move(d, d->end, e);
}

/* Restores the bytes under the new footer when the rest cannot be cut off. */
static int fixed_shrink(struct vhd *d, const unsigned char *footer, uint64_t size, struct err *e)
{
	unsigned char kept[VHD_FOOTER_LEN];
	struct err ignored = ERR_INIT;
	int r = io_read(d->io, kept, sizeof kept, size, e);

	if (r < 0)
		return r;
	r = io_write(d->io, footer, VHD_FOOTER_LEN, size, e);
	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0)
		r = io_resize(d->io, size + VHD_FOOTER_LEN, e);
	if (r < 0) {
		io_write(d->io, kept, sizeof kept, size, &ignored);
		return r;
	}
	memcpy(d->footer, footer, VHD_FOOTER_LEN);
	d->end = size;
	return 0;
}

int vhd_resize_fixed(struct view *v, uint64_t size, struct err *e)
{
	struct vhd *d = (struct vhd *)v;
	unsigned char footer[VHD_FOOTER_LEN], old[VHD_FOOTER_LEN];
	int r = check_size(size, e);

	if (r < 0)
		return r;
	memcpy(old, d->footer, sizeof old);
	memcpy(footer, old, sizeof footer);
	vhd_footer_set_size(footer, size);
	r = size > v->size ? fixed_grow(d, footer, size, e) : fixed_shrink(d, footer, size, e);
	if (r < 0)
		memcpy(d->footer, old, sizeof old);
	else
		v->size = size;
	return r;
}

static int check_dynamic(const struct vhd *d, uint64_t size, struct err *e)
{
	int r = check_size(size, e);

	if (r < 0)
		return r;
	if (d->type == VHD_DIFFERENCING)
		return err_set(e, EOPNOTSUPP, "a differencing VHD disk is as long as its parent");
	if (size < d->view.size && view_stores_beyond(&d->view, size))
		return err_set(e, EOPNOTSUPP, "blocks are allocated beyond the new end");
	if (div_round_up(size, d->block_size) > VHD_MAX_PLACES)
		return err_set(e, EOPNOTSUPP, "it would have more than %u blocks", VHD_MAX_PLACES);
	if (d->header_pos % VHD_SECTOR != 0)
		return err_set(e, EOPNOTSUPP,
			"its header is at %" PRIu64 ", which is no multiple of %u", d->header_pos,
			VHD_SECTOR);
	return 0;
}

/* XenServer has a map of its own after the BAT. */
static int refuse_batmap(const struct vhd *d, struct err *e)
{
	unsigned char magic[8];
	int r = meta_read(d->view.cache, d->io, magic, sizeof magic,
		d->bat_pos + vhd_bat_len(d->nentries), e);

	if (r == 0 && memcmp(magic, "tdbatmap", sizeof magic) == 0)
		r = err_set(e, EOPNOTSUPP, "it has a map of XenServer's, which would be too short");
	return r;
}

/* Zeroes the bytes that the last block has beyond the end of the disk. */
static int zero_past_end(struct vhd *d, struct err *e)
{
	uint64_t skip = d->view.size % d->block_size, pos;
	int r = skip ? vhd_map_block(d, d->view.size / d->block_size, &pos, e) : 0;

	if (r < 0 || skip == 0 || pos == 0)
		return r;
	return io_zero(d->io, pos + d->bitmap_len + skip, d->block_size - skip, e);
}

/* Makes the BAT long enough, and the entries from that of the first new block on absent. */
static int extend_bat(struct vhd *d, uint64_t needed, struct err *e)
{
	bool moves = needed > d->nentries;
	uint64_t bat_pos = d->bat_pos, pos, end;
	unsigned char absent[VHD_SECTOR];
	int r = 0;

	if (moves) {
		bat_pos = round_up(d->end, VHD_SECTOR);
		r = refuse_batmap(d, e);
		if (r == 0)
			r = vhd_footer_move(d, bat_pos + vhd_bat_len(needed), e);
		if (r == 0)
			r = meta_copy(d->view.cache, d->io, d->bat_pos, d->nblocks * VHD_BAT_ENTRY,
				bat_pos, ORDER_TABLES_ROOT, e);
	}
	memset(absent, 0xff, sizeof absent);
	pos = bat_pos + d->nblocks * VHD_BAT_ENTRY;
	end = bat_pos + vhd_bat_len(needed);
	for (uint64_t n; r == 0 && pos < end; pos += n) {
		n = MIN(end - pos, sizeof absent);
		r = meta_write(d->io, absent, n, pos, ORDER_TABLES_ROOT, e);
	}
	if (r == 0 && moves)
		r = vhd_header_set_bat(d, bat_pos, needed, e);
	if (r < 0)
		return r;
	d->bat_pos = bat_pos;
	d->nentries = MAX(needed, d->nentries);
	return 0;
}

/* The copy first: if a crash leaves only that, the footer counts, which has the old size. */
static int put_footers(struct vhd *d, uint64_t size, struct err *e)
{
	unsigned char old[VHD_FOOTER_LEN];
	int r;

	memcpy(old, d->footer, sizeof old);
	vhd_footer_set_size(d->footer, size);
	r = io_write(d->io, d->footer, VHD_FOOTER_LEN, 0, e);
	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0)
		r = vhd_footer_move(d, d->end, e);
	if (r < 0) {
		memcpy(d->footer, old, sizeof old);
		d->footer_bad = true;
	}
	return r;
}

int vhd_resize(struct view *v, uint64_t size, struct err *e)
{
	struct vhd *d = (struct vhd *)v;
	uint64_t needed = div_round_up(size, d->block_size);
	int r = check_dynamic(d, size, e);

	if (r == 0 && size > v->size)
		r = zero_past_end(d, e);
	if (r == 0 && size > v->size)
		r = extend_bat(d, needed, e);
	if (r == 0)
		r = writer_write_back(v->writer, e);
	if (r == 0)
		r = put_footers(d, size, e);
	if (r < 0)
		return r;
	d->nblocks = needed;
	v->size = size;
	return 0;
}
