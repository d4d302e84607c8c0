/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tables.c - maps an offset in a sparse extent to the run of grains that begins there.
 *
 * Entries are decoded to sectors first: one search serves tables of 32-bit sectors and of 64-bit
 * indices.  A run goes on over pages and tables as long as grains lie one after another: grains may
 * be a sector each, and a read of a megabyte must not take two thousand searches.
 */
#include "tables.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/meta.h"
#include "io/io.h"
#include "disk.h"

uint64_t vmdk_tables_decode_sector(const struct vmdk_tables *t, const unsigned char *entry)
{
	(void)t;
	return load_le32(entry);
}

uint64_t vmdk_tables_count(const struct vmdk_tables *t)
{
	return div_round_up(t->ngrains, t->per_table);
}

int vmdk_tables_measure(struct vmdk_tables *t, struct err *e)
{
	t->ngrains = div_round_up(t->capacity, t->grain);
	if (vmdk_tables_count(t) > VMDK_MAX_GD_BYTES / t->entry_len)
		return err_set(e, EFBIG,
			"grain directory of %" PRIu64 " entries, at most %" PRIu32 " are possible",
			vmdk_tables_count(t), VMDK_MAX_GD_BYTES / t->entry_len);
	t->gd_len = vmdk_tables_count(t) * t->entry_len;
	return 0;
}

bool vmdk_tables_valid_directory(const struct vmdk_tables *t, uint64_t sector)
{
	return sector > 0 && sector <= t->io->size / VMDK_SECTOR &&
	       range_fits(sector * VMDK_SECTOR, t->gd_len, t->io->size);
}

int vmdk_tables_place(struct vmdk_tables *t, uint64_t sector, struct err *e)
{
	if (!vmdk_tables_valid_directory(t, sector))
		return err_set(e, EUCLEAN,
			"grain directory of %" PRIu64 " bytes in sector %" PRIu64
			" is not inside the file, %" PRIu64 " bytes",
			t->gd_len, sector, t->io->size);
	t->gd_pos = sector * VMDK_SECTOR;
	return 0;
}

static bool overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

/* The last table needs no more entries than the disk has grains. */
bool vmdk_tables_valid_table(const struct vmdk_tables *t, uint64_t i, uint64_t sector)
{
	uint64_t len = MIN(t->per_table, t->ngrains - i * t->per_table) * t->entry_len;
	uint64_t pos = sector * VMDK_SECTOR;

	return vmdk_tables_is_sector(sector) && sector <= t->io->size / VMDK_SECTOR &&
	       range_fits(pos, len, t->io->size) && !overlaps(pos, len, t->gd_pos, t->gd_len) &&
	       !(t->rgd_pos && overlaps(pos, len, t->rgd_pos, t->gd_len));
}

bool vmdk_tables_valid_grain(const struct vmdk_tables *t, uint64_t place)
{
	if (place == VMDK_ZERO)
		return t->zero_grains;
	return place == VMDK_NONE ||
	       (place >= t->first_grain && place < div_round_up(t->io->size, VMDK_SECTOR));
}

bool vmdk_tables_grain_is_whole(const struct vmdk_tables *t, uint64_t grain, uint64_t sector)
{
	uint64_t shown = MIN(t->grain, t->capacity - grain * t->grain);

	return sector <= t->io->size / VMDK_SECTOR &&
	       range_fits(sector * VMDK_SECTOR, shown, t->io->size);
}

bool vmdk_tables_in_hole(const struct vmdk_tables *t, uint64_t table, uint64_t n)
{
	uint64_t pos = table * VMDK_SECTOR;

	return t->io->sparse && io_seek(t->io, pos, SEEK_DATA) - pos >= n * t->entry_len;
}

#define ENTRY_MAX 8u

static int read_entry(
	const struct vmdk_tables *t, uint64_t pos, uint64_t i, unsigned char *raw, struct err *e)
{
	return meta_read(t->cache, t->io, raw, t->entry_len, pos + i * t->entry_len, e);
}

int vmdk_tables_read_place(
	const struct vmdk_tables *t, uint64_t directory, uint64_t i, uint64_t *place, struct err *e)
{
	unsigned char raw[ENTRY_MAX];
	int r = read_entry(t, directory, i, raw, e);

	*place = r == 0 ? t->table_at(t, raw) : VMDK_NONE;
	return r;
}

static int find_redundant(const struct vmdk_tables *t, uint64_t i, uint64_t *sector, struct err *e)
{
	int r;

	*sector = VMDK_NONE;
	if (!t->rgd_pos)
		return 0;
	r = vmdk_tables_read_place(t, t->rgd_pos, i, sector, e);
	if (!vmdk_tables_valid_table(t, i, *sector))
		*sector = VMDK_NONE;
	return r;
}

