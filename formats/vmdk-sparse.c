/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk-sparse.c - hosted sparse extents and their compressed variant, streamOptimized.
 *
 * A grain directory holds the sectors of grain tables, and these the sectors of grains, all 32 bits
 * wide and counted from the beginning of the file.  There may be a redundant copy of directory and
 * tables: it answers for entries of the first that cannot be right.
 *
 * An entry that points neither to room for grains nor to room for tables is damage and is told as
 * such, at the place of the disk that it concerns; nothing else of the disk suffers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "cache.h"
#include "codec.h"
#include "err.h"
#include "facts.h"
#include "image.h"
#include "io.h"
#include "view.h"
#include "vmdk.h"

#define ENTRY_SIZE 4u

/* What the table says of a grain, when it does not say where it is.  Zero grains came with header
 * version 2 and a flag, but no grain can ever lie in sector 1. */
enum { GRAIN_NONE = 0, GRAIN_ZERO = 1, GRAIN_FIRST = 2 };

struct sparse {
	struct cache *cache;
	struct codec *codec;
	uint64_t capacity;  /* bytes of disk that the tables map */
	uint32_t grain;     /* bytes */
	uint32_t per_table; /* grains that a table maps */
	uint64_t ngrains;
	uint64_t gd_pos, gd_len; /* bytes */
	uint64_t rgd_pos;        /* 0: no redundant directory */
	uint64_t overhead;       /* first sector that may hold a grain */
	bool compressed, markers;
};

/* Opening. */

static bool directory_fits(uint64_t sector, uint64_t len, uint64_t size)
{
	return sector > 0 && sector <= size / VMDK_SECTOR &&
	       range_fits(sector * VMDK_SECTOR, len, size);
}

static int place_directory(
	struct sparse *s, const struct vmdk_header *h, struct io *io, struct err *e)
{
	uint64_t tables = div_round_up(s->ngrains, s->per_table);
	uint64_t len = tables * ENTRY_SIZE;
	bool redundant = (h->flags & VMDK_REDUNDANT) && directory_fits(h->rgd, len, io->size);

	if (len > VMDK_MAX_GD_BYTES)
		return err_set(e, EFBIG,
			"grain directory of %" PRIu64 " entries, at most %u are possible", tables,
			VMDK_MAX_GD_BYTES / ENTRY_SIZE);
	s->gd_len = len;
	if (directory_fits(h->gd, len, io->size)) {
		s->gd_pos = h->gd * VMDK_SECTOR;
		s->rgd_pos = redundant ? h->rgd * VMDK_SECTOR : 0;
	} else if (redundant) {
		s->gd_pos = h->rgd * VMDK_SECTOR;
	} else {
		return err_set(e, EUCLEAN,
			"grain directory of %" PRIu64 " bytes in sector %" PRIu64
			" is not inside the file, %" PRIu64 " bytes",
			len, h->gd, io->size);
	}
	return 0;
}

static int sparse_load(struct sparse *s, struct io *io, struct err *e)
{
	struct vmdk_header h;
	bool streamed;
	int r = vmdk_header_read(io, &h, e);

	if (r < 0)
		return r;
	streamed = h.gd == VMDK_GD_AT_END;
	if (streamed)
		r = vmdk_footer_read(io, &h, e);
	if (r < 0)
		return r;
	/* Tables come before overhead, unless they come last. */
	if (!streamed && h.overhead > io->size / VMDK_SECTOR)
		return err_set(e, EUCLEAN,
			"the file is cut short: %" PRIu64 " bytes, at least %" PRIu64
			" sectors expected",
			io->size, h.overhead);
	s->capacity = h.capacity * VMDK_SECTOR;
	s->grain = h.grain * VMDK_SECTOR;
	s->per_table = h.tables_len;
	s->ngrains = div_round_up(h.capacity, h.grain);
	s->overhead = h.overhead;
	s->compressed = h.flags & VMDK_COMPRESSED;
	s->markers = h.flags & VMDK_MARKERS;
	return place_directory(s, &h, io, e);
}

