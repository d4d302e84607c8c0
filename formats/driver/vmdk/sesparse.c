/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sesparse.c - seSparse, the sparse extents of ESX 5.5 and later.
 *
 * The format was never published.  Only files as ESX is known to write them are accepted: one
 * version, one grain size, one table size, and no journal that waits to be replayed.
 *
 * The constant header in sector 0 has the positions of the areas, in sectors; a second header, the
 * volatile one, has what changes.  Entries are 64 bits wide and count tables and grains of their
 * areas.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/io.h"
#include "image/image.h"
#include "disk.h"
#include "tables.h"

#define MAGIC          0xcafebabeu
#define VOLATILE_MAGIC 0xcafecafeu
#define VERSION        UINT64_C(0x200000001)
#define GRAIN          8u  /* sectors */
#define TABLE          64u /* sectors */
#define ENTRY_SIZE     8u
#define TABLE_LEN      (TABLE * VMDK_SECTOR / ENTRY_SIZE)

/* First sector and length. */
struct area {
	uint64_t start, len;
};

struct sesparse {
	struct vmdk_tables tables;
	struct area table_area, grain_area;
};

/* Positions in the header. */
enum { AT_CAPACITY = 16, AT_STATE = 80, AT_DIRECTORY = 128, AT_TABLES = 144, AT_GRAINS = 192 };

static struct area load_area(const unsigned char *p)
{
	return (struct area){load_le64(p), load_le64(p + 8)};
}

static int check_constants(const unsigned char *raw, struct err *e)
{
	static const struct {
		unsigned pos;
		uint64_t value;
		const char *what;
	} fields[] = {
		{0, MAGIC, "magic"},
		{8, VERSION, "version"},
		{24, GRAIN, "grain size"},
		{32, TABLE, "grain table size"},
		{40, 0, "flags"},
		{48, 0, "reserved field"},
		{56, 0, "reserved field"},
		{64, 0, "reserved field"},
		{72, 0, "reserved field"},
	};

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		uint64_t found = load_le64(raw + fields[i].pos);

		if (found != fields[i].value)
			return err_set(e, i == 0 ? EINVAL : ENOTSUP,
				"seSparse extent: %s 0x%" PRIx64
				" is not supported, only 0x%" PRIx64,
				fields[i].what, found, fields[i].value);
	}
	return 0;
}

/* A journal that was not replayed holds entries that are not in the tables yet. */
static int check_state(struct io *io, uint64_t sector, struct err *e)
{
	unsigned char raw[32];
	int r;

	if (!range_fits(sector, 1, io->size / VMDK_SECTOR))
		return err_set(e, EUCLEAN,
			"the volatile header, in sector %" PRIu64
			", is not inside the file, %" PRIu64 " bytes",
			sector, io->size);
	r = io_read(io, raw, sizeof raw, sector * VMDK_SECTOR, e);
	if (r < 0)
		return r;
	if (load_le64(raw) != VOLATILE_MAGIC)
		return err_set(e, EUCLEAN, "no volatile header in sector %" PRIu64, sector);
	if (load_le64(raw + 24) != 0)
		return err_set(e, ENOTSUP,
			"it was not closed properly: its journal would have to be replayed, which "
			"is not supported");
	return 0;
}

enum { DIRECTORY_MARK = 0x10000000 }; /* the high half of an entry in use */

static uint64_t decode_table(const struct vmdk_tables *t, const unsigned char *entry)
{
	const struct area *area = &((const struct sesparse *)t)->table_area;
	uint64_t v = load_le64(entry), index = (uint32_t)v;

	if (v == 0)
		return VMDK_NONE;
	if (v >> 32 != DIRECTORY_MARK || index >= area->len / TABLE)
		return VMDK_BAD;
	return area->start + index * TABLE;
}

enum { UNALLOCATED = 0, UNMAPPED = 1, ZERO = 2, ALLOCATED = 3 };

/* The number of a grain has 60 bits, of which the lowest twelve come first. */
static uint64_t decode_grain(const struct vmdk_tables *t, const unsigned char *entry)
{
	uint64_t start = ((const struct sesparse *)t)->grain_area.start;
	uint64_t v = load_le64(entry);
	uint64_t number = (v & 0x0000ffffffffffff) << 12 | (v >> 48 & 0xfff);

	switch (v >> 60) {
	case UNALLOCATED:
		return v == 0 ? VMDK_NONE : VMDK_BAD;
	case UNMAPPED:
	case ZERO:
		return VMDK_ZERO;
	case ALLOCATED:
		return start + number * GRAIN;
	default:
		return VMDK_BAD;
	}
}

static int check_area(
	const struct area *area, uint64_t len, const char *what, struct io *io, struct err *e)
{
	if (area->start > 0 && area->start <= io->size / VMDK_SECTOR && area->len >= len)
		return 0;
	return err_set(e, EUCLEAN,
		"%s: %" PRIu64 " sectors from sector %" PRIu64
		" on are not possible here, in a file of %" PRIu64 " bytes",
		what, area->len, area->start, io->size);
}

static int sesparse_open(struct vmdk_extent *x, const struct image *img, struct err *e)
{
	struct sesparse *s = calloc(1, sizeof *s);
	struct vmdk_tables *t = &s->tables;
	unsigned char raw[VMDK_SECTOR];
	struct area directory;
	uint64_t capacity;
	int r;

	if (!s)
		return err_nomem(e);
	x->tables = t;
	r = io_read(x->io, raw, sizeof raw, 0, e);
	if (r == 0)
		r = check_constants(raw, e);
	if (r < 0)
		return r;
	capacity = load_le64(raw + AT_CAPACITY);
	if (capacity > LIMIT_DISK_SIZE / VMDK_SECTOR)
		return err_set(e, EFBIG,
			"capacity of %" PRIu64 " sectors, at most %" PRIu64 " are possible",
			capacity, LIMIT_DISK_SIZE / VMDK_SECTOR);
	r = check_state(x->io, load_le64(raw + AT_STATE), e);
	if (r < 0)
		return r;
	directory = load_area(raw + AT_DIRECTORY);
	s->table_area = load_area(raw + AT_TABLES);
	s->grain_area = load_area(raw + AT_GRAINS);
	*t = (struct vmdk_tables){
		.cache = img->opts->cache,
		.io = x->io,
		.table_at = decode_table,
		.grain_at = decode_grain,
		.entry_len = ENTRY_SIZE,
		.per_table = TABLE_LEN,
		.grain = GRAIN * VMDK_SECTOR,
		.capacity = capacity * VMDK_SECTOR,
		.first_grain = s->grain_area.start,
		.zero_grains = true,
	};
	r = vmdk_tables_measure(t, e);
	if (r == 0)
		r = check_area(&directory, div_round_up(t->gd_len, VMDK_SECTOR), "grain directory",
			x->io, e);
	if (r == 0)
		r = vmdk_tables_place(t, directory.start, e);
	if (r == 0)
		r = check_area(&s->table_area, 0, "grain tables", x->io, e);
	return r == 0 ? check_area(&s->grain_area, 0, "grains", x->io, e) : r;
}

const struct vmdk_kind vmdk_sesparse = {
	.no_writing = "it has an extent of the kind seSparse",
	.open = sesparse_open,
	.map = vmdk_tables_map,
};
