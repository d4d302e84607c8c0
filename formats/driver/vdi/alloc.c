/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alloc.c - room for blocks, in an area that must have no gaps.
 *
 * The header says how many blocks are stored, and whoever appends one takes that for its number.  A
 * gap makes the two differ: it is closed when the image is opened for writing, for it comes from a
 * crash, and when writing ends, for it comes from a write that failed.
 *
 * A block moves by being copied: its entry changes when the copy is durable, and where it was is
 * given out again when the entry is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "io/io.h"
#include "vdi.h"
#include "io/writeback.h"
#include "view/writer.h"

#define COPY_MAX (1u << 20) /* bytes moved at a time */

struct vdi_alloc {
	uint64_t *taken;  /* a bit a block */
	uint32_t nblocks; /* that there are bits for */
	uint32_t ntaken;
	uint32_t end;       /* behind the last one that is taken */
	uint32_t first;     /* none before it is free */
	uint32_t low, high; /* blocks move that are not inside */
};

static size_t words_for(uint32_t nblocks)
{
	return div_round_up(nblocks, 64) + 1; /* for the block behind the last one, too */
}

static bool is_taken(const struct vdi_alloc *a, uint32_t block)
{
	return a->taken[block / 64] >> block % 64 & 1;
}

static void mark(struct vdi_alloc *a, uint32_t block)
{
	a->taken[block / 64] |= UINT64_C(1) << block % 64;
}

static void unmark(struct vdi_alloc *a, uint32_t block)
{
	a->taken[block / 64] &= ~(UINT64_C(1) << block % 64);
}

static void take(struct vdi_alloc *a, uint32_t block)
{
	mark(a, block);
	a->ntaken++;
	a->end = MAX(a->end, block + 1);
}

static void find_end(struct vdi_alloc *a)
{
	while (a->end > 0 && !is_taken(a, a->end - 1))
		a->end--;
}

static void give(struct vdi_alloc *a, uint32_t block)
{
	unmark(a, block);
	a->ntaken--;
	a->first = MIN(a->first, block);
	find_end(a);
}

static uint32_t find_free(struct vdi_alloc *a)
{
	while (is_taken(a, a->first))
		a->first++;
	return a->first;
}

uint32_t vdi_alloc_end(const struct vdi_alloc *a)
{
	return a->end;
}

uint32_t vdi_alloc_taken(const struct vdi_alloc *a)
{
	return a->ntaken;
}

uint32_t vdi_alloc_take(struct vdi_alloc *a, uint32_t max, uint32_t *first)
{
	uint32_t n = 0;

	*first = find_free(a);
	do
		take(a, *first + n++);
	while (n < max && !is_taken(a, *first + n));
	return n;
}

void vdi_alloc_give(struct vdi_alloc *a, uint32_t first, uint32_t n)
{
	while (n-- > 0)
		give(a, first + n);
}

int vdi_alloc_grow(struct vdi_alloc *a, uint32_t nblocks, struct err *e)
{
	size_t had = a->taken ? words_for(a->nblocks) : 0, n = words_for(nblocks);
	uint64_t *taken;

	if (n <= had)
		return 0;
	taken = realloc(a->taken, n * sizeof taken[0]);
	if (!taken)
		return err_nomem(e);
	memset(taken + had, 0, (n - had) * sizeof taken[0]);
	a->taken = taken;
	a->nblocks = nblocks;
	return 0;
}

void vdi_alloc_free(struct vdi_alloc *a)
{
	if (a)
		free(a->taken);
	free(a);
}

void vdi_alloc_shift(struct vdi_alloc *a, uint32_t n)
{
	for (uint32_t i = 0; i < a->end; i++)
		if (i + n < a->end && is_taken(a, i + n))
			mark(a, i);
		else
			unmark(a, i);
	a->end -= MIN(n, a->end);
	a->first = 0;
}

/* The map, page by page. */

int vdi_map_each(struct vdi *d, vdi_map_fn *each, void *arg, struct err *e)
{
	int r = 0;

	for (uint32_t first = 0, n; r == 0 && first < d->nblocks; first += n) {
		struct meta m;

		r = meta_pin(d->view.cache, d->io, vdi_entry_pos(d, first), &m, e);
		if (r < 0)
			break;
		n = MIN(m.n / 4, d->nblocks - first);
		r = each(arg, first, m.p, n, e);
		meta_unpin(d->view.cache, &m);
	}
	return r;
}