static int sparse_open(struct vmdk_extent *x, const struct image *img, struct err *e)
{
	struct sparse *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return err_nomem(e);
	s->cache = img->opts->cache;
	s->codec = img->opts->codec;
	r = sparse_load(s, x->io, e);
	if (r < 0) {
		free(s);
		return x->io == img->io ? r : err_in(e, "%s", x->io->name);
	}
	x->priv = s;
	return 0;
}

static void sparse_close(struct vmdk_extent *x)
{
	free(x->priv);
}

/* Tables.  A grain is named by its index in the extent. */

static bool overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

/* May table i be at sector?  The last table need not be longer than the disk wants it. */
static bool table_possible(const struct vmdk_extent *x, uint64_t i, uint32_t sector)
{
	const struct sparse *s = x->priv;
	uint64_t pos = sector * (uint64_t)VMDK_SECTOR;
	uint64_t len = MIN(s->per_table, s->ngrains - i * s->per_table) * ENTRY_SIZE;

	return sector > 0 && range_fits(pos, len, x->io->size) &&
	       !overlaps(pos, len, s->gd_pos, s->gd_len) &&
	       !(s->rgd_pos && overlaps(pos, len, s->rgd_pos, s->gd_len));
}

static bool grain_possible(const struct vmdk_extent *x, uint32_t entry)
{
	const struct sparse *s = x->priv;

	return entry < GRAIN_FIRST ||
	       (entry >= s->overhead && entry < div_round_up(x->io->size, VMDK_SECTOR));
}

static int read_entry(
	const struct vmdk_extent *x, uint64_t table_pos, uint64_t i, uint32_t *entry, struct err *e)
{
	const struct sparse *s = x->priv;
	unsigned char raw[ENTRY_SIZE];
	int r = meta_read(s->cache, x->io, raw, sizeof raw, table_pos + i * ENTRY_SIZE, e);

	*entry = r < 0 ? 0 : load_le32(raw);
	return r;
}

/* Where table i is by the redundant directory; 0: nowhere, or nowhere possible. */
static int find_redundant_table(
	const struct vmdk_extent *x, uint64_t i, uint64_t *pos, struct err *e)
{
	const struct sparse *s = x->priv;
	uint32_t sector = 0;
	int r = s->rgd_pos ? read_entry(x, s->rgd_pos, i, &sector, e) : 0;

	*pos = table_possible(x, i, sector) ? sector * (uint64_t)VMDK_SECTOR : 0;
	return r;
}

/* Where table i is; 0: there is none and no grain of it either. */
static int find_table(const struct vmdk_extent *x, uint64_t i, uint64_t *pos, struct err *e)
{
	const struct sparse *s = x->priv;
	uint32_t sector;
	int r = read_entry(x, s->gd_pos, i, &sector, e);

	if (r < 0)
		return r;
	if (table_possible(x, i, sector)) {
		*pos = sector * (uint64_t)VMDK_SECTOR;
		return 0;
	}
	/* Writers fill in both directories at once: where only this one has no entry, it was lost.
	 */
	r = find_redundant_table(x, i, pos, e);
	if (r < 0 || *pos > 0 || sector == 0)
		return r;
	return err_set(e, EUCLEAN,
		"grain directory: entry %" PRIu64 ", sector %" PRIu32 ", cannot be a grain table",
		i, sector);
}

/* An entry that cannot be right: what does the redundant table say? */
static int __attribute__((cold))
ask_redundant(const struct vmdk_extent *x, uint64_t grain, uint32_t *entry, struct err *e)
{
	const struct sparse *s = x->priv;
	uint32_t bad = *entry;
	uint64_t pos;
	int r = find_redundant_table(x, grain / s->per_table, &pos, e);

	if (r < 0)
		return r;
	if (pos > 0) {
		r = read_entry(x, pos, grain % s->per_table, entry, e);
		if (r < 0 || grain_possible(x, *entry))
			return r;
	}
	if (bad < s->overhead)
		return err_set(e, EUCLEAN,
			"grain table: grain %" PRIu64 " in sector %" PRIu32
			", but grains begin with sector %" PRIu64,
			grain, bad, s->overhead);
	return err_set(e, EIO,
		"grain %" PRIu64 " in sector %" PRIu32 " lies past the end of the file, %" PRIu64
		" bytes",
		grain, bad, x->io->size);
}

