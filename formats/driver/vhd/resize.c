/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize.c - other sizes for VHD disks.
 *
 * The footer says how long the disk is; so it is what changes last.  A dynamic disk needs a BAT
 * that is long enough, and room for one is seldom where it is: it moves to the end of the file.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "io/io.h"
#include "vhd.h"
#include "io/writeback.h"
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

/* Fixed disks: there is one footer, and the file must have it at its end at any time. */

/* Where the old footer was is a part of the disk then, and must be zeroes before the size says so:
 * until that is durable, the footer at the new end has the old size. */
static int fixed_grow(struct vhd *d, const unsigned char *footer, uint64_t size, struct err *e)
{
	uint64_t from = d->view.size, end = d->end;
	int r = size > end ? vhd_extend(d, size, e) : 0;

	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0)
		r = io_zero(d->io, from, MIN(end + VHD_FOOTER_LEN, size) - from, e);
	if (r == 0)
		r = io_sync(d->io, e);
	if (r < 0)
		return r;
	memcpy(d->footer, footer, VHD_FOOTER_LEN);
	return vhd_extend(d, d->end, e);
}

/* What the footer covers is given back to the disk when the rest cannot be cut off. */
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
	vhd_set_size(footer, size);
	r = size > v->size ? fixed_grow(d, footer, size, e) : fixed_shrink(d, footer, size, e);
	if (r == 0) {
		v->size = size;
		return 0;
	}
	memcpy(d->footer, old, sizeof old);
	return r;
}

/* Dynamic disks. */

/* A BAT as it will be. */
struct bat {
	uint64_t pos, entries;
};

static int check_dynamic(const struct vhd *d, uint64_t size, struct err *e)
{
	int r = check_size(size, e);

	if (r < 0)
		return r;
	if (d->type == VHD_DIFFERENCING)
		return err_set(e, EOPNOTSUPP, "a differencing VHD disk is as long as its parent");
	if (size < d->view.size && view_stores_behind(&d->view, size))
		return err_set(e, EOPNOTSUPP, "there are blocks behind the end");
	if (div_round_up(size, d->block_size) > VHD_MAX_PLACES)
		return err_set(e, EOPNOTSUPP, "it would have more than %u blocks", VHD_MAX_PLACES);
	if (d->header_pos % VHD_SECTOR != 0)
		return err_set(e, EOPNOTSUPP,
			"its header is at %" PRIu64 ", which is no multiple of %u", d->header_pos,
			VHD_SECTOR);
	return 0;
}

/* XenServer keeps a map of its own behind the BAT. */
static int refuse_batmap(const struct vhd *d, uint64_t entries, struct err *e)
{
	unsigned char magic[8];
	int r = meta_read(d->view.cache, d->io, magic, sizeof magic,
		d->bat_pos + round_up(entries * VHD_BAT_ENTRY, VHD_SECTOR), e);

	if (r == 0 && memcmp(magic, "tdbatmap", sizeof magic) == 0)
		r = err_set(e, EOPNOTSUPP, "it has a map of XenServer's, which would be too short");
	return r;
}

/* What a block has behind the end of the disk is not always zeroes. */
static int clear_tail(struct vhd *d, struct err *e)
{
	uint64_t skip = d->view.size % d->block_size, pos;
	int r = skip ? vhd_find_block(d, d->view.size / d->block_size, &pos, e) : 0;

	if (r < 0 || skip == 0 || pos == 0)
		return r;
	return io_zero(d->io, pos + d->bitmap_len + skip, d->block_size - skip, e);
}

/* Entries from that of the first new block on say that there is none. */
static int clear_entries(struct vhd *d, const struct bat *bat, struct err *e)
{
	unsigned char absent[VHD_SECTOR];
	uint64_t pos = bat->pos + d->nblocks * VHD_BAT_ENTRY;
	uint64_t end = bat->pos + round_up(bat->entries * VHD_BAT_ENTRY, VHD_SECTOR);
	int r = 0;

	memset(absent, 0xff, sizeof absent);
	for (uint64_t n; r == 0 && pos < end; pos += n) {
		n = MIN(end - pos, sizeof absent);
		r = meta_write(d->io, absent, n, pos, ORDER_TABLES_ROOT, e);
	}
	return r;
}

static int copy_entries(struct vhd *d, const struct bat *to, struct err *e)
{
	uint64_t len = d->nblocks * VHD_BAT_ENTRY;
	unsigned char buf[VHD_SECTOR];
	int r = 0;

	for (uint64_t i = 0, n; r == 0 && i < len; i += n) {
		n = MIN(len - i, sizeof buf);
		r = meta_read(d->view.cache, d->io, buf, n, d->bat_pos + i, e);
		if (r == 0)
			r = meta_write(d->io, buf, n, to->pos + i, ORDER_TABLES_ROOT, e);
	}
	return r;
}

static int move_bat(struct vhd *d, struct bat *bat, struct err *e)
{
	int r;

	bat->pos = round_up(d->end, VHD_SECTOR);
	r = vhd_extend(d, bat->pos + round_up(bat->entries * VHD_BAT_ENTRY, VHD_SECTOR), e);
	return r < 0 ? r : copy_entries(d, bat, e);
}

/* All that changes is in the first sector of the header. */
static int put_header(struct vhd *d, const struct bat *bat, struct err *e)
{
	unsigned char h[VHD_HEADER_LEN];
	int r = meta_read(d->view.cache, d->io, h, sizeof h, d->header_pos, e);

	if (r < 0)
		return r;
	store_be64(h + 16, bat->pos);
	store_be32(h + 28, bat->entries);
	store_be32(h + VHD_HEADER_SUM, vhd_checksum(h, sizeof h, VHD_HEADER_SUM));
	return meta_write(d->io, h, VHD_SECTOR, d->header_pos, ORDER_HEADER, e);
}

static int make_entries(struct vhd *d, uint64_t needed, struct err *e)
{
	struct bat bat = {.pos = d->bat_pos, .entries = needed};
	unsigned char field[4];
	uint64_t entries;
	int r = meta_read(d->view.cache, d->io, field, sizeof field, d->header_pos + 28, e);

	entries = r == 0 ? load_be32(field) : 0;
	if (r == 0 && needed > entries)
		r = refuse_batmap(d, entries, e);
	if (r == 0 && needed > entries)
		r = move_bat(d, &bat, e);
	if (r == 0)
		r = clear_entries(d, &bat, e);
	if (r == 0 && needed > entries)
		r = put_header(d, &bat, e);
	if (r == 0) {
		d->bat_pos = bat.pos;
		d->nentries = MAX(needed, entries);
	}
	return r;
}

/* The copy first: when only that gets there, the other is the one that counts. */
static int put_footers(struct vhd *d, uint64_t size, struct err *e)
{
	unsigned char old[VHD_FOOTER_LEN];
	int r;

	memcpy(old, d->footer, sizeof old);
	vhd_set_size(d->footer, size);
	r = io_write(d->io, d->footer, VHD_FOOTER_LEN, 0, e);
	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0)
		r = vhd_extend(d, d->end, e);
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
		r = clear_tail(d, e);
	if (r == 0 && size > v->size)
		r = make_entries(d, needed, e);
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
