/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alloc.c - which room of the file is free.
 *
 * The format has no list of it: what no region and no entry of the BAT points at is free.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bitmap.h"
#include "util/limits.h"
#include "util/bytes.h"
#include "image/check.h"
#include "util/err.h"
#include "io/io.h"
#include "write.h"

#define STEP 8192u /* entries of the BAT that are looked at together */

/* The file has n MiB, of which those that are new are free. */
static int set_end(struct vhdx_writing *w, uint64_t n, struct err *e)
{
	uint64_t room = round_up(MAX(n, 2 * w->room), 8);
	unsigned char *more;

	if (n > VHDX_MAX_FILE / VHDX_MIB)
		return err_set(e, EFBIG, "a file of more than %" PRIu64 " bytes", VHDX_MAX_FILE);
	if (n > w->room) {
		more = realloc(w->used, room / 8);
		if (!more)
			return err_nomem(e);
		memset(more + w->room / 8, 0, (room - w->room) / 8);
		w->used = more;
		w->room = room;
	}
	if (n > w->n) {
		w->nfree += n - w->n;
		w->n = n;
	}
	return 0;
}

static void mark(struct vhdx_writing *w, uint64_t first, uint64_t n, bool used)
{
	bitmap_put(w->used, first, n, used, LSB_FIRST);
	w->nfree = used ? w->nfree - n : w->nfree + n;
}

/* The bits from i on that are equal to the first of them. */
static uint64_t run_at(const struct vhdx_writing *w, uint64_t i)
{
	return bitmap_run(w->used, i, w->n, LSB_FIRST);
}

/* Scanning. */

static int claim(struct vhdx *d, uint64_t pos, uint64_t len, struct err *e)
{
	struct vhdx_writing *w = d->writing;
	uint64_t first = pos / VHDX_MIB, n = len / VHDX_MIB;
	int r;

	if (n == 0)
		return 0;
	if (pos >= d->io->size)
		return err_set(e, EUCLEAN,
			"it is at 0x%" PRIx64 ", past the end of the file, 0x%" PRIx64, pos,
			(uint64_t)d->io->size);
	r = set_end(w, first + n, e);
	if (r < 0)
		return r;
	if (bitmap_get(w->used, first, LSB_FIRST) || run_at(w, first) < n)
		return err_set(e, EUCLEAN,
			"it is at 0x%" PRIx64 ", where something else is: writing one would spoil "
			"the other",
			pos);
	mark(w, first, n, true);
	return 0;
}

/* Damage is told, and it goes on. */
static int tell(struct check_report *r, struct err *e)
{
	if (e->code != EUCLEAN)
		return -e->code;
	check_corruption(r, "ERROR %s", e->text);
	*e = (struct err)ERR_INIT;
	return check_go_on(r, e);
}

static int claim_region(void *arg, uint64_t pos, uint64_t len, struct err *e)
{
	int r = 0;

	if (pos % VHDX_MIB != 0 || len % VHDX_MIB != 0)
		r = err_set(e, EUCLEAN, "%" PRIu64 " bytes at 0x%" PRIx64 " are no whole MiB", len,
			pos);
	if (r == 0)
		r = claim(arg, pos, len, e);
	return r < 0 ? err_in(e, "region table") : 0;
}

static int claim_log(struct vhdx *d, struct err *e)
{
	const struct vhdx_range *log = &d->parts[VHDX_LOG];
	int r;

	if (log->len == 0 || log->pos % VHDX_MIB != 0 || log->len % VHDX_MIB != 0)
		return err_set(e, ENOTSUP, "it has no room for a log");
	r = claim(d, log->pos, log->len, e);
	return r < 0 ? err_in(e, "log") : 0;
}

static int claim_regions(struct vhdx *d, struct err *e)
{
	int r = claim(d, 0, VHDX_MIB, e);

	if (r == 0)
		r = vhdx_regions_each(d, claim_region, d, e);
	if (r == 0 && d->size_is_shared)
		r = err_set(e, EUCLEAN, "metadata: the virtual disk size and another item overlap");
	return r;
}

static bool is_of_bitmaps(const struct vhdx *d, uint64_t i)
{
	return i % (d->ratio + UINT64_C(1)) == d->ratio;
}

/* Does entry i of the BAT say that something is in the file: a block, or sector bitmaps? */
static bool is_in_file(const struct vhdx *d, uint64_t i, uint64_t entry)
{
	unsigned state = entry & VHDX_STATE_MASK;

	return state == VHDX_FULLY_PRESENT ||
	       (state == VHDX_PARTIALLY_PRESENT && !is_of_bitmaps(d, i));
}

static int claim_entry(struct vhdx *d, uint64_t i, uint64_t entry, struct err *e)
{
	uint64_t len = is_of_bitmaps(d, i) ? VHDX_MIB : d->block_size;
	int r = 0;

	if (is_in_file(d, i, entry))
		r = claim(d, entry & VHDX_POSITION_MASK, len, e);
	return r < 0 ? err_in(e, "BAT: entry %" PRIu64, i) : 0;
}

/* Does the file hold all that the disk shows of what entry i points at?  Old programs leave out
 * what a last block has behind the end of the disk. */
static int check_end(const struct vhdx *d, uint64_t i, uint64_t entry, struct err *e)
{
	uint64_t off = (i - i / (d->ratio + UINT64_C(1))) * d->block_size;
	uint64_t pos = entry & VHDX_POSITION_MASK, shown = VHDX_MIB;

	if (!is_of_bitmaps(d, i))
		shown = off < d->view.size ? MIN(d->block_size, d->view.size - off) : 0;
	if (!is_in_file(d, i, entry) || range_fits(pos, shown, d->io->size))
		return 0;
	return err_set(e, EUCLEAN,
		"BAT: entry %" PRIu64 ": it ends at 0x%" PRIx64
		", past the end of the file, 0x%" PRIx64,
		i, pos + shown, (uint64_t)d->io->size);
}

