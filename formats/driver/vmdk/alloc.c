/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alloc.c - changing the tables of a hosted sparse extent.
 *
 * Grains are appended.  Both tables of a pair say the same: other programs refuse an extent where
 * they differ, and a crash may leave it so.  Therefore all entries are looked at before the first
 * one is changed, which also tells where the file ends in truth.
 */
#include "alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/cache.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/writer.h"
#include "metadata.h"

#define ENTRY   4u
#define UNCLEAN 72u  /* of the header: being written, or was when it all stopped */
#define PENDING 1024 /* pages; more are not kept back when tables are mended */

struct vmdk_allocator {
	uint64_t end;    /* where the next grain goes */
	uint64_t *spare; /* places of grains that were given back */
	size_t nspare, spare_room;
	bool marked;    /* UNCLEAN is set */
	bool tail_used; /* see vmdk_alloc_has_tail */
};

static uint64_t table_len(const struct vmdk_tables *t)
{
	return round_up((uint64_t)t->per_table * ENTRY, VMDK_SECTOR);
}

/* A pair of tables; VMDK_NONE: there is no twin. */
struct pair {
	uint64_t table, twin; /* sectors */
};

static int find_pair(const struct vmdk_tables *t, uint64_t i, struct pair *p, struct err *e)
{
	int r = vmdk_tables_find(t, i, &p->table, e);

	if (r == 0)
		r = vmdk_tables_find_redundant(t, i, &p->twin, e);
	return r;
}

static uint64_t entry_pos(const struct vmdk_tables *t, uint64_t table, uint64_t grain)
{
	return table * VMDK_SECTOR + grain % t->per_table * ENTRY;
}

static uint64_t entries_in_page(uint64_t pos)
{
	return (META_PAGE - pos % META_PAGE) / ENTRY;
}

/* Looking at all that there is. */

/* Grains lie one grain apart from each other, but for those that other programs have put in
 * between: these are few, and are sorted. */
struct scan {
	const struct vmdk_tables *t;
	struct vmdk_metadata meta;
	uint64_t start;  /* of the first grain that was met, modulo the grain; NO_START */
	uint64_t *taken; /* a bit for each place that begins there */
	uint64_t nplaces;
	uint32_t *odd; /* sectors of the grains that do not */
	size_t nodd, odd_room;
	uint64_t end;
	bool tail_used;
};

#define NO_START   UINT64_MAX
#define PLACES_MAX (UINT64_C(1) << 29) /* 64 MiB of bits */
#define ODD_MAX    (1u << 22)          /* 16 MiB of sectors */

static int scan_new(struct scan *s, const struct vmdk_tables *t, struct err *e)
{
	int r;

	*s = (struct scan){.t = t, .start = NO_START, .nplaces = t->io->size / t->grain + 2};
	if (s->nplaces > PLACES_MAX)
		return err_set(e, ENOTSUP,
			"%" PRIu64 " bytes have too many places for grains of %" PRIu32 " bytes",
			(uint64_t)t->io->size, t->grain);
	r = vmdk_metadata_read(t, &s->meta, e);
	if (r == 0)
		r = vmdk_metadata_check(&s->meta, e);
	s->end = MAX(t->first_grain * VMDK_SECTOR, s->meta.end);
	for (size_t i = 0; i < s->meta.ntails; i++)
		s->tail_used |=
			vmdk_metadata_find(&s->meta, s->meta.tails[i], s->meta.tail_len) != NULL;
	s->taken = calloc(s->nplaces / 64 + 1, sizeof s->taken[0]);
	return r == 0 && !s->taken ? err_nomem(e) : r;
}

static void scan_free(struct scan *s)
{
	vmdk_metadata_free(&s->meta);
	free(s->taken);
	free(s->odd);
}

static bool is_taken(const struct scan *s, uint64_t i)
{
	return i < s->nplaces && s->taken[i / 64] >> i % 64 & 1;
}