/* A run of grains that lie one after another, or of which none is stored.  All that is known of
 * holes of the host file is kept for the tables that follow. */
struct run {
	uint32_t entry; /* of the first */
	uint64_t n;
	bool ended;
	uint64_t hole_pos, hole_end;
};

static bool run_continues(const struct sparse *s, const struct run *run, uint32_t entry)
{
	if (run->entry < GRAIN_FIRST)
		return entry == run->entry;
	return !s->compressed && entry == run->entry + run->n * (s->grain / VMDK_SECTOR);
}

/* Adds n grains whose entries stand at p, as far as they go on with the run. */
static void run_add(const struct sparse *s, struct run *run, const unsigned char *p, uint64_t n)
{
	for (; n > 0; n--, p += ENTRY_SIZE) {
		if (!run_continues(s, run, load_le32(p))) {
			run->ended = true;
			return;
		}
		run->n++;
	}
}

static int run_start(
	const struct vmdk_extent *x, struct run *run, uint64_t grain, uint32_t entry, struct err *e)
{
	if (!grain_possible(x, entry)) {
		int r = ask_redundant(x, grain, &entry, e);

		if (r < 0)
			return r;
	}
	run->entry = entry;
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
static int run_add_table(const struct vmdk_extent *x, struct run *run, uint64_t pos, uint64_t grain,
	uint64_t n, struct err *e)
{
	const struct sparse *s = x->priv;

	pos += grain % s->per_table * ENTRY_SIZE;
	if (run->n > 0 && run->entry == GRAIN_NONE && in_hole(x->io, run, pos, n * ENTRY_SIZE)) {
		run->n += n;
		return 0;
	}
	while (n > 0 && !run->ended) {
		uint64_t had = run->n, here;
		struct meta m;
		int r = meta_pin(s->cache, x->io, pos, &m, e);

		if (r < 0)
			return r;
		here = MIN(n, m.n / ENTRY_SIZE);
		if (run->n == 0)
			r = run_start(x, run, grain, load_le32(m.p), e);
		if (r == 0)
			run_add(s, run, m.p + (run->n - had) * ENTRY_SIZE, here - (run->n - had));
		meta_unpin(s->cache, &m);
		if (r < 0)
			return r;
		pos += here * ENTRY_SIZE;
		n -= here;
	}
	return 0;
}

/* The run that begins at grain, n of them at most.  On failure run->n says how many grains share
 * the fault. */
static int run_find(
	const struct vmdk_extent *x, uint64_t grain, uint64_t n, struct run *run, struct err *e)
{
	const struct sparse *s = x->priv;

	*run = (struct run){.entry = GRAIN_NONE};
	while (run->n < n && !run->ended) {
		uint64_t next = grain + run->n, pos;
		uint64_t here = MIN(n - run->n, s->per_table - next % s->per_table);
		bool first = run->n == 0;
		int r = find_table(x, next / s->per_table, &pos, e);

		if (r < 0) {
			run->n = first ? here : run->n;
			return first ? r : 0; /* a later fault is met again by whoever goes on */
		}
		if (pos == 0 && run->entry == GRAIN_NONE)
			run->n += here;
		else if (pos == 0)
			return 0;
		else if ((r = run_add_table(x, run, pos, next, here, e)) < 0)
			return first ? r : 0;
	}
	return 0;
}

/* The map. */

static int sparse_map(
	const struct vmdk_extent *x, uint64_t off, uint64_t len, struct extent *out, struct err *e)
{
	const struct sparse *s = x->priv;
	uint64_t grain = off / s->grain, skip = off % s->grain;
	struct run run;
	int r;

	out->kind = EXTENT_BELOW;
	out->len = len;
	if (off >= s->capacity)
		return 0; /* the line says more than the tables know */
	len = MIN(len, s->capacity - off);
	r = run_find(x, grain, div_round_up(skip + len, s->grain), &run, e);
	out->len = MIN(len, MAX(run.n, 1) * s->grain - skip);
	if (r < 0)
		return err_in(e, "%s", x->io->name);
	if (run.entry == GRAIN_ZERO)
		out->kind = EXTENT_ZERO;
	if (run.entry < GRAIN_FIRST)
		return 0;
	if (!s->compressed)
		return extent_in_file(
			out, x->io, run.entry * (uint64_t)VMDK_SECTOR, skip, out->len, s->grain, e);
	out->kind = EXTENT_MADE;
	out->io = x->io;
	out->pos = skip;
	/* There are 2^32 grains at most.  With the index in it the name tells two grains apart that
	 * claim one place, and each is checked on its own. */
	out->unit_id = grain << 32 | run.entry;
	out->unit_len = s->grain;
	return 0;
}

/* Compressed grains: a 64-bit sector of the extent, unless there are no markers, a 32-bit length,
 * and a zlib stream (Compressed Grain). */

struct packed {
	uint64_t grain, pos; /* which and where */
	uint32_t len;        /* of the zlib stream, which begins at pos */
};

static int read_packed(
	const struct vmdk_extent *x, uint64_t unit_id, struct packed *k, struct err *e)
{
	const struct sparse *s = x->priv;
	uint64_t pos = (uint32_t)unit_id * (uint64_t)VMDK_SECTOR;
	size_t head = s->markers ? 12 : 4;
	uint32_t max = s->grain + s->grain / 1000 + (64u << 10);
	unsigned char raw[12];
	int r = io_read(x->io, raw, head, pos, e);

	if (r < 0)
		return r;
	k->grain = unit_id >> 32;
	k->pos = pos + head;
	k->len = load_le32(raw + head - 4);
	if (s->markers && load_le64(raw) != k->grain * (s->grain / VMDK_SECTOR))
		return err_set(e, EUCLEAN,
			"the data at %" PRIu64 " is of sector %" PRIu64 ", not %" PRIu64, pos,
			load_le64(raw), k->grain * (s->grain / VMDK_SECTOR));
	if (k->len == 0 || k->len > max || !range_fits(k->pos, k->len, x->io->size))
		return err_set(e, EUCLEAN,
			"compressed length %" PRIu32 " at %" PRIu64 ", at most %" PRIu32
			" inside a file of %" PRIu64 " expected",
			k->len, pos, max, x->io->size);
	return 0;
}

/* Grains that end with the disk may be stored short; what is missing is never seen. */
static int unpack(const struct vmdk_extent *x, const struct packed *k, const void *in,
	unsigned char *out, struct err *e)
{
	const struct sparse *s = x->priv;
	uint64_t start = k->grain * s->grain;
	uint64_t needed = MIN(s->grain, s->capacity - start);
	ssize_t made = codec_inflate_zlib(s->codec, in, k->len, out, s->grain, e);

	if (made < 0)
		return err_in(e, "data at %" PRIu64, k->pos);
	if ((uint64_t)made < needed)
		return err_set(e, EUCLEAN,
			"the data at %" PRIu64 " gives %zd bytes, %" PRIu64 " expected", k->pos,
			made, needed);
	memset(out + made, 0, s->grain - made);
	return 0;
}

static int sparse_fill(
	const struct vmdk_extent *x, const struct extent *unit, void *buf, struct err *e)
{
	struct packed k;
	void *in;
	int r = read_packed(x, unit->unit_id, &k, e);

	if (r < 0)
		goto where;
	in = malloc(k.len);
	if (!in)
		return err_nomem(e);
	r = io_read(x->io, in, k.len, k.pos, e);
	if (r == 0)
		r = unpack(x, &k, in, buf, e);
	free(in);
where:
	return r < 0 ? err_in(e, "%s: grain %" PRIu64, x->io->name, unit->unit_id >> 32) : 0;
}

static void sparse_facts(const struct vmdk_extent *x, struct facts *f)
{
	const struct sparse *s = x->priv;

	fact_number(f, "cluster-size", s->grain);
	fact_cluster_size(f, s->grain);
	if (s->compressed)
		fact_flag(f, "compressed", true);
}

const struct vmdk_kind vmdk_sparse = {
	.type = "SPARSE",
	.has_file = true,
	.open = sparse_open,
	.close = sparse_close,
	.map = sparse_map,
	.fill = sparse_fill,
	.facts = sparse_facts,
};
