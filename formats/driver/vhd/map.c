/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map.c - from the bytes of the disk to those of the file.
 *
 * An entry of the BAT is the sector where a block begins.  A bit of its sector bitmap is set for
 * each sector that the block holds; the others are the parent's, or zeroes.
 */
#include "map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/array.h"
#include "util/bitmap.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/meta.h"
#include "io/io.h"
#include "header.h"

/* Turns an entry into a position, which must be inside the data and clear of metadata. */
static int place_block(
	const struct vhd *d, uint64_t block, uint32_t entry, uint64_t *pos, struct err *e)
{
	uint64_t visible = MIN(d->block_size, d->view.size - block * d->block_size);
	struct metadata_regions fixed;
	const char *hit;

	*pos = entry * (uint64_t)VHD_SECTOR;
	vhd_header_fixed_regions(d, d->nblocks * VHD_BAT_ENTRY, &fixed);
	hit = metadata_regions_find(&fixed, *pos, d->bitmap_len + visible);
	if (hit)
		return err_set(e, EUCLEAN, "it is at %" PRIu64 ", where %s is", *pos, hit);
	if (!range_fits(*pos, d->bitmap_len, d->end))
		return err_set(e, EIO, "it is at %" PRIu64 ", past the end of the data, %" PRIu64,
			*pos, (uint64_t)d->end);
	return 0;
}

/* Maps skip bytes into the block at pos, as far as its sectors are alike in one page of the sector
 * bitmap.  A block that passes the end of the data has lost its rest: no program leaves one
 * unfinished. */
static int map_sectors(
	const struct vhd *d, uint64_t pos, uint64_t skip, struct extent *x, struct err *e)
{
	size_t sector = skip / VHD_SECTOR, bit = sector % 8, n;
	uint64_t data = pos + d->bitmap_len + skip;
	bool stored;
	struct meta m;
	int r = meta_pin(d->view.cache, d->io, pos + sector / 8, &m, e);

	if (r < 0)
		return r;
	n = MIN(m.n * 8, d->block_size / VHD_SECTOR - (sector - bit));
	stored = bitmap_get(m.p, bit, MSB_FIRST);
	x->len = bitmap_run(m.p, bit, n, MSB_FIRST) * VHD_SECTOR - skip % VHD_SECTOR;
	meta_unpin(d->view.cache, &m);
	if (!stored)
		return 0;
	if (data >= d->end)
		return err_set(e, EIO,
			"its data at %" PRIu64 " is past the end of the data, %" PRIu64, data,
			d->end);
	x->kind = EXTENT_FILE;
	x->io = d->io;
	x->pos = data;
	x->len = MIN(x->len, d->end - data);
	x->inplace = d->io->writable;
	return 0;
}

int vhd_map(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct vhd *d = (const struct vhd *)v;
	uint64_t block = off / d->block_size, skip = off % d->block_size, pos;
	uint64_t wanted = div_round_up(skip + len, d->block_size), n = 0;
	uint32_t entry;
	struct meta m;
	int r = meta_pin(v->cache, d->io, vhd_entry_pos(d, block), &m, e);

	if (r < 0)
		return r;
	entry = load_be32(m.p);
	wanted = MIN(wanted, m.n / VHD_BAT_ENTRY);
	while (n < wanted && load_be32(m.p + VHD_BAT_ENTRY * n) == VHD_ABSENT)
		n++;
	meta_unpin(v->cache, &m);

	x->kind = EXTENT_BELOW;
	x->pos = off;
	x->len = MAX(n, 1) * d->block_size - skip;
	if (n > 0)
		return 0;
	r = place_block(d, block, entry, &pos, e);
	if (r == 0)
		r = map_sectors(d, pos, skip, x, e);
	return r < 0 ? err_in(e, "block %" PRIu64, block) : 0;
}

int vhd_map_fixed(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	struct io *io = ((const struct vhd *)v)->io;

	x->inplace = io->writable;
	return extent_in_file(x, io, 0, off, len, 0, e);
}

int vhd_map_block(const struct vhd *d, uint64_t block, uint64_t *pos, struct err *e)
{
	unsigned char entry[VHD_BAT_ENTRY];
	int r = meta_read(d->view.cache, d->io, entry, sizeof entry, vhd_entry_pos(d, block), e);

	*pos = 0;
	if (r == 0 && load_be32(entry) != VHD_ABSENT)
		r = place_block(d, block, load_be32(entry), pos, e);
	return r < 0 ? err_in(e, "block %" PRIu64, block) : 0;
}

static int add_block(struct vhd_blocks *b, uint32_t at, struct err *e)
{
	uint32_t *more;

	if (b->n == VHD_MAX_PLACES)
		return err_set(e, EFBIG, "more than %u blocks are stored", VHD_MAX_PLACES);
	more = array_grow(b->at, b->n, sizeof more[0]);
	if (!more)
		return err_nomem(e);
	b->at = more;
	b->at[b->n++] = at;
	return 0;
}

static int compare_positions(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int vhd_map_sorted(const struct vhd *d, struct vhd_blocks *b, struct err *e)
{
	int r = 0;

	*b = (struct vhd_blocks){.at = NULL};
	for (uint64_t block = 0, n; r == 0 && block < d->nblocks; block += n) {
		struct meta m;

		r = meta_pin(d->view.cache, d->io, vhd_entry_pos(d, block), &m, e);
		if (r < 0)
			return r;
		n = MIN(m.n / VHD_BAT_ENTRY, d->nblocks - block);
		for (uint64_t i = 0; r == 0 && i < n; i++) {
			uint32_t at = load_be32(m.p + i * VHD_BAT_ENTRY);

			if (at != VHD_ABSENT)
				r = add_block(b, at, e);
		}
		meta_unpin(d->view.cache, &m);
	}
	if (b->n > 0)
		qsort(b->at, b->n, sizeof b->at[0], compare_positions);
	return r;
}