static int add_odd(struct scan *s, uint32_t place, struct err *e)
{
	size_t room = s->odd_room ? 2 * s->odd_room : 64;
	uint32_t *odd;

	if (s->nodd == ODD_MAX)
		return err_set(e, ENOTSUP, "its grains lie everywhere but one grain apart");
	if (s->nodd == s->odd_room) {
		odd = reallocarray(s->odd, room, sizeof odd[0]);
		if (!odd)
			return err_nomem(e);
		s->odd = odd;
		s->odd_room = room;
	}
	s->odd[s->nodd++] = place;
	return 0;
}

static int two_grains(uint32_t place, struct err *e)
{
	return err_set(e, EUCLEAN,
		"grain table: a grain is in sector %" PRIu32 ", and so is another one", place);
}

static int take_place(struct scan *s, uint32_t place, struct err *e)
{
	uint64_t pos = (uint64_t)place * VMDK_SECTOR, i = pos / s->t->grain;

	if (s->start == NO_START)
		s->start = pos % s->t->grain;
	if (pos % s->t->grain != s->start)
		return add_odd(s, place, e);
	if (is_taken(s, i))
		return two_grains(place, e);
	s->taken[i / 64] |= UINT64_C(1) << i % 64;
	return 0;
}

static int compare_sectors(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Each of them touches two places. */
static int check_odd(struct scan *s, struct err *e)
{
	uint64_t grain = s->t->grain;

	if (s->nodd > 0)
		qsort(s->odd, s->nodd, sizeof s->odd[0], compare_sectors);
	for (size_t k = 0; k < s->nodd; k++) {
		uint64_t pos = (uint64_t)s->odd[k] * VMDK_SECTOR, i = pos / grain;
		uint64_t first = pos % grain > s->start ? i : i - 1;

		if (is_taken(s, first) || is_taken(s, first + 1) ||
			(k > 0 && s->odd[k] - s->odd[k - 1] < grain / VMDK_SECTOR))
			return two_grains(s->odd[k], e);
	}
	return 0;
}

static int scan_entry(struct scan *s, uint64_t grain, uint32_t place, struct err *e)
{
	uint64_t pos = (uint64_t)place * VMDK_SECTOR;
	const char *hit;

	if (place <= VMDK_ZERO)
		return 0;
	if (place < s->t->first_grain || pos >= s->t->io->size)
		return err_set(e, EUCLEAN,
			"grain table: grain %" PRIu64 " cannot be in sector %" PRIu32, grain,
			place);
	if (!vmdk_tables_grain_is_whole(s->t, grain, place))
		return err_set(e, EUCLEAN,
			"grain table: grain %" PRIu64 " in sector %" PRIu32
			" passes the end of the file, %" PRIu64 " bytes: it was cut",
			grain, place, (uint64_t)s->t->io->size);
	hit = vmdk_metadata_find(&s->meta, pos, s->t->grain);
	if (hit)
		return err_set(e, EUCLEAN,
			"grain table: grain %" PRIu64 " in sector %" PRIu32 " and %s overlap",
			grain, place, hit);
	s->tail_used |= vmdk_metadata_is_tail(&s->meta, pos, s->t->grain);
	s->end = MAX(s->end, pos + s->t->grain);
	return take_place(s, place, e);
}

/* An entry of 1 that the header knows nothing of is read from the twin: that must not be lost. */
static int check_doubtful(const struct vmdk_tables *t, uint64_t grain, const unsigned char *entries,
	const unsigned char *twin, uint64_t n, struct err *e)
{
	for (uint64_t i = 0; i < n && !t->zero_marks; i++) {
		uint32_t place = load_le32(entries + i * ENTRY);

		if (place == VMDK_ZERO && load_le32(twin + i * ENTRY) != place)
			return err_set(e, EUCLEAN,
				"grain table: the entry of grain %" PRIu64
				" is 1, which stands for nothing here, and the redundant one is "
				"%" PRIu32,
				grain + i, load_le32(twin + i * ENTRY));
	}
	return 0;
}

/* Up to n entries from that of grain on, in one page of the table; the twin is made like it. */
static int scan_page(struct scan *s, const struct pair *p, uint64_t grain, uint64_t *n,
	struct writer *w, struct err *e)
{
	const struct vmdk_tables *t = s->t;
	unsigned char twin[META_PAGE];
	struct meta m;
	int r = meta_pin(t->cache, t->io, entry_pos(t, p->table, grain), &m, e);

	if (r < 0)
		return r;
	*n = MIN(*n, m.n / ENTRY);
	for (uint64_t i = 0; r == 0 && i < *n; i++)
		r = scan_entry(s, grain + i, load_le32(m.p + i * ENTRY), e);
	if (r == 0 && vmdk_tables_is_sector(p->twin))
		r = meta_read(t->cache, t->io, twin, *n * ENTRY, entry_pos(t, p->twin, grain), e);
	if (r == 0 && vmdk_tables_is_sector(p->twin))
		r = check_doubtful(t, grain, m.p, twin, *n, e);
	if (r == 0 && vmdk_tables_is_sector(p->twin) && memcmp(twin, m.p, *n * ENTRY) != 0)
		r = meta_write(
			t->io, m.p, *n * ENTRY, entry_pos(t, p->twin, grain), ORDER_TABLES, e);
	meta_unpin(t->cache, &m);
	return r == 0 && writeback_pending(w->writeback) > PENDING ? writer_write_back(w, e) : r;
}

/* A table and its twin that both lie in a hole of the host file: some writers make the tables of a
 * huge disk as one. */
static bool is_hole(const struct vmdk_tables *t, uint64_t table)
{
	uint64_t pos = table * VMDK_SECTOR;

	return t->io->sparse && io_seek(t->io, pos, SEEK_DATA) >= pos + table_len(t);
}

static int scan_table(struct scan *s, uint64_t i, struct writer *w, struct err *e)
{
	const struct vmdk_tables *t = s->t;
	uint64_t grain = i * t->per_table, end = MIN(grain + t->per_table, t->ngrains);
	struct pair p;
	int r = find_pair(t, i, &p, e);

	if (r < 0 || !vmdk_tables_is_sector(p.table))
		return r;
	if (is_hole(t, p.table) && (!vmdk_tables_is_sector(p.twin) || is_hole(t, p.twin)))
		return 0;
	for (uint64_t n; r == 0 && grain < end; grain += n) {
		n = end - grain;
		r = scan_page(s, &p, grain, &n, w, e);
	}
	return r;
}

static int scan_all(struct scan *s, struct writer *w, struct err *e)
{
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < vmdk_tables_count(s->t); i++)
		r = scan_table(s, i, w, e);
	return r == 0 ? check_odd(s, e) : r;
}

