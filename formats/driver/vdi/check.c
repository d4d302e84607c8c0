/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - looks at each entry of the map of a VDI image, and at the number of stored blocks.
 *
 * Findings and their words are those of QEMU 7.2 where it has some.  Whoever appends a block takes
 * the number in the header for its place: a number that is too low costs a block that is stored,
 * one that is too high only room, and that a crash may leave.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "image/check.h"
#include "util/err.h"
#include "image/image.h"
#include "io/io.h"
#include "vdi.h"

struct walk {
	struct vdi *d;
	struct check_report *r;
	unsigned char *used; /* a bit for each block of the data area */
	uint32_t stored;     /* that are in use */
	uint32_t end;        /* behind the last of them */
};

static int walk_entry(struct walk *w, uint32_t block, uint32_t entry, struct err *e)
{
	const struct vdi *d = w->d;
	unsigned char *byte = w->used + entry / 8, bit = 1u << entry % 8;

	if (!vdi_is_stored(entry))
		return 0;
	if (check_go_on(w->r, e) < 0)
		return -e->code;
	if (entry >= d->nblocks) {
		check_corruption(w->r, "ERROR: block index %" PRIu32 " out of range, is %" PRIu32,
			block, entry);
		return 0;
	}
	if (*byte & bit)
		check_corruption(
			w->r, "ERROR: block index %" PRIu32 " also used by %" PRIu32, entry, block);
	else if (!vdi_block_is_whole(d, block, entry))
		check_corruption(w->r,
			"ERROR: block index %" PRIu32 " past the end of the file, is %" PRIu32,
			block, entry);
	w->stored += !(*byte & bit);
	w->end = MAX(w->end, entry + 1);
	*byte |= bit;
	return 0;
}

static int walk_map(struct walk *w, struct err *e)
{
	const struct vdi *d = w->d;
	int r = 0;

	for (uint32_t block = 0, n; r == 0 && block < d->nblocks; block += n) {
		struct meta m;

		if (meta_pin(d->view.cache, d->io, d->map_pos + 4 * (uint64_t)block, &m, e) < 0)
			return err_in(e, "block map");
		n = MIN(m.n / 4, d->nblocks - block);
		for (uint32_t i = 0; r == 0 && i < n; i++)
			r = walk_entry(w, block + i, load_le32(m.p + 4 * (size_t)i), e);
		meta_unpin(d->view.cache, &m);
	}
	return r;
}

static int set_count(struct walk *w, struct err *e)
{
	struct vdi *d = w->d;
	unsigned char le[4];
	int r;

	store_le32(le, w->end);
	r = io_write(d->io, le, sizeof le, VDI_COUNT, e);
	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0)
		d->count = w->end;
	return r;
}

/* Behind every block that is stored, a number that counts no more than there can be. */
static bool count_is_wrong(const struct walk *w)
{
	return w->d->count < w->end || w->d->count > w->d->nblocks;
}

static int check_count(struct walk *w, bool mend, struct err *e)
{
	int r;

	if (!count_is_wrong(w))
		return 0;
	if (!mend) {
		check_corruption(w->r,
			"ERROR: allocated blocks mismatch, is %" PRIu32 ", should be %" PRIu32,
			w->stored, w->d->count);
		return 0;
	}
	check_tell(w->r, "Repairing the number of allocated blocks: it is %" PRIu32, w->end);
	r = set_count(w, e);
	w->r->corruptions_fixed += r == 0;
	return r;
}

/* What is behind the last block that is stored: blocks that the header counts, or that the file
 * has. */
static uint32_t count_tail(const struct walk *w)
{
	const struct vdi *d = w->d;
	uint64_t pos = vdi_block_pos(d, w->end), unit = (uint64_t)d->block_size + d->extra;
	uint64_t in_file = d->io->is_block || d->io->size < pos ? 0 : (d->io->size - pos) / unit;
	uint32_t counted = count_is_wrong(w) ? 0 : d->count - w->end;

	return MAX(counted, MIN(in_file, UINT32_MAX - w->end));
}

static int cut_tail(struct walk *w, struct err *e)
{
	struct vdi *d = w->d;
	uint64_t end = vdi_block_pos(d, w->end);
	int r = d->count != w->end ? set_count(w, e) : 0;

	if (r < 0 || d->io->is_block || d->io->size <= end)
		return r;
	r = io_resize(d->io, end, e);
	return r == 0 ? io_sync(d->io, e) : r;
}

/* Gaps are closed by the next who writes: to move blocks is no repair. */
static int check_leaks(struct walk *w, bool mend, struct err *e)
{
	uint32_t gaps = w->end - w->stored, tail = count_tail(w);
	int r;

	if (gaps > 0)
		check_tell(w->r, "%" PRIu32 " blocks in the midst of the data area are not used",
			gaps);
	w->r->leaks += gaps;
	if (tail == 0)
		return 0;
	if (!mend) {
		check_tell(
			w->r, "%" PRIu32 " blocks at the end of the data area are not used", tail);
		w->r->leaks += tail;
		return 0;
	}
	check_tell(w->r, "Cutting off %" PRIu32 " blocks that are not used", tail);
	r = cut_tail(w, e);
	w->r->leaks_fixed += r == 0 ? tail : 0;
	return r;
}

/* Nothing is mended under entries that make no sense: what they stood for may be in what looks
 * unused. */
static int check_all(struct walk *w, unsigned repair, struct err *e)
{
	int r = walk_map(w, e);

	if (r < 0)
		return r;
	if (w->r->corruptions > 0)
		repair = 0;
	if (repair && w->d->version_0)
		return err_set(e, ENOTSUP, "an image of VDI version 0.2 cannot be repaired");
	r = check_count(w, repair & CHECK_ERRORS, e);
	if (r == 0)
		r = check_leaks(w, repair & CHECK_LEAKS && !count_is_wrong(w), e);
	if (repair)
		cache_forget(w->d->view.cache, w->d->io);
	return r;
}

int vdi_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	struct vdi *d = (struct vdi *)img->states[0]->view;
	struct walk w = {.d = d, .r = r, .used = calloc(1, d->nblocks / 8 + 1)};
	int rc = w.used ? check_all(&w, repair, e) : err_nomem(e);

	free(w.used);
	return rc;
}
