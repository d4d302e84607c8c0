/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk-sparse.c - the hosted sparse extent: header, grain directory, grain tables, grains.
 *
 * Directory and tables are 32-bit sector numbers and may be there twice.  Nothing says which copy
 * is right, so the first is believed as long as what it says is possible, and only then the second.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounds.h"
#include "bytes.h"
#include "cache.h"
#include "codec.h"
#include "err.h"
#include "io.h"
#include "view.h"
#include "vmdk.h"

#define ENTRY          4u /* bytes of an entry of directory and table */
#define GD_AT_END      UINT64_MAX
#define MARKER_FOOTER  3u
#define FOOTER_SEARCH  (1u << 20) /* bytes at the end of a file in which a footer is looked for */
#define COMPRESSED_MAX (2u << 20) /* bytes of a grain that is inflated; writers use 64 KiB */

enum flags {
	NEWLINE_TEST = 1u << 0,
	REDUNDANT = 1u << 1,
	COMPRESSED = 1u << 16,
	MARKERS = 1u << 17,
	MUST_KNOW = 0xffff0000u, /* who does not know one of these cannot read the extent */
};

enum grain_entry { GRAIN_ABSENT = 0, GRAIN_ZERO = 1 };

/* The header, and the footer that may stand in for it. */

static bool is_header(const unsigned char *h)
{
	return load_le32(h) == VMDK_MAGIC;
}

/* Is there a footer at pos, behind its marker? */
static bool is_footer(const unsigned char *marker)
{
	return load_le64(marker) == 1 && load_le32(marker + 8) == 0 &&
	       load_le32(marker + 12) == MARKER_FOOTER && is_header(marker + VMDK_SECTOR);
}

/* The footer is in the last sector but one - unless somebody appended to the file. */
static int find_footer(struct io *io, unsigned char *h, struct err *e)
{
	uint64_t end = io->size & ~(uint64_t)(VMDK_SECTOR - 1);
	size_t len = MIN(end, FOOTER_SEARCH), at;
	unsigned char *tail = malloc(len + 1);
	int r;

	if (!tail)
		return err_nomem(e);
	r = io_read(io, tail, len, end - len, e);
	for (at = len; r == 0 && at >= 2 * VMDK_SECTOR; at -= VMDK_SECTOR)
		if (is_footer(tail + at - 2 * VMDK_SECTOR))
			break;
	if (r == 0 && at >= 2 * VMDK_SECTOR)
		memcpy(h, tail + at - VMDK_SECTOR, VMDK_SECTOR);
	else if (r == 0)
		r = err_set(e, EUCLEAN,
			"the footer with the grain directory is missing; the file was cut");
	free(tail);
	return r;
}

static int check_version(const unsigned char *h, struct err *e)
{
	static const unsigned char newlines[] = {'\n', ' ', '\r', '\n'};
	uint32_t version = load_le32(h + 4), flags = load_le32(h + 8);

	if (version < 1 || version > 3)
		return err_set(e, ENOTSUP, "sparse extent version %u is not supported", version);
	if (flags & MUST_KNOW & ~(uint32_t)(COMPRESSED | MARKERS))
		return err_set(e, ENOTSUP, "sparse extent flags 0x%08x are not supported", flags);
	if (flags & NEWLINE_TEST && memcmp(h + 73, newlines, sizeof newlines) != 0)
		return err_set(
			e, EUCLEAN, "line ends were converted: the file was transferred as text");
	return 0;
}

static int check_compression(struct vmdk_sparse *s, const unsigned char *h, struct err *e)
{
	uint32_t flags = load_le32(h + 8);
	unsigned algorithm = load_le16(h + 77);

	s->compressed = flags & COMPRESSED;
	s->markers = flags & MARKERS;
	if (algorithm > 1 || s->compressed != (algorithm == 1))
		return err_set(e, ENOTSUP,
			"compression algorithm %u with flags 0x%08x is not supported", algorithm,
			flags);
	if (s->compressed && s->grain_size > COMPRESSED_MAX)
		return err_set(e, ENOTSUP,
			"compressed grains of %" PRIu64 " bytes are not supported", s->grain_size);
	return 0;
}