int vmdk_alloc_new(struct vmdk_tables *t, struct writer *w, struct err *e)
{
	struct scan s;
	int r = scan_new(&s, t, e);

	if (r == 0)
		r = scan_all(&s, w, e);
	scan_free(&s);
	/* What a last grain has behind the end of the disk may not be there. */
	if (r == 0 && t->io->size < s.end)
		r = io_resize(t->io, s.end, e);
	if (r < 0)
		return r;
	t->alloc = calloc(1, sizeof *t->alloc);
	if (!t->alloc)
		return err_nomem(e);
	t->alloc->end = round_up(s.end, t->grain);
	t->alloc->tail_used = s.tail_used;
	return 0;
}

bool vmdk_alloc_has_tail(const struct vmdk_tables *t)
{
	return !t->alloc->tail_used;
}

void vmdk_alloc_free(struct vmdk_allocator *room)
{
	if (room)
		free(room->spare);
	free(room);
}

/* Room in the file. */

int vmdk_alloc_append(struct vmdk_tables *t, uint64_t len, uint64_t *pos, struct err *e)
{
	uint64_t end = t->alloc->end + len;

	if (end / VMDK_SECTOR > UINT32_MAX)
		return err_set(e, EFBIG, "%s: a sparse extent ends at 2 TiB", t->io->name);
	if (t->io->size < end && io_resize(t->io, end, e) < 0)
		return -e->code;
	*pos = t->alloc->end;
	t->alloc->end = end;
	return 0;
}