static int __attribute__((cold))
bad_table(const struct vmdk_tables *t, uint64_t i, const unsigned char *raw, struct err *e)
{
	if (t->entry_len == 8)
		return err_set(e, EUCLEAN,
			"grain directory: entry %" PRIu64 ", 0x%016" PRIx64
			", cannot be a grain table",
			i, load_le64(raw));
	return err_set(e, EUCLEAN,
		"grain directory: entry %" PRIu64 ", sector %" PRIu32 ", cannot be a grain table",
		i, load_le32(raw));
}

static int find_table(const struct vmdk_tables *t, uint64_t i, uint64_t *sector, struct err *e)
{
	unsigned char raw[ENTRY_MAX];
	uint64_t place;
	int r = read_entry(t, t->gd_pos, i, raw, e);

	if (r < 0)
		return r;
	*sector = place = t->table_at(t, raw);
	if ((place == VMDK_ZERO && t->zero_marks) || vmdk_tables_valid_table(t, i, place))
		return 0;
	/* Writers fill in both directories at once: an entry that only this one lacks was lost. */
	r = find_redundant(t, i, sector, e);
	if (r < 0 || *sector != VMDK_NONE || place == VMDK_NONE)
		return r;
	return bad_table(t, i, raw, e);
}

int vmdk_tables_find_pair(
	const struct vmdk_tables *t, uint64_t i, struct vmdk_table_pair *p, struct err *e)
{
	int r = find_table(t, i, &p->table, e);

	return r < 0 ? r : find_redundant(t, i, &p->redundant, e);
}

int vmdk_tables_check(const struct vmdk_tables *t, uint64_t *lost, struct err *e)
{
	uint64_t tables = t->rgd_pos ? vmdk_tables_count(t) : 0, here;

	*lost = 0;
	for (uint64_t i = 0; i < tables; i += here) {
		unsigned char redundant[META_PAGE];
		uint64_t at = i * t->entry_len;
		struct meta m;
		int r = meta_pin(t->cache, t->io, t->gd_pos + at, &m, e);

		if (r < 0)
			return r;
		here = MIN(m.n / t->entry_len, tables - i);
		r = meta_read(t->cache, t->io, redundant, here * t->entry_len, t->rgd_pos + at, e);
		for (uint64_t k = 0; r == 0 && k < here; k++) {
			uint64_t place = t->table_at(t, m.p + k * t->entry_len);
			uint64_t other = t->table_at(t, redundant + k * t->entry_len);

			*lost += !vmdk_tables_valid_table(t, i + k, place) &&
				 !(place == VMDK_ZERO && t->zero_marks) &&
				 vmdk_tables_valid_table(t, i + k, other);
		}
		meta_unpin(t->cache, &m);
		if (r < 0)
			return r;
	}
	return 0;
}

static int __attribute__((cold)) bad_grain(const struct vmdk_tables *t, uint64_t grain,
	uint64_t place, const unsigned char *raw, struct err *e)
{
	if (place == VMDK_BAD)
		return err_set(e, EUCLEAN,
			"grain table: the entry of grain %" PRIu64 " is 0x%016" PRIx64
			", which has no meaning",
			grain, load_le64(raw));
	if (place < t->first_grain)
		return err_set(e, EUCLEAN,
			"grain table: grain %" PRIu64 " in sector %" PRIu64
			", but grains begin with sector %" PRIu64,
			grain, place, t->first_grain);
	return err_set(e, EIO,
		"grain %" PRIu64 " in sector %" PRIu64 " lies past the end of the file, %" PRIu64
		" bytes",
		grain, place, t->io->size);
}

/* Without the flag in the header an entry of 1 is a sector that no grain can have, but some writers
 * mean zeroes by it.  They write it to both tables: one that differs from the redundant table is
 * damaged. */
static bool is_doubtful(const struct vmdk_tables *t, uint64_t place)
{
	return place == VMDK_ZERO && !t->zero_marks && t->rgd_pos;
}

/* Replaces an entry, raw, that is impossible or doubtful by that of the redundant table. */
static int __attribute__((cold)) read_redundant(const struct vmdk_tables *t, uint64_t grain,
	const unsigned char *raw, uint64_t *place, struct err *e)
{
	unsigned char other[ENTRY_MAX];
	uint64_t table;
	int r = find_redundant(t, grain / t->per_table, &table, e);

	if (r < 0)
		return r;
	if (table != VMDK_NONE) {
		r = read_entry(t, table * VMDK_SECTOR, grain % t->per_table, other, e);
		if (r < 0)
			return r;
		*place = t->grain_at(t, other);
		if (vmdk_tables_valid_grain(t, *place))
			return 0;
	}
	*place = t->grain_at(t, raw);
	return vmdk_tables_valid_grain(t, *place) ? 0 : bad_grain(t, grain, *place, raw, e);
}