static int check_geometry(struct vmdk_sparse *s, const unsigned char *h, struct err *e)
{
	uint64_t grain = load_le64(h + 20);

	s->capacity = load_le64(h + 12);
	s->gtes = load_le32(h + 44);
	if (s->capacity > LIMIT_DISK_SIZE / VMDK_SECTOR)
		return err_set(e, EFBIG, "a capacity of %" PRIu64 " sectors", s->capacity);
	if (!is_power_of_2(grain) || grain > VMDK_MAX_GRAIN_SECTORS)
		return err_set(e, EINVAL,
			"a grain of %" PRIu64 " sectors, a power of two up to %u expected", grain,
			VMDK_MAX_GRAIN_SECTORS);
	if (s->gtes == 0 || s->gtes > VMDK_MAX_GTES_PER_GT)
		return err_set(e, EINVAL, "grain tables of %u entries, 1 to %u expected", s->gtes,
			VMDK_MAX_GTES_PER_GT);
	s->grain_size = grain * VMDK_SECTOR;
	s->ngrains = div_round_up(s->capacity, grain);
	s->ntables = div_round_up(s->ngrains, s->gtes);
	if (s->ntables > VMDK_MAX_GD_BYTES / ENTRY)
		return err_set(e, EFBIG, "a grain directory of %" PRIu64 " entries, %u at most",
			s->ntables, VMDK_MAX_GD_BYTES / ENTRY);
	return 0;
}

/* The position of a sector, 0 when len bytes from there on are not in the file behind the header.
 */
static uint64_t position_of(const struct vmdk_sparse *s, uint64_t sector, uint64_t len)
{
	uint64_t pos = sector * VMDK_SECTOR;

	if (sector > UINT64_MAX / VMDK_SECTOR || !range_fits(pos, len, s->io->size))
		return 0;
	return pos;
}

static int check_directory(struct vmdk_sparse *s, const unsigned char *h, struct err *e)
{
	uint64_t len = s->ntables * ENTRY, gd = load_le64(h + 56);

	if (load_le64(h + 64) > s->io->size / VMDK_SECTOR)
		return err_set(e, EUCLEAN,
			"the file was cut: it has %" PRIu64 " bytes, and %" PRIu64
			" sectors before its first grain",
			s->io->size, load_le64(h + 64));
	s->overhead = MAX(load_le64(h + 64), 1) * VMDK_SECTOR;
	s->gd_pos = position_of(s, gd, len);
	if (load_le32(h + 8) & REDUNDANT)
		s->rgd_pos = position_of(s, load_le64(h + 48), len);
	if (s->gd_pos == 0)
		s->gd_pos = s->rgd_pos;
	if (s->gd_pos == 0 && s->ntables > 0)
		return err_set(e, EUCLEAN,
			"the grain directory, at sector %" PRIu64
			", is not inside the file of %" PRIu64 " bytes",
			gd, s->io->size);
	return 0;
}

static int check_descriptor(struct vmdk_sparse *s, const unsigned char *h, struct err *e)
{
	uint64_t sector = load_le64(h + 28), sectors = load_le64(h + 36);

	if (sector == 0 || sectors == 0)
		return 0;
	if (sectors > VMDK_MAX_DESCRIPTOR / VMDK_SECTOR)
		return err_set(e, EFBIG, "a descriptor of %" PRIu64 " sectors, %u at most", sectors,
			VMDK_MAX_DESCRIPTOR / VMDK_SECTOR);
	s->desc_len = sectors * VMDK_SECTOR;
	s->desc_pos = position_of(s, sector, s->desc_len);
	if (s->desc_pos == 0)
		return err_set(e, EUCLEAN,
			"the descriptor, at sector %" PRIu64 ", is not inside the file", sector);
	return 0;
}

int vmdk_sparse_open(struct vmdk_sparse *s, struct err *e)
{
	unsigned char h[VMDK_SECTOR];
	int r;

	if (s->io->size < sizeof h)
		return err_set(
			e, EINVAL, "the header is cut off at %" PRIu64 " bytes", s->io->size);
	r = io_read(s->io, h, sizeof h, 0, e);
	if (r == 0 && !is_header(h))
		r = err_set(e, EINVAL, "not a sparse VMDK extent: no KDMV at its beginning");
	if (r == 0)
		r = check_version(h, e);
	if (r == 0 && load_le64(h + 56) == GD_AT_END) {
		r = find_footer(s->io, h, e);
		if (r == 0)
			r = check_version(h, e);
	}
	if (r == 0)
		r = check_geometry(s, h, e);
	if (r == 0)
		r = check_compression(s, h, e);
	if (r == 0)
		r = check_directory(s, h, e);
	if (r == 0)
		r = check_descriptor(s, h, e);
	return r;
}

/* From a grain to where it lies. */

/* Reads one entry of a directory or a table. */
static int read_entry(const struct vmdk_sparse *s, uint64_t pos, uint32_t *entry, struct err *e)
{
	unsigned char bytes[ENTRY];
	int r = meta_read(s->cache, s->io, bytes, sizeof bytes, pos, e);

	*entry = load_le32(bytes);
	return r;
}

