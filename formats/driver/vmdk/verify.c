/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify.c - reads the entries of all grain tables before the first of them is changed.
 *
 * A write into a grain whose entry is wrong would overwrite another grain, or metadata.  Other
 * programs refuse an extent whose redundant tables differ, and a crash may leave it so: a redundant
 * table is made equal to its table.
 */
#include "alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/writer.h"
#include "metadata.h"

#define NO_START   UINT64_MAX
#define PLACES_MAX (UINT64_C(1) << 29) /* 64 MiB of bits */
#define ODD_MAX    (1u << 22)          /* 16 MiB of sectors */
#define PENDING    1024                /* pages of changed tables that are kept in the cache */

/* Most grains begin at multiples of the grain from each other: these have a bit each.  The grains
 * that other programs have put in between are few, and are sorted. */
struct verify {
	const struct vmdk_tables *t;
	struct vmdk_metadata meta;
	uint64_t start;  /* position of the first grain modulo the grain, or NO_START */
	uint64_t *taken; /* a bit for each multiple of the grain, plus start */
	uint64_t nplaces;
	uint32_t *odd; /* sectors of the other grains */
	size_t nodd;
	uint64_t end;
	bool tail_used;
};

static bool is_taken(const struct verify *s, uint64_t i)
{
	return i < s->nplaces && s->taken[i / 64] >> i % 64 & 1;
}

static int two_grains(uint32_t sector, struct err *e)
{
	return err_set(e, EUCLEAN,
		"grain table: a grain is in sector %" PRIu32 ", and so is another one", sector);
}

/* An odd grain touches two multiples of the grain. */
static int check_odd(struct verify *s, struct err *e)
{
	uint64_t grain = s->t->grain;

	vmdk_metadata_sort(s->odd, s->nodd);
	for (size_t k = 0; k < s->nodd; k++) {
		uint64_t pos = (uint64_t)s->odd[k] * VMDK_SECTOR, i = pos / grain;
		uint64_t first = pos % grain > s->start ? i : i - 1;

		if (is_taken(s, first) || is_taken(s, first + 1) ||
			(k > 0 && s->odd[k] - s->odd[k - 1] < grain / VMDK_SECTOR))
			return two_grains(s->odd[k], e);
	}
	return 0;
}

static int verify_entry(struct verify *s, uint64_t grain, uint32_t sector, struct err *e)
{
	const struct vmdk_tables *t = s->t;
	uint64_t pos = (uint64_t)sector * VMDK_SECTOR, i = pos / t->grain;
	const char *hit;
	uint32_t *odd;

	if (!vmdk_tables_is_sector(sector))
		return 0;
	if (sector < t->first_grain || pos >= t->io->size)
		return err_set(e, EUCLEAN,
			"grain table: grain %" PRIu64 " cannot be in sector %" PRIu32, grain,
			sector);
	if (!vmdk_tables_grain_is_whole(t, grain, sector))
		return err_set(e, EUCLEAN,
			"grain table: grain %" PRIu64 " in sector %" PRIu32
			" passes the end of the file, %" PRIu64 " bytes: it was cut",
			grain, sector, (uint64_t)t->io->size);
	hit = vmdk_metadata_find(&s->meta, pos, t->grain);
	if (hit)
		return err_set(e, EUCLEAN,
			"grain table: grain %" PRIu64 " in sector %" PRIu32 " and %s overlap",
			grain, sector, hit);
	s->tail_used |= vmdk_metadata_is_tail(&s->meta, pos, t->grain);
	s->end = MAX(s->end, pos + t->grain);
	if (s->start == NO_START)
		s->start = pos % t->grain;
	if (pos % t->grain == s->start) {
		if (is_taken(s, i))
			return two_grains(sector, e);
		s->taken[i / 64] |= UINT64_C(1) << i % 64;
		return 0;
	}
	if (s->nodd == ODD_MAX)
		return err_set(e, ENOTSUP, "its grains lie everywhere but one grain apart");
	odd = array_grow(s->odd, s->nodd, sizeof *odd);
	if (!odd)
		return err_nomem(e);
	s->odd = odd;
	s->odd[s->nodd++] = sector;
	return 0;
}

/* An entry of 1, without the flag for it in the header, is read from the redundant table: that one
 * must not be overwritten. */