/* A run of grains that lie one after another, or none of which is stored.  The last hole of the
 * host file that was found is kept for the tables that follow. */
struct grain_run {
	uint64_t place; /* of the first */
	uint64_t n;
	bool ended;
	uint64_t hole_pos, hole_end;
};

static bool run_continues(const struct vmdk_tables *t, const struct grain_run *run, uint64_t place)
{
	if (!vmdk_tables_is_sector(run->place))
		return place == run->place && !is_doubtful(t, place);
	return !t->compressed && place == run->place + run->n * (t->grain / VMDK_SECTOR);
}

static int run_start(const struct vmdk_tables *t, struct grain_run *run, uint64_t grain,
	const unsigned char *p, struct err *e)
{
	int r = 0;

	run->place = t->grain_at(t, p);
	if (!vmdk_tables_valid_grain(t, run->place) || is_doubtful(t, run->place))
		r = read_redundant(t, grain, p, &run->place, e);
	run->n = r == 0;
	return r;
}

/* These bytes of a table lie in a hole, as in vmdk_tables_in_hole. */
static bool in_hole(struct io *io, struct grain_run *run, uint64_t pos, uint64_t len)
{
	if (pos < run->hole_pos || pos >= run->hole_end) {
		if (!io->sparse)
			return false;
		run->hole_pos = pos;
		run->hole_end = io_seek(io, pos, SEEK_DATA);
	}
	return range_fits(pos - run->hole_pos, len, run->hole_end - run->hole_pos);
}

/* Extends the run by grains from this one on, n at most, whose entries are in the table in this
 * sector. */
static int run_add_table(const struct vmdk_tables *t, struct grain_run *run, uint64_t table,
	uint64_t grain, uint64_t n, struct err *e)
{
	uint64_t pos = vmdk_tables_entry_pos(t, table, grain);

	if (run->n > 0 && run->place == VMDK_NONE && in_hole(t->io, run, pos, n * t->entry_len)) {
		run->n += n;
		return 0;
	}
	for (uint64_t here; n > 0 && !run->ended; n -= here, pos += here * t->entry_len) {
		const unsigned char *p;
		struct meta m;
		int r = meta_pin(t->cache, t->io, pos, &m, e);

		if (r < 0)
			return r;
		p = m.p;
		here = MIN(n, m.n / t->entry_len);
		if (run->n == 0) {
			r = run_start(t, run, grain, p, e);
			p += t->entry_len;
		}
		for (; r == 0 && !run->ended && p < m.p + here * t->entry_len; p += t->entry_len)
			if (run_continues(t, run, t->grain_at(t, p)))
				run->n++;
			else
				run->ended = true;
		meta_unpin(t->cache, &m);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Finds the run that begins at grain, n grains at most.  On failure run->n is the number of grains
 * that share the fault. */
static int run_find(const struct vmdk_tables *t, uint64_t grain, uint64_t n, struct grain_run *run,
	struct err *e)
{
	*run = (struct grain_run){.place = VMDK_NONE};
	while (run->n < n && !run->ended) {
		uint64_t next = grain + run->n, table;
		uint64_t here = MIN(n - run->n, t->per_table - next % t->per_table);
		bool first = run->n == 0;
		int r = find_table(t, next / t->per_table, &table, e);

		if (r < 0 && first)
			run->n = here;
		else if (r == 0 && vmdk_tables_is_sector(table))
			r = run_add_table(t, run, table, next, here, e);
		else if (r == 0 && !first && run->place != table)
			return 0;
		else if (r == 0) {
			run->place = table;
			run->n += here;
		}
		/* A fault after the run fails the call for the grain after it. */
		if (r < 0)
			return first ? r : 0;
	}
	return 0;
}

int vmdk_tables_map(
	const struct vmdk_extent *x, uint64_t off, uint64_t len, struct extent *out, struct err *e)
{
	const struct vmdk_tables *t = x->tables;
	uint64_t grain = off / t->grain, skip = off % t->grain;
	struct grain_run run;
	int r;

	out->kind = EXTENT_BELOW;
	out->len = len;
	if (off >= t->capacity)
		return 0; /* the extent line is longer than the extent */
	len = MIN(len, t->capacity - off);
	r = run_find(t, grain, div_round_up(skip + len, t->grain), &run, e);
	out->len = MIN(len, MAX(run.n, 1) * t->grain - skip);
	if (r < 0)
		return r;
	if (run.place == VMDK_ZERO)
		out->kind = EXTENT_ZERO;
	if (!vmdk_tables_is_sector(run.place))
		return 0;
	if (!t->compressed) {
		out->inplace = t->alloc != NULL;
		return extent_in_file(
			out, t->io, run.place * VMDK_SECTOR, skip, out->len, t->grain, e);
	}
	out->kind = EXTENT_GENERATED;
	out->pos = run.place;
	out->unit_id = grain;
	return 0;
}
