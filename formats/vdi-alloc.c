/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdi-alloc.c - room for blocks, in an area that must have no gaps.
 *
 * The header says how many blocks are stored, and whoever appends one takes that for its number.  A
 * gap makes the two differ: it is closed when the image is opened for writing, for it comes from a
 * crash, and when writing ends, for it comes from a write that failed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "bytes.h"
#include "cache.h"
#include "err.h"
#include "io.h"
#include "vdi.h"
#include "writeback.h"
#include "writer.h"

#define COPY_MAX (1u << 20) /* bytes moved at a time */

struct vdi_alloc {
	uint64_t *taken;  /* a bit a block */
	uint32_t nblocks; /* that there are bits for */
	uint32_t ntaken;
	uint32_t end;   /* behind the last one that is taken */
	uint32_t first; /* none before it is free */
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

static void give(struct vdi_alloc *a, uint32_t block)
{
	unmark(a, block);
	a->ntaken--;
	a->first = MIN(a->first, block);
	while (a->end > 0 && !is_taken(a, a->end - 1))
		a->end--;
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
	uint64_t *taken = realloc(a->taken, n * sizeof taken[0]);

	if (!taken)
		return err_nomem(e);
	if (n > had)
		memset(taken + had, 0, (n - had) * sizeof taken[0]);
	a->taken = taken;
	a->nblocks = MAX(a->nblocks, nblocks);
	return 0;
}

void vdi_alloc_free(struct vdi_alloc *a)
{
	if (a)
		free(a->taken);
	free(a);
}

/* The map, page by page. */

/* The n entries from that of block first on stand at p. */
typedef int each_fn(
	struct vdi *d, uint32_t first, const unsigned char *p, uint32_t n, struct err *e);

static int each_page(struct vdi *d, each_fn *each, struct err *e)
{
	int r = 0;

	for (uint32_t first = 0, n; r == 0 && first < d->nblocks; first += n) {
		struct meta m;

		r = meta_pin(d->view.cache, d->io, d->map_pos + 4 * (uint64_t)first, &m, e);
		if (r < 0)
			break;
		n = MIN(m.n / 4, d->nblocks - first);
		r = each(d, first, m.p, n, e);
		meta_unpin(d->view.cache, &m);
	}
	return r;
}

static int take_entry(struct vdi *d, uint32_t block, uint32_t entry, struct err *e)
{
	if (entry >= d->nblocks)
		return err_set(e, EUCLEAN,
			"block map: block %" PRIu32 " is number %" PRIu32
			" of the data area, which has at most %" PRIu32,
			block, entry, d->nblocks);
	if (vdi_block_pos(d, entry) >= d->io->size)
		return err_set(e, EUCLEAN,
			"block map: block %" PRIu32 ", number %" PRIu32
			" of the data area, lies past the end of the file, %" PRIu64,
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
	struct vdi *d, uint32_t first, const unsigned char *p, uint32_t n, struct err *e)
{
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
	return r == 0 ? each_page(d, take_entries, e) : r;
}

/* Gaps. */

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

/* What lies behind as many blocks as are taken goes into the gaps before: there are as many. */
static int move_entries(
	struct vdi *d, uint32_t first, const unsigned char *p, uint32_t n, struct err *e)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++, p += 4) {
		uint32_t from = load_le32(p), to;
		unsigned char entry[4];

		if (!vdi_is_stored(from) || from < d->alloc->ntaken)
			continue;
		to = find_free(d->alloc);
		r = copy_block(d, from, to, e);
		if (r < 0)
			break;
		store_le32(entry, to);
		r = meta_write(
			d->io, entry, 4, d->map_pos + 4 * (uint64_t)(first + i), ORDER_TABLES, e);
		if (r == 0)
			mark(d->alloc, to);
	}
	return r;
}

int vdi_alloc_close_gaps(struct vdi *d, struct err *e)
{
	struct vdi_alloc *a = d->alloc;
	uint32_t end = a->end;
	int r;

	if (end == a->ntaken)
		return 0;
	/* Where blocks were is taken until the map is durable. */
	r = each_page(d, move_entries, e);
	if (r == 0)
		r = writer_write_back(d->view.writer, e);
	if (r < 0)
		return r;
	for (a->end = a->ntaken; end > a->end; end--)
		unmark(a, end - 1);
	return 0;
}
