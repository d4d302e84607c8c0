/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk-room.c - changing the tables of a hosted sparse extent.
 *
 * Grains are appended.  Both tables of a pair say the same: other programs refuse an extent where
 * they differ, and a crash may leave it so.  Therefore all entries are looked at before the first
 * one is changed, which also tells where the file ends in truth.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounds.h"
#include "bytes.h"
#include "cache.h"
#include "err.h"
#include "io.h"
#include "vmdk-room.h"
#include "writeback.h"
#include "writer.h"

#define ENTRY   4u
#define UNCLEAN 72u  /* of the header: being written, or was when it all stopped */
#define PENDING 1024 /* pages; more are not kept back when tables are mended */

struct vmdk_room {
	uint64_t end;    /* where the next grain goes */
	uint64_t *spare; /* places of grains that were given back */
	size_t nspare, spare_room;
	bool marked; /* UNCLEAN is set */
};

static uint64_t count_tables(const struct vmdk_tables *t)
{
	return div_round_up(t->ngrains, t->per_table);
}

static uint64_t table_len(const struct vmdk_tables *t)
{
	return round_up((uint64_t)t->per_table * ENTRY, VMDK_SECTOR);
}

static bool is_table(uint64_t sector)
{
	return sector > VMDK_ZERO;
}

/* A pair of tables; VMDK_NONE: there is no twin. */
struct pair {
	uint64_t table, twin; /* sectors */
};

static int find_pair(const struct vmdk_tables *t, uint64_t i, struct pair *p, struct err *e)
{
	int r = vmdk_find_table(t, i, &p->table, e);

	if (r == 0)
		r = vmdk_find_twin(t, i, &p->twin, e);
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

/* A bit for each place of a grain, from the remainder that the first place has. */
struct scan {
	const struct vmdk_tables *t;
	uint64_t *taken; /* NULL: there are too many places */
	uint64_t end;
};

#define PLACES_MAX (UINT64_C(1) << 29) /* 64 MiB of bits */

static int scan_new(struct scan *s, const struct vmdk_tables *t, struct err *e)
{
	uint64_t places = t->io->size / t->grain + 1;

	*s = (struct scan){.t = t, .end = t->first_grain * VMDK_SECTOR};
	s->end = MAX(s->end, t->gd_pos + t->gd_len);
	s->end = MAX(s->end, t->rgd_pos ? t->rgd_pos + t->gd_len : 0);
	if (places > PLACES_MAX)
		return 0;
	s->taken = calloc(places / 64 + 1, sizeof s->taken[0]);
	return s->taken ? 0 : err_nomem(e);
}

/* Has a grain that starts where others start this place already? */
static bool take_place(struct scan *s, uint64_t pos)
{
	uint64_t i = pos / s->t->grain, bit = UINT64_C(1) << i % 64;
	bool was;

	if (!s->taken || pos % s->t->grain != s->t->first_grain * VMDK_SECTOR % s->t->grain)
		return false;
	was = s->taken[i / 64] & bit;
	s->taken[i / 64] |= bit;
	return was;
}

static int scan_entry(struct scan *s, uint64_t grain, uint32_t place, struct err *e)
{
	uint64_t pos = (uint64_t)place * VMDK_SECTOR;

	if (place <= VMDK_ZERO)
		return 0;
	if (place < s->t->first_grain || pos >= s->t->io->size)
		return err_set(e, EUCLEAN,
			"grain table: grain %" PRIu64 " cannot be in sector %" PRIu32, grain,
			place);
	if (take_place(s, pos))
		return err_set(e, EUCLEAN,
			"grain table: grain %" PRIu64 " is in sector %" PRIu32
			", and so is another one",
			grain, place);
	s->end = MAX(s->end, pos + s->t->grain);
	return 0;
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
	if (r == 0 && is_table(p->twin))
		r = meta_read(t->cache, t->io, twin, *n * ENTRY, entry_pos(t, p->twin, grain), e);
	if (r == 0 && is_table(p->twin))
		r = check_doubtful(t, grain, m.p, twin, *n, e);
	if (r == 0 && is_table(p->twin) && memcmp(twin, m.p, *n * ENTRY) != 0)
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

	if (r < 0 || !is_table(p.table))
		return r;
	if (p.table == p.twin)
		return err_set(
			e, EUCLEAN, "grain directories: both have the same table %" PRIu64, i);
	s->end = MAX(s->end, p.table * VMDK_SECTOR + table_len(t));
	if (is_table(p.twin))
		s->end = MAX(s->end, p.twin * VMDK_SECTOR + table_len(t));
	if (is_hole(t, p.table) && (!is_table(p.twin) || is_hole(t, p.twin)))
		return 0;
	for (uint64_t n; r == 0 && grain < end; grain += n) {
		n = end - grain;
		r = scan_page(s, &p, grain, &n, w, e);
	}
	return r;
}

int vmdk_room_new(struct vmdk_tables *t, struct writer *w, struct err *e)
{
	struct scan s;
	int r = scan_new(&s, t, e);

	for (uint64_t i = 0; r == 0 && i < count_tables(t); i++)
		r = scan_table(&s, i, w, e);
	free(s.taken);
	/* A last grain that was cut off gets the rest of its room. */
	if (r == 0 && t->io->size < s.end)
		r = io_resize(t->io, s.end, e);
	if (r < 0)
		return r;
	t->room = calloc(1, sizeof *t->room);
	if (!t->room)
		return err_nomem(e);
	t->room->end = round_up(s.end, t->grain);
	return 0;
}

void vmdk_room_free(struct vmdk_room *room)
{
	if (room)
		free(room->spare);
	free(room);
}

/* Room in the file. */

int vmdk_room_append(struct vmdk_tables *t, uint64_t len, uint64_t *pos, struct err *e)
{
	uint64_t end = t->room->end + len;

	if (end / VMDK_SECTOR > UINT32_MAX)
		return err_set(e, EFBIG, "%s: a sparse extent ends at 2 TiB", t->io->name);
	if (t->io->size < end && io_resize(t->io, end, e) < 0)
		return -e->code;
	*pos = t->room->end;
	t->room->end = end;
	return 0;
}

static int mark_unclean(struct vmdk_tables *t, bool unclean, enum write_order order, struct err *e)
{
	unsigned char byte = unclean;
	int r = 0;

	if (t->room->marked != unclean)
		r = meta_write(t->io, &byte, 1, UNCLEAN, order, e);
	if (r == 0)
		t->room->marked = unclean;
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
	int r = vmdk_room_append(t, round_up(len, t->grain), &pos, e);

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
	return r < 0 || is_table(p->table) ? r : add_tables(t, i, p, e);
}

/* How many entries from that of grain on, n at most, change in one step: those in one page of
 * either table. */
static uint64_t entries_at_once(
	const struct vmdk_tables *t, const struct pair *p, uint64_t grain, uint64_t n)
{
	n = MIN(n, t->per_table - grain % t->per_table);
	n = MIN(n, entries_in_page(entry_pos(t, p->table, grain)));
	return is_table(p->twin) ? MIN(n, entries_in_page(entry_pos(t, p->twin, grain))) : n;
}

static int set_entries(const struct vmdk_tables *t, const struct pair *p, uint64_t grain,
	const void *entries, uint64_t n, struct err *e)
{
	int r = 0;

	if (is_table(p->twin))
		r = meta_write(
			t->io, entries, n * ENTRY, entry_pos(t, p->twin, grain), ORDER_TABLES, e);
	if (r == 0)
		r = meta_write(
			t->io, entries, n * ENTRY, entry_pos(t, p->table, grain), ORDER_TABLES, e);
	return r;
}

/* Grains. */

/* Room to remember n grains in, should they be given back. */
static int make_spare_room(struct vmdk_room *room, uint64_t n, struct err *e)
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
	struct vmdk_room *room = t->room;
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
		r = vmdk_room_append(t, *n * t->grain, pos, e);
	*fresh = r == 0 && had <= *pos;
	return r;
}