/* The position of table number t by one of the directories, 0 when that says nothing possible. */
static int table_by(
	const struct vmdk_sparse *s, uint64_t directory, uint64_t t, uint64_t *pos, struct err *e)
{
	uint32_t entry;
	int r = read_entry(s, directory + t * ENTRY, &entry, e);

	*pos = r == 0 ? position_of(s, entry, s->gtes * ENTRY) : 0;
	return r;
}

/* The copy of a table, 0 when there is none. */
static int redundant_table(const struct vmdk_sparse *s, uint64_t t, uint64_t *pos, struct err *e)
{
	*pos = 0;
	return s->rgd_pos ? table_by(s, s->rgd_pos, t, pos, e) : 0;
}

static int find_table(const struct vmdk_sparse *s, uint64_t t, uint64_t *pos, struct err *e)
{
	int r = table_by(s, s->gd_pos, t, pos, e);

	if (r == 0 && *pos == 0)
		r = redundant_table(s, t, pos, e);
	if (r == 0 && *pos == 0)
		r = err_set(e, EUCLEAN, "grain table %" PRIu64 " does not lie inside the file", t);
	return r;
}

/* Directory entries from t on, as far as one page shows, without a table. */
static int count_missing(const struct vmdk_sparse *s, uint64_t t, uint64_t *n, struct err *e)
{
	struct meta m;
	int r = meta_pin(s->cache, s->io, s->gd_pos + t * ENTRY, &m, e);

	if (r < 0)
		return r;
	for (*n = 0; *n < MIN(m.n / ENTRY, s->ntables - t); ++*n)
		if (load_le32(m.p + *n * ENTRY) != 0)
			break;
	meta_unpin(s->cache, &m);
	return 0;
}

/* Tables from t on, the first at pos, that lie in a hole of the host file: all their entries are 0.
 * Many programs write all tables at once and leave the file system to store the zeroes. */
static int count_in_hole(
	const struct vmdk_sparse *s, uint64_t t, uint64_t pos, uint64_t *n, struct err *e)
{
	uint64_t len = s->gtes * ENTRY, data = s->io->sparse ? io_seek(s->io, pos, SEEK_DATA) : 0;
	struct meta m;
	int r;

	*n = 0;
	if (data < pos + len)
		return 0;
	r = meta_pin(s->cache, s->io, s->gd_pos + t * ENTRY, &m, e);
	if (r < 0)
		return r;
	for (; *n < MIN(m.n / ENTRY, s->ntables - t); ++*n) {
		uint64_t next = load_le32(m.p + *n * ENTRY) * (uint64_t)VMDK_SECTOR;

		if (next < pos || next + len > data)
			break;
	}
	meta_unpin(s->cache, &m);
	return 0;
}

static bool is_possible(const struct vmdk_sparse *s, uint32_t entry)
{
	uint64_t pos = (uint64_t)entry * VMDK_SECTOR;

	return entry <= GRAIN_ZERO || (pos >= s->overhead && pos < s->io->size);
}

/* What the copy of the table says of a grain that the table is wrong about. */
static int second_opinion(
	const struct vmdk_sparse *s, uint64_t grain, uint32_t *entry, struct err *e)
{
	uint64_t table;
	uint32_t wrong = *entry;
	int r = redundant_table(s, grain / s->gtes, &table, e);

	if (r == 0 && table != 0)
		r = read_entry(s, table + grain % s->gtes * ENTRY, entry, e);
	if (r == 0 && !is_possible(s, *entry))
		r = err_set(e, EUCLEAN, "grain %" PRIu64 " at sector %u, which holds no grain",
			grain, wrong);
	return r;
}

/* How many of the n entries at p, the first included, go on like the first. */
static size_t run_length(const struct vmdk_sparse *s, const unsigned char *p, size_t n)
{
	uint64_t first = load_le32(p), step = s->grain_size / VMDK_SECTOR;
	size_t i = 1;

	if (first <= GRAIN_ZERO)
		step = 0;
	else if (s->compressed)
		return 1;
	while (i < n && load_le32(p + i * ENTRY) == first + i * step)
		i++;
	return i;
}

/* The entry of a grain and the number of grains that it speaks for. */
static int look(const struct vmdk_sparse *s, uint64_t grain, uint64_t table, uint32_t *entry,
	uint64_t *n, struct err *e)
{
	uint64_t i = grain % s->gtes;
	struct meta m;
	int r = meta_pin(s->cache, s->io, table + i * ENTRY, &m, e);

	if (r < 0)
		return r;
	*entry = load_le32(m.p);
	*n = run_length(s, m.p, MIN(m.n / ENTRY, s->gtes - i));
	meta_unpin(s->cache, &m);
	if (is_possible(s, *entry))
		return 0;
	*n = 1;
	return second_opinion(s, grain, entry, e);
}

