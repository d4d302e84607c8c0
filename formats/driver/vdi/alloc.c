/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alloc.c - free slots in a data area that must have no gaps.
 *
 * The header has the number of allocated blocks, and other programs append the next one in the slot
 * of that number: a gap before the last block in use would make them overwrite it.  A gap comes
 * from a crash or from a write that failed, so gaps are closed when an image is opened for writing
 * and when writing ends.
 *
 * A block moves by being copied: its entry changes once the copy is durable, and its old slot is
 * free once the entry is.
 */
#include "alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bitmap.h"
#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "io/writeback.h"
#include "map.h"
#include "view/writer.h"

static bool is_used(const struct vdi_alloc *a, uint32_t slot)
{
	return bitmap_get(a->used, slot, LSB_FIRST);
}

static void find_end(struct vdi_alloc *a)
{
	while (a->end > 0 && !is_used(a, a->end - 1))
		a->end--;
}

static uint32_t find_free(struct vdi_alloc *a)
{
	if (is_used(a, a->first))
		a->first += bitmap_run(a->used, a->first, a->nslots + UINT64_C(1), LSB_FIRST);
	return a->first;
}

static void set_used(struct vdi_alloc *a, uint32_t first, uint32_t n)
{
	bitmap_put(a->used, first, n, true, LSB_FIRST);
	a->nused += n;
	a->end = MAX(a->end, first + n);
}

uint32_t vdi_alloc_take(struct vdi_alloc *a, uint32_t max, uint32_t *first)
{
	uint32_t n;

	*first = find_free(a);
	n = bitmap_run(
		a->used, *first, MIN(*first + (uint64_t)max, a->nslots + UINT64_C(1)), LSB_FIRST);
	set_used(a, *first, n);
	return n;
}

void vdi_alloc_give(struct vdi_alloc *a, uint32_t first, uint32_t n)
{
	bitmap_put(a->used, first, n, false, LSB_FIRST);
	a->nused -= n;
	a->first = MIN(a->first, first);
	find_end(a);
}

int vdi_alloc_grow(struct vdi_alloc *a, uint32_t nblocks, struct err *e)
{
	size_t had = a->used ? a->nslots / 8 + 1 : 0, len = nblocks / 8 + 1;
	unsigned char *used;

	if (len > had) {
		used = realloc(a->used, len);
		if (!used)
			return err_nomem(e);
		memset(used + had, 0, len - had);
		a->used = used;
	}
	a->nslots = MAX(a->nslots, nblocks);
	return 0;
}

void vdi_alloc_shift(struct vdi_alloc *a, uint32_t n)
{
	for (uint32_t i = 0; i < a->end; i++)
		bitmap_put(a->used, i, 1, i + n < a->end && is_used(a, i + n), LSB_FIRST);
	a->end -= MIN(n, a->end);
	a->first = 0;
}

static int claim_slots(void *arg, uint32_t first, const unsigned char *p, uint32_t n, struct err *e)
{
	struct vdi *d = arg;

	for (uint32_t block = first; block < first + n; block++, p += 4) {
		uint32_t slot = load_le32(p);

		if (!vdi_is_stored(slot))
			continue;
		if (slot >= d->nblocks)
			return err_set(e, EUCLEAN,
				"block map: block %" PRIu32 " has slot %" PRIu32
				" of the data area, which has %" PRIu32,
				block, slot, d->nblocks);
		if (!vdi_map_block_is_whole(d, block, slot))
			return err_set(e, EUCLEAN,
				"block map: block %" PRIu32 ", slot %" PRIu32
				" of the data area, is past the end of the file, %" PRIu64
				": it was cut",
				block, slot, d->io->size);
		if (is_used(&d->alloc, slot))
			return err_set(e, EUCLEAN,
				"block map: block %" PRIu32 " has slot %" PRIu32
				" of the data area, and so has a block before it",
				block, slot);
		set_used(&d->alloc, slot, 1);
	}
	return 0;
}

int vdi_alloc_scan(struct vdi *d, struct err *e)
{
	int r = vdi_alloc_grow(&d->alloc, d->nblocks, e);

	return r == 0 ? vdi_map_each(d, claim_slots, d, e) : r;
}

/* Only the entry that is written back makes the old slot free, so find_free must not return it
 * before: the caller sets first and high such that it lies outside. */
static int move_block(struct vdi *d, uint32_t block, uint32_t from, struct err *e)
{
	struct vdi_alloc *a = &d->alloc;
	uint32_t to = find_free(a);
	unsigned char entry[4];
	int r = io_copy(
		d->io, vdi_slot_pos(d, to), d->io, vdi_slot_pos(d, from), vdi_slot_len(d), e);

	store_le32(entry, to);
	if (r == 0)
		r = meta_write(
			d->io, entry, sizeof entry, vdi_entry_pos(d, block), ORDER_TABLES, e);
	if (r < 0)
		return r;
	set_used(a, to, 1);
	bitmap_put(a->used, from, 1, false, LSB_FIRST);
	a->nused--;
	return writer_is_full(d->view.writer) ? writer_write_back(d->view.writer, e) : 0;
}

static int move_blocks(void *arg, uint32_t first, const unsigned char *p, uint32_t n, struct err *e)
{
	struct vdi *d = arg;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++, p += 4) {
		uint32_t from = load_le32(p);

		if (vdi_is_stored(from) && (from < d->alloc.low || from >= d->alloc.high))
			r = move_block(d, first + i, from, e);
	}
	return r;
}

/* Moves the blocks outside of [low, high) into free slots inside, of which there are enough.  After
 * an error those that have moved stay there: free is then what the durable map does not use. */
static int move_inside(struct vdi *d, uint32_t low, uint32_t high, struct err *e)
{
	struct vdi_alloc *a = &d->alloc;
	struct err ignored = ERR_INIT;
	int r;

	a->low = a->first = low;
	a->high = high;
	r = vdi_map_each(d, move_blocks, d, e);
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
	struct vdi_alloc *a = &d->alloc;

	return a->end == a->nused ? 0 : move_inside(d, 0, a->nused, e);
}

int vdi_alloc_clear_front(struct vdi *d, uint32_t n, struct err *e)
{
	return move_inside(d, n, UINT32_MAX, e);
}
