/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alloc.c - free space of the file.
 *
 * The format has no list of it: all that no region and no entry of the BAT refers to is free.
 */
#include "alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bitmap.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "image/check.h"
#include "io/io.h"
#include "region-table.h"

#define STEP 8192u /* entries of the BAT that are read together */

/* Makes the file n MiB long, as far as allocation goes: those that are new are free. */
static int set_end(struct vhdx_alloc *a, uint64_t n, struct err *e)
{
	uint64_t capacity = round_up(MAX(n, 2 * a->capacity), 8);
	unsigned char *more;

	if (n > VHDX_MAX_FILE / VHDX_MIB)
		return err_set(e, EFBIG, "a file of more than %" PRIu64 " bytes", VHDX_MAX_FILE);
	if (n > a->capacity) {
		more = realloc(a->used, capacity / 8);
		if (!more)
			return err_nomem(e);
		memset(more + a->capacity / 8, 0, (capacity - a->capacity) / 8);
		a->used = more;
		a->capacity = capacity;
	}
	if (n > a->n) {
		a->nfree += n - a->n;
		a->n = n;
	}
	return 0;
}

static void mark(struct vhdx_alloc *a, uint64_t first, uint64_t n, bool used)
{
	bitmap_put(a->used, first, n, used, LSB_FIRST);
	a->nfree = used ? a->nfree - n : a->nfree + n;
}

/* Is the MiB first free?  *n counts those from it on that are like it. */
static bool is_free(const struct vhdx_alloc *a, uint64_t first, uint64_t *n)
{
	*n = bitmap_run(a->used, first, a->n, LSB_FIRST);
	return !bitmap_get(a->used, first, LSB_FIRST);
}

/* Marks what a structure of the file uses. */
static int claim(struct vhdx *d, uint64_t pos, uint64_t len, struct err *e)
{
	uint64_t first = pos / VHDX_MIB, n = len / VHDX_MIB, run;
	int r;

	if (n == 0)
		return 0;
	if (pos >= d->io->size)
		return err_set(e, EUCLEAN,
			"it is at 0x%" PRIx64 ", past the end of the file, 0x%" PRIx64, pos,
			(uint64_t)d->io->size);
	r = set_end(&d->alloc, first + n, e);
	if (r < 0)
		return r;
	if (!is_free(&d->alloc, first, &run) || run < n)
		return err_set(e, EUCLEAN,
			"it is at 0x%" PRIx64 ", where something else is: writing one would change "
			"the other",
			pos);
	mark(&d->alloc, first, n, true);
	return 0;
}

static int claim_region(void *arg, uint64_t pos, uint64_t len, struct err *e)
{
	if (pos % VHDX_MIB != 0 || len % VHDX_MIB != 0)
		err_set(e, EUCLEAN, "%" PRIu64 " bytes at 0x%" PRIx64 " are not whole MiB", len,
			pos);
	else if (claim(arg, pos, len, e) == 0)
		return 0;
	return err_in(e, "region table");
}

static int claim_log(struct vhdx *d, struct err *e)
{
	const struct vhdx_range *log = &d->parts[VHDX_LOG];
	int r;

	if (log->len == 0 || log->pos % VHDX_MIB != 0 || log->len % VHDX_MIB != 0)
		return err_set(e, ENOTSUP, "it has no space for a log");
	r = claim(d, log->pos, log->len, e);
	return r < 0 ? err_in(e, "log") : 0;
}

/* Claims the headers and all regions.  A device that ends inside a MiB has no space there. */
static int claim_metadata(struct vhdx *d, struct err *e)
{
	uint64_t n = d->io->is_block ? d->io->size / VHDX_MIB : div_round_up(d->io->size, VHDX_MIB);
	int r = set_end(&d->alloc, n, e);

	if (r == 0)
		r = claim(d, 0, VHDX_MIB, e);
	if (r == 0)
		r = vhdx_region_table_each(d, claim_region, d, e);
	if (r == 0 && d->size_is_shared)
		r = err_set(e, EUCLEAN, "metadata: the virtual disk size and another item overlap");
	return r;
}

/* Claims the block that entry i refers to, if any.  The file must hold what the disk has of it: the
 * first write would make the rest zeroes.  Old programs end the file where a last block passes the
 * end of the disk. */