bool vdi_block_is_whole(const struct vdi *d, uint32_t block, uint32_t entry)
{
	uint64_t pos = vdi_block_pos(d, entry), off = block * (uint64_t)d->block_size;
	uint64_t shown = off < d->view.size ? MIN(d->block_size, d->view.size - off) : 0;

	return pos < d->io->size && range_fits(pos, d->extra + shown, d->io->size);
}

static int take_entry(struct vdi *d, uint32_t block, uint32_t entry, struct err *e)
{
	if (entry >= d->nblocks)
		return err_set(e, EUCLEAN,
			"block map: block %" PRIu32 " is number %" PRIu32
			" of the data area, which has at most %" PRIu32,
			block, entry, d->nblocks);
	if (!vdi_block_is_whole(d, block, entry))
		return err_set(e, EUCLEAN,
			"block map: block %" PRIu32 ", number %" PRIu32
			" of the data area, lies past the end of the file, %" PRIu64 ": it was cut",
			block, entry, d->io->size);
	if (is_taken(d->alloc, entry))
		return err_set(e, EUCLEAN,
			"block map: block %" PRIu32 " is number %" PRIu32
			" of the data area, and so is a block before it",
			block, entry);
	take(d->alloc, entry);
	return 0;
}

static int take_entries(
	void *arg, uint32_t first, const unsigned char *p, uint32_t n, struct err *e)
{
	struct vdi *d = arg;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++, p += 4)
		if (vdi_is_stored(load_le32(p)))
			r = take_entry(d, first + i, load_le32(p), e);
	return r;
}

int vdi_alloc_new(struct vdi *d, struct err *e)
{
	int r;

	d->alloc = calloc(1, sizeof *d->alloc);
	if (!d->alloc)
		return err_nomem(e);
	r = vdi_alloc_grow(d->alloc, d->nblocks, e);
	return r == 0 ? vdi_map_each(d, take_entries, d, e) : r;
}

/* Moving. */

static int copy_block(struct vdi *d, uint32_t from, uint32_t to, struct err *e)
{
	uint64_t left = (uint64_t)d->block_size + d->extra;
	uint64_t src = vdi_block_pos(d, from), dst = vdi_block_pos(d, to);
	void *buf = malloc(MIN(left, COPY_MAX));
	int r = buf ? 0 : err_nomem(e);

	for (uint64_t n; r == 0 && left > 0; left -= n, src += n, dst += n) {
		n = MIN(left, COPY_MAX);
		r = io_read(d->io, buf, n, src, e);
		if (r == 0)
			r = io_write(d->io, buf, n, dst, e);
	}
	free(buf);
	return r;
}

/* From now on its bytes are elsewhere: where they were nobody takes before find_free may see it. */
static int move_block(struct vdi *d, uint32_t block, uint32_t from, struct err *e)
{
	struct vdi_alloc *a = d->alloc;
	uint32_t to = find_free(a);
	unsigned char entry[4];
	int r = copy_block(d, from, to, e);

	store_le32(entry, to);
	if (r == 0)
		r = meta_write(
			d->io, entry, sizeof entry, vdi_entry_pos(d, block), ORDER_TABLES, e);
	if (r < 0)
		return r;
	mark(a, to);
	unmark(a, from);
	a->end = MAX(a->end, to + 1);
	return vdi_write_back_some(d, e);
}

static int move_entries(
	void *arg, uint32_t first, const unsigned char *p, uint32_t n, struct err *e)
{
	struct vdi *d = arg;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++, p += 4) {
		uint32_t from = load_le32(p);

		if (vdi_is_stored(from) && (from < d->alloc->low || from >= d->alloc->high))
			r = move_block(d, first + i, from, e);
	}
	return r;
}

/* What is not in [low, high) moves into what is free there, which is enough.  What was moved before
 * an error is, too: free is then what the durable map does not have. */
static int move_inside(struct vdi *d, uint32_t low, uint32_t high, struct err *e)
{
	struct vdi_alloc *a = d->alloc;
	struct err ignored = ERR_INIT;
	int r;

	a->low = a->first = low;
	a->high = high;
	r = vdi_map_each(d, move_entries, d, e);
	if (r == 0)
		r = writer_write_back(d->view.writer, e);
	else
		writer_write_back(d->view.writer, &ignored);
	a->first = 0;
	find_end(a);
	return r;
}

int vdi_alloc_close_gaps(struct vdi *d, struct err *e)
{
	struct vdi_alloc *a = d->alloc;

	return a->end == a->ntaken ? 0 : move_inside(d, 0, a->ntaken, e);
}

int vdi_alloc_clear_front(struct vdi *d, uint32_t n, struct err *e)
{
	return move_inside(d, n, UINT32_MAX, e);
}
