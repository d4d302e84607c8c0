/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map.c - from guest offsets to host positions: the BAT and the blocks of sector bitmaps.
 *
 * After every ratio entries for blocks the BAT has one for a block of sector bitmaps, in all kinds
 * of disks, though only differencing ones ever use it (section 2.5.1).
 */
#include <errno.h>
#include <inttypes.h>

#include "util/bitmap.h"
#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "io/io.h"
#include "vhdx.h"

#define BAT_ENTRY     VHDX_BAT_ENTRY
#define STATE_MASK    VHDX_STATE_MASK
#define POSITION_MASK VHDX_POSITION_MASK
#define BITMAP_LEN    VHDX_MIB

/* What an entry says, and for how many blocks in a row. */
struct run {
	enum extent_kind kind;
	bool partial; /* FILE only where the sector bitmap says so */
	uint64_t pos; /* FILE: of the first block */
	uint64_t n;
};

/* Nothing else may lie at [pos, pos+len). */
static int check_place(const struct vhdx *d, uint64_t pos, uint64_t len, struct err *e)
{
	for (int i = 0; i < VHDX_PARTS; i++) {
		const struct vhdx_range *part = &d->parts[i];

		if (part->pos < pos + len && pos < part->pos + part->len)
			return err_set(e, EUCLEAN, "it is at 0x%" PRIx64 ", where the %s is", pos,
				part->what);
	}
	return 0;
}

/* Bytes of a block that the disk shows: the last one may be longer than the disk. */
static uint64_t visible(const struct vhdx *d, uint64_t block)
{
	return MIN(d->block_size, d->view.size - block * d->block_size);
}

static int decode(
	const struct vhdx *d, uint64_t entry, uint64_t block, struct run *run, struct err *e)
{
	*run = (struct run){.kind = EXTENT_ZERO, .n = 1};
	switch (entry & STATE_MASK) {
	case VHDX_NOT_PRESENT:
		run->kind = EXTENT_BELOW;
		return 0;
	case VHDX_UNDEFINED:
	case VHDX_ZERO:
	case VHDX_UNMAPPED:
	case VHDX_UNMAPPED_DRAFT:
		return 0; /* positions in these are leftovers */
	case VHDX_PARTIALLY_PRESENT:
		run->partial = d->differencing;
		if (run->partial)
			break;
		return err_set(e, EUCLEAN, "a part of it is present, but the disk has no parent");
	case VHDX_FULLY_PRESENT:
		break;
	default:
		return err_set(
			e, EUCLEAN, "its state, %u, is not known", (unsigned)(entry & STATE_MASK));
	}
	run->kind = EXTENT_FILE;
	run->pos = entry & POSITION_MASK;
	return check_place(d, run->pos, visible(d, block), e);
}

/* Makes the run that begins with block longer, by those of the wanted blocks whose entries are in
 * the page that m shows. */
static void run_extend(const struct vhdx *d, const struct meta *m, uint64_t block, uint64_t wanted,
	struct run *run)
{
	uint64_t first = vhdx_bat_index(d, block);
	struct run next;
	struct err ignored; /* a bad entry starts a run of its own */

	while (run->n < wanted && !run->partial) {
		uint64_t b = block + run->n;
		uint64_t i = vhdx_bat_index(d, b) - first;

		if (i >= m->n / BAT_ENTRY ||
			decode(d, load_le64(m->p + i * BAT_ENTRY), b, &next, &ignored) < 0)
			return;
		if (next.kind != run->kind || next.partial)
			return;
		if (next.kind == EXTENT_FILE && next.pos != run->pos + run->n * d->block_size)
			return;
		run->n++;
	}
}

static int look(
	const struct vhdx *d, uint64_t block, uint64_t wanted, struct run *run, struct err *e)
{
	uint64_t pos = vhdx_entry_pos(d, vhdx_bat_index(d, block));
	struct meta m;
	int r = meta_pin(d->view.cache, d->io, pos, &m, e);

	if (r < 0)
		return r;
	r = decode(d, load_le64(m.p), block, run, e);
	if (r == 0)
		run_extend(d, &m, block, wanted, run);
	meta_unpin(d->view.cache, &m);
	return r;
}

/* The position of the block of bitmaps that has the bits of block. */
static int find_bitmaps(const struct vhdx *d, uint64_t block, uint64_t *pos, struct err *e)
{
	uint64_t i = vhdx_bitmap_index(d, block);
	unsigned char bytes[BAT_ENTRY];
	uint64_t entry;
	int r = meta_read(d->view.cache, d->io, bytes, sizeof bytes, vhdx_entry_pos(d, i), e);

	if (r < 0)
		return r;
	entry = load_le64(bytes);
	*pos = entry & POSITION_MASK;
	if ((entry & STATE_MASK) != VHDX_BITMAP_PRESENT)
		return err_set(e, EUCLEAN, "a part of it is present, but no sector bitmap");
	if (!range_fits(*pos, BITMAP_LEN, d->io->size))
		return err_set(e, EIO,
			"its sector bitmap at 0x%" PRIx64 " passes the end of the file, 0x%" PRIx64,
			*pos, d->io->size);
	r = check_place(d, *pos, BITMAP_LEN, e);
	return r < 0 ? err_in(e, "its sector bitmap") : 0;
}

/* Is the sector at skip bytes into block stored, and for how many bytes is it the same?  One page
 * of bitmap is looked at. */
static int look_at_bitmap(const struct vhdx *d, uint64_t block, uint64_t skip, bool *stored,
	uint64_t *len, struct err *e)
{
	uint64_t per_block = d->block_size / d->sector_size, sector = skip / d->sector_size;
	uint64_t bit = block % d->ratio * per_block + sector, pos;
	size_t first = bit % 8;
	struct meta m;
	int r = find_bitmaps(d, block, &pos, e);

	if (r == 0)
		r = meta_pin(d->view.cache, d->io, pos + bit / 8, &m, e);
	if (r < 0)
		return r;
	*stored = bitmap_get(m.p, first, LSB_FIRST);
	*len = bitmap_run(m.p, first, MIN(m.n * 8, first + per_block - sector), LSB_FIRST) *
		       (uint64_t)d->sector_size -
	       skip % d->sector_size;
	meta_unpin(d->view.cache, &m);
	return 0;
}

static int extent_of_run(const struct vhdx *d, const struct run *run, uint64_t block, uint64_t skip,
	struct extent *x, struct err *e)
{
	bool stored = run->kind == EXTENT_FILE;
	uint64_t len = x->len;
	int r = run->partial ? look_at_bitmap(d, block, skip, &stored, &len, e) : 0;

	if (r < 0)
		return r;
	x->len = len;
	x->kind = stored ? EXTENT_FILE : run->partial ? EXTENT_BELOW : run->kind;
	if (!stored)
		return 0;
	r = extent_in_file(x, d->io, run->pos, skip, len, d->block_size, e);
	x->inplace = d->io->writable && x->kind == EXTENT_FILE;
	return r;
}

int vhdx_map(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct vhdx *d = (const struct vhdx *)v;
	uint64_t block = off / d->block_size, skip = off % d->block_size;
	struct run run;
	int r;

	x->len = d->block_size - skip; /* as far as damage here would reach */
	r = look(d, block, div_round_up(skip + len, d->block_size), &run, e);
	if (r == 0) {
		x->pos = off;
		x->len = run.n * d->block_size - skip;
		r = extent_of_run(d, &run, block, skip, x, e);
	}
	return r < 0 ? err_in(e, "block %" PRIu64, block) : 0;
}