static int claim_entry(struct vhdx *d, uint64_t i, uint64_t entry, struct err *e)
{
	bool is_bitmap = vhdx_is_bitmap_index(d, i);
	uint64_t len = is_bitmap ? VHDX_MIB : d->block_size, pos = entry & VHDX_POSITION_MASK;
	uint64_t shown = is_bitmap ? len : vhdx_visible(d, vhdx_block_of_index(d, i));
	unsigned state = entry & VHDX_STATE_MASK;

	if (state != VHDX_FULLY_PRESENT && (state != VHDX_PARTIALLY_PRESENT || is_bitmap))
		return 0;
	if (claim(d, pos, len, e) < 0)
		return err_in(e, "BAT: entry %" PRIu64, i);
	if (range_fits(pos, shown, d->io->size))
		return 0;
	return err_set(e, EUCLEAN,
		"BAT: entry %" PRIu64 ": it ends at 0x%" PRIx64
		", past the end of the file, 0x%" PRIx64,
		i, pos + shown, (uint64_t)d->io->size);
}

/* Reports the damage in e, so that checking goes on; other errors end it. */
static int report_damage(struct check_report *report, struct err *e)
{
	if (e->code != EUCLEAN)
		return -e->code;
	check_corruption(report, "ERROR %s", e->text);
	*e = (struct err)ERR_INIT;
	return check_go_on(report, e);
}

/* Reports a bad entry, unless mapping the disk fails at it: the caller reports that. */
static int check_entry(
	struct vhdx *d, uint64_t i, uint64_t entry, struct check_report *report, struct err *e)
{
	uint64_t off = vhdx_block_of_index(d, i) * d->block_size;
	struct err ignored = ERR_INIT;
	struct extent x;
	bool reported = !vhdx_is_bitmap_index(d, i) && off < d->view.size &&
			view_map(&d->view, off, 1, &x, &ignored) < 0;

	if (claim_entry(d, i, entry, e) < 0 && !reported)
		return report_damage(report, e);
	*e = (struct err)ERR_INIT;
	return check_go_on(report, e);
}

/* Claims all blocks.  Bad entries go into the report; without one they are errors. */
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
				   : claim_entry(d, i + k, entry, e);
		}
	}
	free(buf);
	return r;
}

int vhdx_alloc_scan(struct vhdx *d, struct err *e)
{
	int r = claim_metadata(d, e);

	if (r == 0)
		r = claim_log(d, e);
	return r == 0 ? claim_blocks(d, NULL, e) : r;
}

/* A file without space for a log is no damage: it can be read. */
int vhdx_alloc_check(struct vhdx *d, struct check_report *report, struct err *e)
{
	struct vhdx_alloc kept = d->alloc;
	int r = 0;

	d->alloc = (struct vhdx_alloc){.used = NULL};
	if (claim_metadata(d, e) < 0)
		r = report_damage(report, e);
	if (r == 0 && d->parts[VHDX_LOG].len > 0 && claim_log(d, e) < 0)
		r = report_damage(report, e);
	if (r == 0)
		r = claim_blocks(d, report, e);
	free(d->alloc.used);
	d->alloc = kept;
	return r;
}

static bool find_free(const struct vhdx_alloc *a, uint64_t n, uint64_t *first)
{
	if (a->nfree < n)
		return false;
	for (uint64_t i = 0, run; i < a->n; i += run) {
		*first = i;
		if (is_free(a, i, &run) && run >= n)
			return true;
	}
	return false;
}

int vhdx_alloc_take(struct vhdx *d, uint64_t len, uint64_t *pos, struct err *e)
{
	struct vhdx_alloc *a = &d->alloc;
	uint64_t first, n = len / VHDX_MIB;
	int r;

	if (find_free(a, n, &first)) {
		r = io_zero(d->io, first * VHDX_MIB, len, e);
	} else {
		first = a->n;
		r = set_end(a, first + n, e);
		if (r == 0 && io_resize(d->io, a->n * VHDX_MIB, e) < 0) {
			a->n -= n;
			a->nfree -= n;
			r = -e->code;
		}
	}
	if (r < 0)
		return r;
	mark(a, first, n, true);
	*pos = first * VHDX_MIB;
	return 0;
}

void vhdx_alloc_give(struct vhdx *d, uint64_t pos, uint64_t len)
{
	mark(&d->alloc, pos / VHDX_MIB, len / VHDX_MIB, false);
}

int vhdx_alloc_trim(struct vhdx *d, struct err *e)
{
	struct vhdx_alloc *a = &d->alloc;
	uint64_t n = a->n;
	int r;

	if (d->io->is_block)
		return 0;
	while (n > 0 && !bitmap_get(a->used, n - 1, LSB_FIRST))
		n--;
	if (n == a->n && d->io->size <= n * VHDX_MIB)
		return 0;
	r = io_resize(d->io, n * VHDX_MIB, e);
	if (r < 0)
		return r;
	a->nfree -= a->n - n;
	a->n = n;
	return 0;
}
