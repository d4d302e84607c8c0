/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* grain-table.c - from an offset in a sparse extent to the run of grains that begins there.
 *
 * Entries are decoded to sectors first, so that one walk does for tables of 32-bit sectors and of
 * 64-bit indices.  It goes on over pages and tables as long as grains lie one after another: some
 * grains are a sector each, and a read of a megabyte must not take two thousand looks.
 */
#include "tables.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/cache.h"
#include "io/io.h"
#include "view/view.h"

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

/* What is possible. */

static bool overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

/* The last table need not be longer than the disk wants it. */
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

/* The directory. */

#define ENTRY_MAX 8u

static int read_entry(
	const struct vmdk_tables *t, uint64_t pos, uint64_t i, unsigned char *raw, struct err *e)
{
	return meta_read(t->cache, t->io, raw, t->entry_len, pos + i * t->entry_len, e);
}

/* VMDK_NONE: nowhere, or nowhere possible. */
int vmdk_tables_find_redundant(
	const struct vmdk_tables *t, uint64_t i, uint64_t *sector, struct err *e)
{
	unsigned char raw[ENTRY_MAX];
	uint64_t place;
	int r;

	*sector = VMDK_NONE;
	if (!t->rgd_pos)
		return 0;
	r = read_entry(t, t->rgd_pos, i, raw, e);
	if (r < 0)
		return r;
	place = t->table_at(t, raw);
	if (vmdk_tables_valid_table(t, i, place))
		*sector = place;
	return 0;
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

int vmdk_tables_find(const struct vmdk_tables *t, uint64_t i, uint64_t *sector, struct err *e)
{
	unsigned char raw[ENTRY_MAX];
	uint64_t place;
	int r = read_entry(t, t->gd_pos, i, raw, e);

	if (r < 0)
		return r;
	place = t->table_at(t, raw);
	if (place == VMDK_ZERO && t->zero_tables) {
		*sector = VMDK_ZERO;
		return 0;
	}
	*sector = place;
	if (vmdk_tables_valid_table(t, i, place))
		return 0;
	/* Writers fill in both directories at once: where only this one has no entry, it was lost.
	 */
	r = vmdk_tables_find_redundant(t, i, sector, e);
	if (r < 0 || *sector != VMDK_NONE || place == VMDK_NONE)
		return r;
	return bad_table(t, i, raw, e);
}

/* Is entry i of the directory no good, and its twin is? */
static bool is_lost(const struct vmdk_tables *t, uint64_t i, const unsigned char *entry,
	const unsigned char *twin)
{
	uint64_t place = t->table_at(t, entry);

	return !vmdk_tables_valid_table(t, i, place) && !(place == VMDK_ZERO && t->zero_tables) &&
	       vmdk_tables_valid_table(t, i, t->table_at(t, twin));
}

int vmdk_tables_check(const struct vmdk_tables *t, uint64_t *lost, struct err *e)
{
	uint64_t tables = t->rgd_pos ? vmdk_tables_count(t) : 0, here;

	*lost = 0;
	for (uint64_t i = 0; i < tables; i += here) {
		unsigned char twins[META_PAGE];
		uint64_t at = i * t->entry_len;
		struct meta m;
		int r = meta_pin(t->cache, t->io, t->gd_pos + at, &m, e);

		if (r < 0)
			return r;
		here = MIN(m.n / t->entry_len, tables - i);
		r = meta_read(t->cache, t->io, twins, here * t->entry_len, t->rgd_pos + at, e);
		for (uint64_t k = 0; r == 0 && k < here; k++)
			*lost +=
				is_lost(t, i + k, m.p + k * t->entry_len, twins + k * t->entry_len);
		meta_unpin(t->cache, &m);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Grains. */

static int __attribute__((cold)) bad_grain(const struct vmdk_tables *t, uint64_t grain,
	uint64_t place, const unsigned char *raw, struct err *e)
{
	if (place == VMDK_BAD)
		return err_set(e, EUCLEAN,
			"grain table: the entry of grain %" PRIu64 " is 0x%016" PRIx64
			", which stands for nothing",
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

/* An entry of 1 without the flag in the header is no sector where a grain could be, but some
 * writers mean zeroes by it.  They write it to both tables: where the redundant one has something
 * else, this one is damaged. */
static bool is_doubtful(const struct vmdk_tables *t, uint64_t place)
{
	return place == VMDK_ZERO && !t->zero_marks && t->rgd_pos;
}

/* An entry that cannot be right: what does the redundant table say?  raw is the entry. */
static int __attribute__((cold)) ask_redundant(const struct vmdk_tables *t, uint64_t grain,
	const unsigned char *raw, uint64_t *place, struct err *e)
{
	unsigned char other[ENTRY_MAX];
	uint64_t table;
	int r = vmdk_tables_find_redundant(t, grain / t->per_table, &table, e);

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
	if (vmdk_tables_valid_grain(t, *place))
		return 0;
	return bad_grain(t, grain, t->grain_at(t, raw), raw, e);
}

/* A run of grains that lie one after another, or of which none is stored.  All that is known of
 * holes of the host file is kept for the tables that follow. */
struct run {
	uint64_t place; /* of the first */
	uint64_t n;
	bool ended;
	uint64_t hole_pos, hole_end;
};

static bool run_continues(const struct vmdk_tables *t, const struct run *run, uint64_t place)
{
	if (!vmdk_tables_is_sector(run->place))
		return place == run->place && !is_doubtful(t, place);
	return !t->compressed && place == run->place + run->n * (t->grain / VMDK_SECTOR);
}

/* Adds n grains whose entries stand at p, as far as they go on with the run. */
static void run_add(
	const struct vmdk_tables *t, struct run *run, const unsigned char *p, uint64_t n)
{
	for (; n > 0; n--, p += t->entry_len) {
		if (!run_continues(t, run, t->grain_at(t, p))) {
			run->ended = true;
			return;
		}
		run->n++;
	}
}

static int run_start(const struct vmdk_tables *t, struct run *run, uint64_t grain,
	const unsigned char *p, struct err *e)
{
	uint64_t place = t->grain_at(t, p);

	if (!vmdk_tables_valid_grain(t, place) || is_doubtful(t, place)) {
		int r = ask_redundant(t, grain, p, &place, e);

		if (r < 0)
			return r;
	}
	run->place = place;
	run->n = 1;
	return 0;
}

/* Are these bytes in a hole of the host file?  Some writers make the tables of a huge disk as one
 * hole, which would take a while to read. */
static bool in_hole(struct io *io, struct run *run, uint64_t pos, uint64_t len)
{
	if (pos < run->hole_pos || pos >= run->hole_end) {
		if (!io->sparse)
			return false;
		run->hole_pos = pos;
		run->hole_end = io_seek(io, pos, SEEK_DATA);
	}
	return range_fits(pos - run->hole_pos, len, run->hole_end - run->hole_pos);
}

/* Adds the grains from grain on to the run, n of them at most and all in the table at pos. */
static int run_add_table(const struct vmdk_tables *t, struct run *run, uint64_t pos, uint64_t grain,
	uint64_t n, struct err *e)
{
	pos += grain % t->per_table * t->entry_len;
	if (run->n > 0 && run->place == VMDK_NONE && in_hole(t->io, run, pos, n * t->entry_len)) {
		run->n += n;
		return 0;
	}
	while (n > 0 && !run->ended) {
		uint64_t had = run->n, here;
		struct meta m;
		int r = meta_pin(t->cache, t->io, pos, &m, e);

		if (r < 0)
			return r;
		here = MIN(n, m.n / t->entry_len);
		if (run->n == 0)
			r = run_start(t, run, grain, m.p, e);
		if (r == 0)
			run_add(t, run, m.p + (run->n - had) * t->entry_len, here - (run->n - had));
		meta_unpin(t->cache, &m);
		if (r < 0)
			return r;
		pos += here * t->entry_len;
		n -= here;
	}
	return 0;
}

/* Adds n grains of a table that is not there; false: the run has ended. */
static bool run_add_absent(struct run *run, uint64_t place, uint64_t n)
{
	if (run->n > 0 && run->place != place)
		return false;
	run->place = place;
	run->n += n;
	return true;
}

/* The run that begins at grain, n of them at most.  On failure run->n says how many grains share
 * the fault. */
static int run_find(
	const struct vmdk_tables *t, uint64_t grain, uint64_t n, struct run *run, struct err *e)
{
	*run = (struct run){.place = VMDK_NONE};
	while (run->n < n && !run->ended) {
		uint64_t next = grain + run->n, table;
		uint64_t here = MIN(n - run->n, t->per_table - next % t->per_table);
		bool first = run->n == 0;
		int r = vmdk_tables_find(t, next / t->per_table, &table, e);

		if (r < 0) {
			run->n = first ? here : run->n;
			return first ? r : 0; /* a later fault is met again by whoever goes on */
		}
		if (vmdk_tables_is_sector(table))
			r = run_add_table(t, run, table * VMDK_SECTOR, next, here, e);
		else if (!run_add_absent(run, table, here))
			return 0;
		if (r < 0)
			return first ? r : 0;
	}
	return 0;
}

int vmdk_tables_map(
	const struct vmdk_tables *t, uint64_t off, uint64_t len, struct extent *out, struct err *e)
{
	uint64_t grain = off / t->grain, skip = off % t->grain;
	struct run run;
	int r;

	out->kind = EXTENT_BELOW;
	out->len = len;
	if (off >= t->capacity)
		return 0; /* the line says more than the tables know */
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