/* A compressed grain is named by where it lies and, to be checked against what stands there, by the
 * low half of its number. */
static int extent_of_grain(const struct vmdk_sparse *s, uint64_t grain, uint64_t skip, uint64_t n,
	uint32_t entry, struct extent *x, struct err *e)
{
	x->len = n * s->grain_size - skip;
	x->kind = entry == GRAIN_ZERO ? EXTENT_ZERO : EXTENT_BELOW;
	if (entry <= GRAIN_ZERO)
		return 0;
	if (!s->compressed)
		return extent_in_file(
			x, s->io, (uint64_t)entry * VMDK_SECTOR, skip, x->len, s->grain_size, e);
	x->kind = EXTENT_MADE;
	x->pos = skip;
	x->io = s->io;
	x->unit_id = grain << 32 | entry;
	x->unit_len = s->grain_size;
	return 0;
}

int vmdk_sparse_map(
	const struct vmdk_sparse *s, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	uint64_t grain = off / s->grain_size, skip = off % s->grain_size, t = grain / s->gtes;
	uint64_t first = grain % s->gtes, table = 0, n;
	uint32_t entry = GRAIN_ABSENT;
	int r;

	x->len = s->grain_size - skip; /* as far as damage here would reach */
	r = count_missing(s, t, &n, e);
	if (r == 0 && n == 0) {
		r = find_table(s, t, &table, e);
		if (r == 0)
			r = look(s, grain, table, &entry, &n, e);
		if (r < 0)
			return r;
		x->len = n * s->grain_size - skip;
		if (entry != GRAIN_ABSENT || x->len >= len)
			return extent_of_grain(s, grain, skip, n, entry, x, e);
		r = count_in_hole(s, t, table, &n, e);
		if (r == 0 && n == 0)
			n = (x->len + skip) / s->grain_size;
		else
			n = n * s->gtes - first;
	} else {
		n = n * s->gtes - first;
	}
	return r < 0 ? r : extent_of_grain(s, grain, skip, n, entry, x, e);
}

/* Compressed grains. */

/* The record in front of a grain: its first sector in the disk - only with markers - and its
 * length. */
static int read_record(
	const struct vmdk_sparse *s, uint64_t *pos, uint32_t number, uint32_t *len, struct err *e)
{
	uint64_t grain_sectors = s->grain_size / VMDK_SECTOR,
		 lba = (uint64_t)number * grain_sectors;
	unsigned char record[12];
	size_t size = s->markers ? 12 : 4;
	int r = io_read(s->io, record, size, *pos, e);

	if (r < 0)
		return r;
	if (s->markers)
		lba = load_le64(record);
	*len = load_le32(record + size - 4);
	*pos += size;
	if (lba % grain_sectors != 0 || (uint32_t)(lba / grain_sectors) != number)
		return err_set(e, EUCLEAN, "the grain there is that of sector %" PRIu64, lba);
	if (*len == 0 || *len > s->grain_size + s->grain_size / 16 + 4096 ||
		!range_fits(*pos, *len, s->io->size))
		return err_set(e, EUCLEAN, "a grain of %u compressed bytes", *len);
	return 0;
}

/* Bytes that a grain must have: the last one may end with the disk. */
static uint64_t bytes_of_grain(const struct vmdk_sparse *s, uint32_t number)
{
	uint64_t last = s->ngrains - 1;

	if (number != (uint32_t)last)
		return s->grain_size;
	return s->capacity * VMDK_SECTOR - last * s->grain_size;
}

static int inflate_grain(
	const struct vmdk_sparse *s, uint64_t pos, uint32_t number, void *buf, struct err *e)
{
	uint32_t len;
	ssize_t made;
	void *in;
	int r = read_record(s, &pos, number, &len, e);

	if (r < 0)
		return r;
	in = malloc(len);
	if (!in)
		return err_nomem(e);
	r = io_read(s->io, in, len, pos, e);
	made = r < 0 ? r : codec_inflate_zlib(s->codec, in, len, buf, s->grain_size, e);
	free(in);
	if (made < 0)
		return made;
	if ((uint64_t)made < bytes_of_grain(s, number))
		return err_set(e, EUCLEAN, "it holds %zd bytes, %" PRIu64 " expected", made,
			bytes_of_grain(s, number));
	memset((char *)buf + made, 0, s->grain_size - made);
	return 0;
}

int vmdk_sparse_fill(const struct vmdk_sparse *s, const struct extent *x, void *buf, struct err *e)
{
	uint32_t sector = (uint32_t)x->unit_id;
	int r = inflate_grain(s, (uint64_t)sector * VMDK_SECTOR, x->unit_id >> 32, buf, e);

	return r < 0 ? err_in(e, "compressed grain at sector %u", sector) : 0;
}
