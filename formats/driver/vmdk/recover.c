/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* recover.c - what is left of a stream whose directory is gone, found by its markers.
 *
 * Each compressed grain says which it is, so that a walk from record to record finds them all, up
 * to where the file was cut.  Writers go up the disk and write a grain table behind the grains that
 * it maps: up to the last table that was met, or the last grain if there is none behind it, what
 * was not found was never stored.  What comes after that is lost, and is never taken for zeroes.
 */
#include "recover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/io.h"
#include "view/view.h"
#include "header.h"

struct found {
	uint32_t grain, sector;
};

struct vmdk_recovery {
	uint32_t grain;    /* bytes */
	uint64_t capacity; /* bytes */
	uint64_t ngrains;
	uint64_t known;      /* grains before this one were stored or never will be */
	struct found *found; /* by grain; of two for one grain the later record counts */
	size_t n;
};

/* A walk over the records of a stream. */
struct walk {
	struct vmdk_recovery *scan;
	struct io *io;
	uint32_t per_table;
	uint64_t sector; /* where the next record begins */
	uint64_t top;    /* behind the highest grain so far */
	bool ascending, ended;
};

static int add_found(struct walk *w, uint32_t grain, struct err *e)
{
	struct vmdk_recovery *s = w->scan;

	if (s->n == VMDK_MAX_SCAN)
		return err_set(e, EFBIG, "more than %u grains to be recovered", VMDK_MAX_SCAN);
	/* Room grows by doubling: it is full when the count is a power of two. */
	if (s->n == 0 || is_power_of_2(s->n)) {
		void *more = realloc(s->found, (s->n ? s->n * 2 : 1) * sizeof *s->found);

		if (!more)
			return err_nomem(e);
		s->found = more;
	}
	s->found[s->n++] = (struct found){grain, w->sector};
	w->ascending &= grain >= w->top;
	w->top = MAX(w->top, grain + UINT64_C(1));
	return 0;
}

static int walk_grain(struct walk *w, uint64_t lba, uint32_t len, struct err *e)
{
	struct vmdk_recovery *s = w->scan;
	uint64_t sectors = div_round_up(VMDK_RECORD_HEAD + (uint64_t)len, VMDK_SECTOR);
	uint64_t grain = lba / (s->grain / VMDK_SECTOR);
	int r;

	w->ended =
		lba % (s->grain / VMDK_SECTOR) != 0 || grain >= s->ngrains || grain > UINT32_MAX ||
		w->sector > UINT32_MAX || len > VMDK_COMPRESSED_MAX(s->grain) ||
		!range_fits(w->sector * VMDK_SECTOR, VMDK_RECORD_HEAD + (uint64_t)len, w->io->size);
	if (w->ended)
		return 0;
	r = add_found(w, grain, e);
	w->sector += sectors;
	return r;
}

static void walk_marker(struct walk *w, uint32_t type, uint64_t payload)
{
	struct vmdk_recovery *s = w->scan;

	if (type == VMDK_MARKER_TABLE && w->top > 0)
		s->known = MAX(s->known, div_round_up(w->top, w->per_table) * w->per_table);
	if (type == VMDK_MARKER_DIRECTORY || type == VMDK_MARKER_FOOTER)
		s->known = s->ngrains;
	w->ended = type == VMDK_MARKER_END || payload > w->io->size / VMDK_SECTOR;
	w->sector += 1 + payload;
}

static int walk_records(struct walk *w, struct err *e)
{
	while (!w->ended && w->sector < w->io->size / VMDK_SECTOR) {
		unsigned char raw[16];
		int r = io_read(w->io, raw, sizeof raw, w->sector * VMDK_SECTOR, e);

		if (r == 0 && load_le32(raw + 8) > 0)
			r = walk_grain(w, load_le64(raw), load_le32(raw + 8), e);
		else if (r == 0)
			walk_marker(w, load_le32(raw + 12), load_le64(raw));
		if (r < 0)
			return r;
	}
	return 0;
}

static int compare_found(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->grain != y->grain)
		return x->grain < y->grain ? -1 : 1;
	return x->sector < y->sector ? -1 : x->sector > y->sector;
}

int vmdk_recover_scan(
	struct io *io, const struct vmdk_header *h, struct vmdk_recovery **scan, struct err *e)
{
	struct vmdk_recovery *s = calloc(1, sizeof *s);
	struct walk w = {.scan = s,
		.io = io,
		.per_table = h->tables_len,
		.sector = MIN(h->overhead, io->size / VMDK_SECTOR),
		.ascending = true};
	int r;

	if (!s)
		return err_nomem(e);
	s->grain = h->grain * VMDK_SECTOR;
	s->capacity = h->capacity * VMDK_SECTOR;
	s->ngrains = div_round_up(h->capacity, h->grain);
	r = walk_records(&w, e);
	if (r == 0 && s->n == 0)
		r = err_set(e, ENODATA, "not one grain is left");
	if (r < 0) {
		vmdk_recover_free(s);
		return r;
	}
	if (w.ascending)
		s->known = MAX(s->known, w.top);
	else
		qsort(s->found, s->n, sizeof *s->found, compare_found);
	*scan = s;
	return 0;
}

void vmdk_recover_free(struct vmdk_recovery *scan)
{
	if (scan)
		free(scan->found);
	free(scan);
}

/* How many of those found are of grains up to this one. */
static size_t count_up_to(const struct vmdk_recovery *s, uint64_t grain)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->found[middle].grain <= grain)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int vmdk_recover_map(const struct vmdk_recovery *s, uint64_t off, uint64_t len, struct extent *out,
	struct err *e)
{
	uint64_t grain = off / s->grain, end;
	size_t i = count_up_to(s, grain);

	out->kind = EXTENT_BELOW;
	out->len = len;
	if (grain >= s->ngrains)
		return 0; /* the line says more than the header */
	if (i > 0 && s->found[i - 1].grain == grain) {
		out->kind = EXTENT_GENERATED;
		out->pos = s->found[i - 1].sector;
		out->unit_id = grain;
		out->len = MIN(len, s->grain - off % s->grain);
		return 0;
	}
	end = i < s->n ? s->found[i].grain : s->ngrains;
	if (grain < s->known)
		end = MIN(end, s->known);
	out->len = MIN(len, end * s->grain - off);
	if (grain < s->known)
		return 0;
	return err_set(e, EIO, "grain %" PRIu64 " is lost with the end of the stream", grain);
}
