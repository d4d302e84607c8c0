/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map.c - from the bytes of the disk to those of the file.
 *
 * The BAT has an entry for a sector bitmap block after the entries of each chunk of payload blocks,
 * in all disks, though only differencing ones use it (section 2.5.1).
 */
#include "map.h"

#include <errno.h>
#include <inttypes.h>

#include "util/bitmap.h"
#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"

/* Payload blocks in a row whose entries are alike. */
struct block_run {
	enum extent_kind kind;
	bool partial; /* FILE only where the sector bitmap has a bit */
	uint64_t pos; /* FILE: of the first block */
	uint64_t n;
};

/* Fails if a part of the file for something else overlaps [pos, pos+len). */
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

static int decode(
	const struct vhdx *d, uint64_t entry, uint64_t block, struct block_run *run, struct err *e)
{
	*run = (struct block_run){.kind = EXTENT_ZERO, .n = 1};
	switch (entry & VHDX_STATE_MASK) {
	case VHDX_NOT_PRESENT:
		run->kind = EXTENT_BELOW;
		return 0;
	case VHDX_UNDEFINED:
	case VHDX_ZERO:
	case VHDX_UNMAPPED:
	case VHDX_UNMAPPED_DRAFT:
		return 0; /* the position is a leftover */
	case VHDX_PARTIALLY_PRESENT:
		run->partial = d->differencing;
		if (run->partial)
			break;
		return err_set(e, EUCLEAN, "a part of it is present, but the disk has no parent");
	case VHDX_FULLY_PRESENT:
		break;
	default:
		return err_set(e, EUCLEAN, "its state, %u, is not known",
			(unsigned)(entry & VHDX_STATE_MASK));
	}
	run->kind = EXTENT_FILE;
	run->pos = entry & VHDX_POSITION_MASK;
	return check_place(d, run->pos, vhdx_visible(d, block), e);
}

/* Extends the run that begins with block by those of the wanted blocks whose entries are in the
 * same page, which m shows.  A bad entry ends it, and fails when it is mapped itself. */
static void extend_run(const struct vhdx *d, const struct meta *m, uint64_t block, uint64_t wanted,
	struct block_run *run)
{
	uint64_t first = vhdx_bat_index(d, block);
	struct block_run next;
	struct err ignored;

	while (run->n < wanted && !run->partial) {
		uint64_t b = block + run->n;
		uint64_t i = vhdx_bat_index(d, b) - first;

		if (i >= m->n / VHDX_BAT_ENTRY ||
			decode(d, load_le64(m->p + i * VHDX_BAT_ENTRY), b, &next, &ignored) < 0)
			return;
		if (next.kind != run->kind || next.partial)
			return;
		if (next.kind == EXTENT_FILE && next.pos != run->pos + run->n * d->block_size)
			return;
		run->n++;
	}
}

int vhdx_map_get_entry(const struct vhdx *d, uint64_t i, uint64_t *entry, struct err *e)
{
	unsigned char bytes[VHDX_BAT_ENTRY];
	int r = meta_read(d->view.cache, d->io, bytes, sizeof bytes, vhdx_entry_pos(d, i), e);

	*entry = r == 0 ? load_le64(bytes) : 0;
	return r;
}

/* Is the sector at skip bytes into block stored, and for how many bytes is it the same?  Looks at
 * one page of the sector bitmap. */
static int look_at_bitmap(const struct vhdx *d, uint64_t block, uint64_t skip, bool *stored,
	uint64_t *len, struct err *e)
{
	uint64_t per_block = d->block_size / d->sector_size, sector = skip / d->sector_size;
	uint64_t bit = block % d->ratio * per_block + sector, entry, pos;
	size_t first = bit % 8;
	struct meta m;
	int r = vhdx_map_get_entry(d, vhdx_bitmap_index(d, block), &entry, e);

	if (r < 0)
		return r;
	pos = entry & VHDX_POSITION_MASK;
	if ((entry & VHDX_STATE_MASK) != VHDX_BITMAP_PRESENT)
		return err_set(e, EUCLEAN, "a part of it is present, but no sector bitmap");
	if (!range_fits(pos, VHDX_MIB, d->io->size))
		return err_set(e, EIO,
			"its sector bitmap at 0x%" PRIx64 " passes the end of the file, 0x%" PRIx64,
			pos, d->io->size);
	if (check_place(d, pos, VHDX_MIB, e) < 0)
		return err_in(e, "its sector bitmap");
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

int vhdx_map(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct vhdx *d = (const struct vhdx *)v;
	uint64_t block = off / d->block_size, skip = off % d->block_size;
	struct block_run run;
	struct meta m;
	bool stored;
	int r;

	x->len = d->block_size - skip; /* as far as damage here would reach */
	r = meta_pin(d->view.cache, d->io, vhdx_entry_pos(d, vhdx_bat_index(d, block)), &m, e);
	if (r < 0)
		return err_in(e, "block %" PRIu64, block);
	r = decode(d, load_le64(m.p), block, &run, e);
	if (r == 0)
		extend_run(d, &m, block, div_round_up(skip + len, d->block_size), &run);
	meta_unpin(d->view.cache, &m);
	stored = run.kind == EXTENT_FILE;
	len = run.n * d->block_size - skip;
	if (r == 0 && run.partial)
		r = look_at_bitmap(d, block, skip, &stored, &len, e);
	if (r < 0)
		return err_in(e, "block %" PRIu64, block);
	x->pos = off;
	x->len = len;
	x->kind = stored ? EXTENT_FILE : run.partial ? EXTENT_BELOW : run.kind;
	if (!stored)
		return 0;
	r = extent_in_file(x, d->io, run.pos, skip, len, d->block_size, e);
	x->inplace = d->io->writable && x->kind == EXTENT_FILE;
	return r < 0 ? err_in(e, "block %" PRIu64, block) : 0;
}
