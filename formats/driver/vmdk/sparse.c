/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sparse.c - hosted sparse extents and their compressed variant, streamOptimized.
 *
 * Entries of directory and tables are sectors of the file, 32 bits wide.  A stream without
 * directory is read by the markers of its grains, if the user gives the format.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/codec.h"
#include "io/io.h"
#include "view/view.h"
#include "image/image.h"
#include "alloc.h"
#include "disk.h"
#include "header.h"
#include "recover.h"
#include "tables.h"

struct sparse {
	struct vmdk_tables tables;
	struct vmdk_recovery *recovery; /* in place of the tables of a stream, or NULL */
	struct codec *codec;
	bool markers;
};

static struct sparse *sparse_of(const struct vmdk_extent *x)
{
	return (struct sparse *)x->tables;
}

/* The reason why the extent is read-only, or NULL. */
static const char *find_obstacle(
	const struct vmdk_tables *t, const struct vmdk_header *h, uint64_t lost)
{
	bool whole = t->gd_pos == h->gd * VMDK_SECTOR && lost == 0;

	if (t->compressed)
		return "streamOptimized: compressed grains cannot be overwritten";
	if (h->version > 2)
		return "its sparse extent is of version 3, whose changes must be tracked";
	if (!whole || (h->flags & VMDK_REDUNDANT) != (t->rgd_pos ? VMDK_REDUNDANT : 0))
		return "a grain directory is damaged";
	return NULL;
}

static int load_tables(
	struct vmdk_extent *x, const struct vmdk_header *h, const struct image *img, struct err *e)
{
	struct vmdk_tables *t = x->tables;
	uint64_t lost, gd = h->gd;
	bool redundant;
	int r = vmdk_tables_measure(t, e);

	if (r < 0)
		return r;
	redundant = (h->flags & VMDK_REDUNDANT) && vmdk_tables_valid_directory(t, h->rgd);
	if (redundant && !vmdk_tables_valid_directory(t, h->gd)) {
		image_warn(img, "%s has lost its grain directory; the redundant one is used",
			t->io->name);
		gd = h->rgd;
	} else if (redundant) {
		t->rgd_pos = h->rgd * VMDK_SECTOR;
	}
	r = vmdk_tables_place(t, gd, e);
	if (r == 0)
		r = vmdk_tables_check(t, &lost, e);
	if (r < 0)
		return r;
	x->no_writing = find_obstacle(t, h, lost);
	if (lost > 0)
		image_warn(img,
			"%s has lost %" PRIu64
			" of its grain directory's entries; the redundant one is used for them",
			t->io->name, lost);
	return 0;
}

/* Reads a stream without directory by its markers.  It may lack grains at its end: only for a user
 * who gives the format.  e has the reason why there is no directory. */
static int recover(
	struct vmdk_extent *x, const struct vmdk_header *h, const struct image *img, struct err *e)
{
	struct sparse *s = sparse_of(x);
	struct err ours = ERR_INIT;
	int r;

	if (!(h->flags & VMDK_MARKERS))
		return -e->code;
	if (!img->format_given)
		return err_hint_code(e, HINT_SALVAGE, "vmdk");
	r = vmdk_recover_scan(s->tables.io, h, &s->recovery, &ours);
	if (r == -ENODATA)
		return -e->code;
	*e = ours;
	x->no_writing = "it has lost its directory";
	if (r == 0)
		image_warn(img,
			"%s has lost its directory; only grains found by their markers are shown",
			s->tables.io->name);
	return r;
}

static void set_header(struct sparse *s, const struct vmdk_header *h)
{
	struct vmdk_tables *t = &s->tables;

	t->table_at = t->grain_at = vmdk_tables_decode_sector;
	t->entry_len = VMDK_ENTRY;
	t->per_table = h->tables_len;
	t->grain = h->grain * VMDK_SECTOR;
	t->capacity = h->capacity * VMDK_SECTOR;
	t->first_grain = h->overhead;
	if (h->desc_start > 0 &&
		range_fits(h->desc_start, h->desc_len, t->io->size / VMDK_SECTOR)) {
		t->text_pos = h->desc_start * VMDK_SECTOR;
		t->text_len = h->desc_len * VMDK_SECTOR;
	}
	/* With or without the flag: sector 1 cannot be a grain (is_doubtful in tables.c). */
	t->zero_grains = true;
	t->zero_marks = h->flags & VMDK_ZERO_GRAINS;
	t->compressed = h->flags & VMDK_COMPRESSED;
	s->markers = h->flags & VMDK_MARKERS;
}