static int check_doubtful(const struct vmdk_tables *t, uint64_t grain, const unsigned char *entries,
	const unsigned char *redundant, uint64_t n, struct err *e)
{
	for (uint64_t i = 0; i < n && !t->zero_marks; i++) {
		uint32_t other = load_le32(redundant + i * VMDK_ENTRY);

		if (load_le32(entries + i * VMDK_ENTRY) == VMDK_ZERO && other != VMDK_ZERO)
			return err_set(e, EUCLEAN,
				"grain table: the entry of grain %" PRIu64
				" is 1, which has no meaning here, and the redundant one is "
				"%" PRIu32,
				grain + i, other);
	}
	return 0;
}

/* Reads the entries from that of grain on, *n at most, that lie in one page of the table. */
static int verify_page(struct verify *s, const struct vmdk_table_pair *p, uint64_t grain,
	uint64_t *n, struct err *e)
{
	const struct vmdk_tables *t = s->t;
	uint64_t pos = vmdk_tables_entry_pos(t, p->redundant, grain);
	unsigned char redundant[META_PAGE];
	struct meta m;
	int r = meta_pin(t->cache, t->io, vmdk_tables_entry_pos(t, p->table, grain), &m, e);

	if (r < 0)
		return r;
	*n = MIN(*n, m.n / VMDK_ENTRY);
	for (uint64_t i = 0; r == 0 && i < *n; i++)
		r = verify_entry(s, grain + i, load_le32(m.p + i * VMDK_ENTRY), e);
	if (r == 0 && p->redundant != VMDK_NONE) {
		r = meta_read(t->cache, t->io, redundant, *n * VMDK_ENTRY, pos, e);
		if (r == 0)
			r = check_doubtful(t, grain, m.p, redundant, *n, e);
		if (r == 0 && memcmp(redundant, m.p, *n * VMDK_ENTRY) != 0)
			r = meta_write(t->io, m.p, *n * VMDK_ENTRY, pos, ORDER_TABLES, e);
	}
	meta_unpin(t->cache, &m);
	return r;
}

static int verify_table(struct verify *s, uint64_t i, struct writer *w, struct err *e)
{
	const struct vmdk_tables *t = s->t;
	uint64_t grain = i * t->per_table, end = MIN(grain + t->per_table, t->ngrains);
	struct vmdk_table_pair p;
	int r = vmdk_tables_find_pair(t, i, &p, e);

	if (r < 0 || !vmdk_tables_is_sector(p.table))
		return r;
	if (vmdk_tables_in_hole(t, p.table, t->per_table) &&
		(p.redundant == VMDK_NONE || vmdk_tables_in_hole(t, p.redundant, t->per_table)))
		return 0;
	for (uint64_t n; r == 0 && grain < end; grain += n) {
		n = end - grain;
		r = verify_page(s, &p, grain, &n, e);
		if (r == 0 && writeback_pending(w->writeback) > PENDING)
			r = writer_write_back(w, e);
	}
	return r;
}

int vmdk_verify(const struct vmdk_tables *t, struct writer *w, uint64_t *end, bool *tail_used,
	struct err *e)
{
	struct verify s = {.t = t, .start = NO_START, .nplaces = t->io->size / t->grain + 2};
	int r;

	if (s.nplaces > PLACES_MAX)
		return err_set(e, ENOTSUP,
			"%" PRIu64 " bytes have too many places for grains of %" PRIu32 " bytes",
			(uint64_t)t->io->size, t->grain);
	r = vmdk_metadata_read(t, &s.meta, e);
	if (r == 0)
		r = vmdk_metadata_check(&s.meta, e);
	s.end = MAX(t->first_grain * VMDK_SECTOR, s.meta.end);
	for (size_t i = 0; i < s.meta.ntails; i++)
		s.tail_used |=
			vmdk_metadata_find(&s.meta, s.meta.tails[i], s.meta.tail_len) != NULL;
	s.taken = calloc(s.nplaces / 64 + 1, sizeof s.taken[0]);
	if (r == 0 && !s.taken)
		r = err_nomem(e);
	for (uint64_t i = 0; r == 0 && i < vmdk_tables_count(t); i++)
		r = verify_table(&s, i, w, e);
	if (r == 0)
		r = check_odd(&s, e);
	*end = s.end;
	*tail_used = s.tail_used;
	vmdk_metadata_free(&s.meta);
	free(s.taken);
	free(s.odd);
	return r;
}