static int mark_unclean(struct vmdk_tables *t, bool unclean, enum write_order order, struct err *e)
{
	unsigned char byte = unclean;
	int r = 0;

	if (t->alloc->marked != unclean)
		r = meta_write(t->io, &byte, 1, UNCLEAN, order, e);
	if (r == 0)
		t->alloc->marked = unclean;
	return r;
}

/* Tables. */

static int fill_table(const struct vmdk_tables *t, uint64_t table, uint32_t entry, struct err *e)
{
	unsigned char bytes[VMDK_MAX_GTES_PER_GT * ENTRY];

	for (uint32_t i = 0; i < t->per_table; i++)
		store_le32(bytes + i * ENTRY, entry);
	return meta_write(t->io, bytes, t->per_table * ENTRY, table * VMDK_SECTOR, ORDER_TABLES, e);
}

static int set_directory(
	const struct vmdk_tables *t, uint64_t gd_pos, uint64_t i, uint32_t table, struct err *e)
{
	unsigned char entry[ENTRY];

	store_le32(entry, table);
	return meta_write(t->io, entry, ENTRY, gd_pos + i * ENTRY, ORDER_TABLES_ROOT, e);
}

/* Table i, of which the directory says so far what all of its grains are: two tables, if there are
 * two directories. */
static int add_tables(struct vmdk_tables *t, uint64_t i, struct pair *p, struct err *e)
{
	uint64_t len = table_len(t) * (t->rgd_pos ? 2 : 1), pos;
	uint32_t all = p->table;
	int r = vmdk_alloc_append(t, round_up(len, t->grain), &pos, e);

	if (r < 0)
		return r;
	p->table = pos / VMDK_SECTOR;
	r = fill_table(t, p->table, all, e);
	if (r < 0 || !t->rgd_pos)
		return r < 0 ? r : set_directory(t, t->gd_pos, i, p->table, e);
	p->twin = p->table + table_len(t) / VMDK_SECTOR;
	r = fill_table(t, p->twin, all, e);
	if (r == 0)
		r = set_directory(t, t->rgd_pos, i, p->twin, e);
	return r < 0 ? r : set_directory(t, t->gd_pos, i, p->table, e);
}

static int need_pair(struct vmdk_tables *t, uint64_t grain, struct pair *p, struct err *e)
{
	uint64_t i = grain / t->per_table;
	int r = mark_unclean(t, true, ORDER_COUNTS, e);

	if (r == 0)
		r = find_pair(t, i, p, e);
	return r < 0 || vmdk_tables_is_sector(p->table) ? r : add_tables(t, i, p, e);
}

/* How many entries from that of grain on, n at most, change in one step: those in one page of
 * either table. */
static uint64_t entries_at_once(
	const struct vmdk_tables *t, const struct pair *p, uint64_t grain, uint64_t n)
{
	n = MIN(n, t->per_table - grain % t->per_table);
	n = MIN(n, entries_in_page(entry_pos(t, p->table, grain)));
	return vmdk_tables_is_sector(p->twin)
		       ? MIN(n, entries_in_page(entry_pos(t, p->twin, grain)))
		       : n;
}

static int set_entries(const struct vmdk_tables *t, const struct pair *p, uint64_t grain,
	const void *entries, uint64_t n, struct err *e)
{
	int r = 0;

	if (vmdk_tables_is_sector(p->twin))
		r = meta_write(
			t->io, entries, n * ENTRY, entry_pos(t, p->twin, grain), ORDER_TABLES, e);
	if (r == 0)
		r = meta_write(
			t->io, entries, n * ENTRY, entry_pos(t, p->table, grain), ORDER_TABLES, e);
	return r;
}

