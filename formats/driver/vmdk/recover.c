/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* recover.c - finds the grains of a stream that lost its grain directory.
 *
 * Each compressed grain has its sector of the disk in its marker: going from record to record finds
 * all grains up to the place where the file was cut.  Writers go up the disk and write a grain
 * table after the grains that it maps.  Up to the last table that was found, or the last grain
 * after it, a grain that was not found was never stored.  Grains beyond that are lost, which is an
 * error: they do not read as zeroes.
 */
#include "recover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/array.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/io.h"
#include "view/view.h"
#include "header.h"

struct found_grain {
	uint32_t grain, sector;
};

struct vmdk_recovery {
	uint32_t grain; /* bytes */
	uint64_t ngrains;
	uint64_t known;            /* grains before this one were found or never stored */
	struct found_grain *found; /* by grain; of two records of a grain the later one counts */
	size_t n;
};

struct record_walk {
	struct vmdk_recovery *recovery;
	struct io *io;
	uint32_t per_table;
	uint64_t sector; /* of the next record */
	uint64_t top;    /* one more than the highest grain so far */
	bool ascending, ended;
};

static int add_grain(struct record_walk *w, uint64_t lba, uint32_t len, struct err *e)
{
	struct vmdk_recovery *s = w->recovery;
	uint64_t record = VMDK_RECORD_HEAD + (uint64_t)len;
	uint64_t grain = lba / (s->grain / VMDK_SECTOR);
	struct found_grain *found;

	w->ended = lba % (s->grain / VMDK_SECTOR) != 0 || grain >= s->ngrains ||
		   grain > UINT32_MAX || w->sector > UINT32_MAX ||
		   len > VMDK_COMPRESSED_MAX(s->grain) ||
		   !range_fits(w->sector * VMDK_SECTOR, record, w->io->size);
	if (w->ended)
		return 0;
	if (s->n == VMDK_MAX_RECOVERED)
		return err_set(e, EFBIG, "more than %u grains to be recovered", VMDK_MAX_RECOVERED);
	found = array_grow(s->found, s->n, sizeof *found);
	if (!found)
		return err_nomem(e);
	s->found = found;
	s->found[s->n++] = (struct found_grain){grain, w->sector};
	w->ascending &= grain >= w->top;
	w->top = MAX(w->top, grain + 1);
	w->sector += div_round_up(record, VMDK_SECTOR);
	return 0;
}

static void add_marker(struct record_walk *w, uint32_t type, uint64_t sectors)
{
	struct vmdk_recovery *s = w->recovery;

	if (type == VMDK_MARKER_TABLE && w->top > 0)
		s->known = MAX(s->known, div_round_up(w->top, w->per_table) * w->per_table);
	if (type == VMDK_MARKER_DIRECTORY || type == VMDK_MARKER_FOOTER)
		s->known = s->ngrains;
	w->ended = type == VMDK_MARKER_END || sectors > w->io->size / VMDK_SECTOR;
	w->sector += 1 + sectors;
}

static int walk_records(struct record_walk *w, struct err *e)
{
	while (!w->ended && w->sector < w->io->size / VMDK_SECTOR) {
		unsigned char raw[16];
		int r = io_read(w->io, raw, sizeof raw, w->sector * VMDK_SECTOR, e);

		if (r == 0 && load_le32(raw + 8) > 0)
			r = add_grain(w, load_le64(raw), load_le32(raw + 8), e);
		else if (r == 0)
			add_marker(w, load_le32(raw + 12), load_le64(raw));
		if (r < 0)
			return r;
	}
	return 0;
}

static int compare_found(const void *a, const void *b)
{
	const struct found_grain *x = a, *y = b;

	if (x->grain != y->grain)
		return x->grain < y->grain ? -1 : 1;
	return x->sector < y->sector ? -1 : x->sector > y->sector;
}

int vmdk_recover_scan(
	struct io *io, const struct vmdk_header *h, struct vmdk_recovery **recovery, struct err *e)
{
	struct vmdk_recovery *s = calloc(1, sizeof *s);
	struct record_walk w = {
		.recovery = s,
		.io = io,
		.per_table = h->tables_len,
		.sector = MIN(h->overhead, io->size / VMDK_SECTOR),
		.ascending = true,
	};
	int r;

	if (!s)
		return err_nomem(e);
	s->grain = h->grain * VMDK_SECTOR;
	s->ngrains = div_round_up(h->capacity, h->grain);
	r = walk_records(&w, e);
	if (r == 0 && s->n == 0)
		r = err_set(e, ENODATA, "no grain was found");
	if (r < 0) {
		vmdk_recover_free(s);
		return r;
	}
	if (w.ascending)
		s->known = MAX(s->known, w.top);
	else
		qsort(s->found, s->n, sizeof *s->found, compare_found);
	*recovery = s;
	return 0;
}

void vmdk_recover_free(struct vmdk_recovery *s)
{
	if (s)
		free(s->found);
	free(s);
}

/* For array_lower_bound: finds the first record of a higher grain. */
static int compare_grain(const void *key, const void *element)
{
	return *(const uint64_t *)key >= ((const struct found_grain *)element)->grain ? 1 : -1;
}

int vmdk_recover_map(const struct vmdk_recovery *s, uint64_t off, uint64_t len, struct extent *out,
	struct err *e)
{
	uint64_t grain = off / s->grain, end;
	size_t i = array_lower_bound(&grain, s->found, s->n, sizeof *s->found, compare_grain);

	out->kind = EXTENT_BELOW;
	out->len = len;
	if (grain >= s->ngrains)
		return 0; /* the extent line is longer than the extent */
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