int vmdk_room_reserve(
	struct vmdk_tables *t, uint64_t off, uint64_t len, struct grant *g, struct err *e)
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
	*g = (struct grant){
		.off = grain * t->grain,
		.len = n * t->grain,
		.io = t->io,
		.pos = pos,
		.fresh = fresh,
		.token = n,
	};
	return 0;
}

int vmdk_room_commit(struct vmdk_tables *t, uint64_t off, const struct grant *g, struct err *e)
{
	unsigned char entries[META_PAGE];
	uint64_t grain = off / t->grain;
	struct pair p;
	int r = find_pair(t, grain / t->per_table, &p, e);

	for (uint64_t i = 0; i < g->token; i++)
		store_le32(entries + i * ENTRY, (g->pos + i * t->grain) / VMDK_SECTOR);
	return r == 0 ? set_entries(t, &p, grain, entries, g->token, e) : r;
}

void vmdk_room_cancel(struct vmdk_tables *t, const struct grant *g)
{
	struct vmdk_room *room = t->room;

	if (g->pos + g->token * t->grain == room->end) {
		room->end = g->pos;
		return;
	}
	for (uint64_t i = 0; i < g->token && room->nspare < room->spare_room; i++)
		room->spare[room->nspare++] = g->pos + i * t->grain;
}

int vmdk_room_zero(struct vmdk_tables *t, uint64_t off, uint64_t len, struct err *e)
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

int vmdk_room_finish(struct vmdk_tables *t, struct err *e)
{
	uint64_t end = t->room->end;

	if (!t->room->marked)
		return 0;
	if (!t->io->is_block && t->io->size > end && io_resize(t->io, end, e) < 0)
		return -e->code;
	return mark_unclean(t, false, ORDER_HEADER, e);
}