/* Grains. */

/* Room to remember n grains in, should they be given back. */
static int make_spare_room(struct vmdk_allocator *room, uint64_t n, struct err *e)
{
	size_t want = room->nspare + n;
	uint64_t *spare = room->spare;

	if (want <= room->spare_room)
		return 0;
	spare = reallocarray(spare, 2 * want, sizeof spare[0]);
	if (!spare)
		return err_nomem(e);
	room->spare = spare;
	room->spare_room = 2 * want;
	return 0;
}

static int take_grains(
	struct vmdk_tables *t, uint64_t *n, uint64_t *pos, bool *fresh, struct err *e)
{
	struct vmdk_allocator *room = t->alloc;
	uint64_t had = t->io->size;
	int r;

	if (room->nspare > 0) {
		*pos = room->spare[--room->nspare];
		*n = 1;
		*fresh = false;
		return 0;
	}
	r = make_spare_room(room, *n, e);
	if (r == 0)
		r = vmdk_alloc_append(t, *n * t->grain, pos, e);
	*fresh = r == 0 && had <= *pos;
	return r;
}

int vmdk_alloc_reserve(
	struct vmdk_tables *t, uint64_t off, uint64_t len, struct reservation *res, struct err *e)
{
	uint64_t grain = off / t->grain, n = div_round_up(off % t->grain + len, t->grain), pos;
	struct pair p;
	bool fresh;
	int r = need_pair(t, grain, &p, e);

	if (r < 0)
		return r;
	n = entries_at_once(t, &p, grain, n);
	r = take_grains(t, &n, &pos, &fresh, e);
	if (r < 0)
		return r;
	*res = (struct reservation){
		.off = grain * t->grain,
		.len = n * t->grain,
		.io = t->io,
		.pos = pos,
		.reads_zero = fresh,
		.token = n,
	};
	return 0;
}

int vmdk_alloc_commit(
	struct vmdk_tables *t, uint64_t off, const struct reservation *res, struct err *e)
{
	unsigned char entries[META_PAGE];
	uint64_t grain = off / t->grain;
	struct pair p;
	int r = find_pair(t, grain / t->per_table, &p, e);

	for (uint64_t i = 0; i < res->token; i++)
		store_le32(entries + i * ENTRY, (res->pos + i * t->grain) / VMDK_SECTOR);
	return r == 0 ? set_entries(t, &p, grain, entries, res->token, e) : r;
}

void vmdk_alloc_cancel(struct vmdk_tables *t, const struct reservation *res)
{
	struct vmdk_allocator *room = t->alloc;

	if (res->pos + res->token * t->grain == room->end) {
		room->end = res->pos;
		return;
	}
	for (uint64_t i = 0; i < res->token && room->nspare < room->spare_room; i++)
		room->spare[room->nspare++] = res->pos + i * t->grain;
}

int vmdk_alloc_zero(struct vmdk_tables *t, uint64_t off, uint64_t len, struct err *e)
{
	uint64_t grain = off / t->grain, end = div_round_up(off + len, t->grain);
	unsigned char entries[META_PAGE];
	int r = 0;

	for (size_t i = 0; i < sizeof entries; i += ENTRY)
		store_le32(entries + i, VMDK_ZERO);
	for (uint64_t n; r == 0 && grain < end; grain += n) {
		struct pair p;

		r = need_pair(t, grain, &p, e);
		if (r < 0)
			break;
		n = entries_at_once(t, &p, grain, end - grain);
		r = set_entries(t, &p, grain, entries, n, e);
	}
	return r;
}

int vmdk_alloc_finish(struct vmdk_tables *t, struct err *e)
{
	uint64_t end = t->alloc->end;

	if (!t->alloc->marked)
		return 0;
	if (!t->io->is_block && t->io->size > end && io_resize(t->io, end, e) < 0)
		return -e->code;
	return mark_unclean(t, false, ORDER_HEADER, e);
}