static int sparse_open(struct vmdk_extent *x, const struct image *img, struct err *e)
{
	struct sparse *s = calloc(1, sizeof *s);
	struct vmdk_header h, footer;
	int r;

	if (!s)
		return err_nomem(e);
	x->tables = &s->tables;
	s->tables.cache = img->opts->cache;
	s->tables.io = x->io;
	s->codec = img->opts->codec;
	r = vmdk_header_read(x->io, 0, &h, e);
	if (r < 0)
		return r;
	set_header(s, &h);
	/* Tables lie before the overhead, unless they lie at the end. */
	if (h.gd != VMDK_GD_AT_END && h.overhead > x->io->size / VMDK_SECTOR)
		return err_set(e, EUCLEAN,
			"the file is cut short: %" PRIu64 " bytes, at least %" PRIu64
			" sectors expected",
			x->io->size, h.overhead);
	if (h.gd == VMDK_GD_AT_END) {
		r = vmdk_header_read_footer(x->io, &footer, e);
		if (r == -EUCLEAN)
			return recover(x, &h, img, e);
		if (r < 0)
			return r;
		h = footer;
		set_header(s, &h);
	}
	r = load_tables(x, &h, img, e);
	if (r == 0 && s->tables.capacity < x->len && !x->no_writing)
		x->no_writing = "its sparse extent is shorter than its extent line";
	return r;
}

static void sparse_close(struct vmdk_extent *x)
{
	vmdk_recover_free(sparse_of(x)->recovery);
	vmdk_alloc_free(x->tables->alloc);
}

static int sparse_map(
	const struct vmdk_extent *x, uint64_t off, uint64_t len, struct extent *out, struct err *e)
{
	const struct sparse *s = sparse_of(x);
	int r = s->recovery ? vmdk_recover_map(s->recovery, off, len, out, e)
			    : vmdk_tables_map(x, off, len, out, e);

	if (r < 0 || out->kind != EXTENT_GENERATED)
		return r;
	out->io = x->io;
	/* There are 2^32 grains at most.  The ID contains the number of the grain: two grains with
	 * the same sector are checked separately. */
	out->unit_id = out->unit_id << 32 | out->pos;
	out->unit_len = s->tables.grain;
	out->pos = off % s->tables.grain;
	return 0;
}

/* The position in the file of the grain of a unit_id. */
static uint64_t stored_at(uint64_t unit_id)
{
	return (uint32_t)unit_id * (uint64_t)VMDK_SECTOR;
}

/* Reads and decompresses a grain: a 64-bit sector of the disk, if there are markers, a 32-bit
 * length, and a zlib stream (Compressed Grain). */
static int read_compressed(
	const struct vmdk_extent *x, uint64_t unit_id, unsigned char *out, struct err *e)
{
	const struct sparse *s = sparse_of(x);
	uint32_t size = s->tables.grain, max = VMDK_COMPRESSED_MAX(size), len;
	uint64_t grain = unit_id >> 32, pos = stored_at(unit_id);
	/* A grain that ends after the disk may be stored short: the rest is never read. */
	uint64_t needed = MIN(size, s->tables.capacity - grain * size);
	size_t head = s->markers ? VMDK_RECORD_HEAD : 4;
	unsigned char raw[VMDK_RECORD_HEAD];
	ssize_t made;
	void *in;
	int r = io_read(x->io, raw, head, pos, e);

	if (r < 0)
		return r;
	if (s->markers && load_le64(raw) != grain * (size / VMDK_SECTOR))
		return err_set(e, EUCLEAN,
			"the data at %" PRIu64 " is of sector %" PRIu64 ", not %" PRIu64, pos,
			load_le64(raw), grain * (size / VMDK_SECTOR));
	len = load_le32(raw + head - 4);
	if (len == 0 || len > max || !range_fits(pos + head, len, x->io->size))
		return err_set(e, EUCLEAN,
			"compressed length %" PRIu32 " at %" PRIu64 ", at most %" PRIu32
			" inside a file of %" PRIu64 " expected",
			len, pos, max, x->io->size);
	pos += head;
	in = malloc(len);
	if (!in)
		return err_nomem(e);
	made = io_read(x->io, in, len, pos, e);
	if (made == 0) {
		made = codec_inflate_zlib(s->codec, in, len, out, size, e);
		if (made < 0)
			err_in(e, "data at %" PRIu64, pos);
	}
	free(in);
	if (made < 0)
		return -e->code;
	if ((uint64_t)made < needed)
		return err_set(e, EUCLEAN,
			"the data at %" PRIu64 " gives %zd bytes, %" PRIu64 " expected", pos, made,
			needed);
	memset(out + made, 0, size - made);
	return 0;
}

static int sparse_fill(
	const struct vmdk_extent *x, const struct extent *unit, void *buf, struct err *e)
{
	if (read_compressed(x, unit->unit_id, buf, e) < 0)
		return err_in(e, "%s: grain %" PRIu64, x->io->name, unit->unit_id >> 32);
	return 0;
}

/* The length of the data is only in the file, before them; they are seldom longer than the grain.
 */
static uint64_t sparse_locate(const struct extent *unit, uint64_t *pos)
{
	*pos = stored_at(unit->unit_id);
	return VMDK_RECORD_HEAD + unit->unit_len;
}

const struct vmdk_kind vmdk_sparse = {
	.open = sparse_open,
	.close = sparse_close,
	.map = sparse_map,
	.fill = sparse_fill,
	.locate = sparse_locate,
};