/* Does the map of the disk refuse what entry i is of?  Then it is told elsewhere. */
static bool is_told(const struct vhdx *d, uint64_t i)
{
	uint64_t off = (i - i / (d->ratio + UINT64_C(1))) * d->block_size;
	struct err ignored = ERR_INIT;
	struct extent x;

	return !is_of_bitmaps(d, i) && off < d->view.size &&
	       view_map(&d->view, off, 1, &x, &ignored) < 0;
}

static int check_entry(
	struct vhdx *d, uint64_t i, uint64_t entry, struct check_report *report, struct err *e)
{
	bool told = is_told(d, i);
	int r = claim_entry(d, i, entry, e);

	if (r == 0)
		r = check_end(d, i, entry, e);
	if (r < 0 && !told)
		return tell(report, e);
	*e = (struct err)ERR_INIT;
	return check_go_on(report, e);
}

/* Before the first write, which would make what was cut off zeroes. */
static int trust_entry(struct vhdx *d, uint64_t i, uint64_t entry, struct err *e)
{
	int r = claim_entry(d, i, entry, e);

	return r == 0 ? check_end(d, i, entry, e) : r;
}

static int claim_blocks(struct vhdx *d, struct check_report *report, struct err *e)
{
	uint64_t all = vhdx_bat_entries(d, d->nblocks);
	unsigned char *buf = malloc(STEP * VHDX_BAT_ENTRY);
	int r = buf ? 0 : err_nomem(e);

	for (uint64_t i = 0, n; r == 0 && i < all; i += n) {
		n = MIN(all - i, STEP);
		r = io_read(d->io, buf, n * VHDX_BAT_ENTRY, vhdx_entry_pos(d, i), e);
		for (uint64_t k = 0; r == 0 && k < n; k++) {
			uint64_t entry = load_le64(buf + k * VHDX_BAT_ENTRY);

			r = report ? check_entry(d, i + k, entry, report, e)
				   : trust_entry(d, i + k, entry, e);
		}
	}
	free(buf);
	return r;
}

/* A device that ends in the midst of a MiB has no room there. */
static uint64_t file_len(const struct vhdx *d)
{
	return d->io->is_block ? d->io->size / VHDX_MIB : div_round_up(d->io->size, VHDX_MIB);
}

int vhdx_room_scan(struct vhdx *d, struct err *e)
{
	int r = set_end(d->writing, file_len(d), e);

	if (r == 0)
		r = claim_regions(d, e);
	if (r == 0)
		r = claim_log(d, e);
	if (r == 0)
		r = claim_blocks(d, NULL, e);
	return r;
}

/* Without room for a log it can be read all the same. */
int vhdx_room_check(struct vhdx *d, struct check_report *report, struct err *e)
{
	int r = set_end(d->writing, file_len(d), e);

	if (r == 0 && claim_regions(d, e) < 0)
		r = tell(report, e);
	if (r == 0 && d->parts[VHDX_LOG].len > 0 && claim_log(d, e) < 0)
		r = tell(report, e);
	return r == 0 ? claim_blocks(d, report, e) : r;
}

/* Giving out. */

static bool find_free(const struct vhdx_writing *w, uint64_t n, uint64_t *first)
{
	if (w->nfree < n)
		return false;
	for (uint64_t i = 0, run; i < w->n; i += run) {
		run = run_at(w, i);
		*first = i;
		if (run >= n && !bitmap_get(w->used, i, LSB_FIRST))
			return true;
	}
	return false;
}

/* At the end of the file, where there is nothing yet. */
static int append(struct vhdx *d, uint64_t n, uint64_t *first, struct err *e)
{
	struct vhdx_writing *w = d->writing;
	int r;

	*first = w->n;
	r = set_end(w, *first + n, e);
	if (r < 0)
		return r;
	r = io_resize(d->io, w->n * VHDX_MIB, e);
	if (r < 0) {
		w->n -= n;
		w->nfree -= n;
	}
	return r;
}

int vhdx_room_take(struct vhdx *d, uint64_t len, uint64_t *pos, struct err *e)
{
	uint64_t first, n = len / VHDX_MIB;
	int r;

	if (find_free(d->writing, n, &first))
		r = io_zero(d->io, first * VHDX_MIB, len, e);
	else
		r = append(d, n, &first, e);
	if (r < 0)
		return r;
	mark(d->writing, first, n, true);
	*pos = first * VHDX_MIB;
	return 0;
}

void vhdx_room_give(struct vhdx *d, uint64_t pos, uint64_t len)
{
	mark(d->writing, pos / VHDX_MIB, len / VHDX_MIB, false);
}

int vhdx_room_trim(struct vhdx *d, struct err *e)
{
	struct vhdx_writing *w = d->writing;
	uint64_t n = w->n;
	int r;

	if (d->io->is_block)
		return 0;
	while (n > 0 && !bitmap_get(w->used, n - 1, LSB_FIRST))
		n--;
	if (n == w->n && d->io->size <= n * VHDX_MIB)
		return 0;
	r = io_resize(d->io, n * VHDX_MIB, e);
	if (r < 0)
		return r;
	w->nfree -= w->n - n;
	w->n = n;
	return 0;
}
