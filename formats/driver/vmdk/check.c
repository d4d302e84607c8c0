/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - looks at all grains of a VMDK, and compares its tables with the redundant ones.
 *
 * Where both say something else, what is read is right: the first, unless that cannot be and the
 * other can.  Where one of them does not know yet what the other does, a crash kept it: that is no
 * damage, and counts as the room that is lost to one of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/cache.h"
#include "io/io.h"
#include "image/check.h"
#include "image/image.h"
#include "disk.h"
#include "metadata.h"
#include "tables.h"
#include "vmdk.h"

#define TABLES_LEAST (UINT64_C(64) << 20) /* bytes: so many may always be compared */

struct walk {
	const struct vmdk_tables *t;
	struct check_report *r;
	unsigned repair;
	uint64_t left; /* bytes that sound tables may still have: no more than the file holds */
	uint64_t end;  /* of what is in use in the file */
	struct vmdk_metadata meta;
};

/* Counts a difference; true: it is to be mended. */
static bool found(
	struct walk *w, bool lags, const char *what, uint64_t i, uint64_t place, uint64_t other)
{
	unsigned fix = lags ? CHECK_LEAKS : CHECK_ERRORS;

	check_tell(w->r,
		"%s %s: entry %" PRIu64 " is %" PRIu64 ", %" PRIu64 " in the redundant one",
		w->repair & fix ? "Repairing"
		: lags          ? "Unfinished"
				: "ERROR",
		what, i, place, other);
	if (w->repair & fix)
		return true;
	w->r->leaks += lags;
	w->r->corruptions += !lags;
	return false;
}

static void mended(struct walk *w, bool lags)
{
	w->r->leaks_fixed += lags;
	w->r->corruptions_fixed += !lags;
}

/* Grain tables. */

/* A grain that is read from this sector. */
static void look_at_grain(struct walk *w, uint64_t grain, uint64_t sector)
{
	const struct vmdk_tables *t = w->t;
	uint64_t pos = sector * VMDK_SECTOR;
	const char *hit;

	w->end = MAX(w->end, pos + t->grain);
	if (t->compressed)
		return;
	hit = vmdk_metadata_find(&w->meta, pos, t->grain);
	if (hit)
		check_corruption(w->r,
			"ERROR grain table: grain %" PRIu64 " in sector %" PRIu64 " and %s overlap",
			grain, sector, hit);
	if (!vmdk_tables_grain_is_whole(t, grain, sector))
		check_corruption(w->r,
			"ERROR grain table: grain %" PRIu64 " in sector %" PRIu64
			" passes the end of the file, %" PRIu64 " bytes",
			grain, sector, (uint64_t)t->io->size);
}

/* The grain and its entries, and where these are. */
static int compare_entry(struct walk *w, uint64_t grain, const unsigned char *entry, uint64_t pos,
	const unsigned char *twin, uint64_t twin_pos, struct err *e)
{
	const struct vmdk_tables *t = w->t;
	uint64_t place = t->grain_at(t, entry), other = t->grain_at(t, twin);
	bool possible = vmdk_tables_valid_grain(t, place);
	bool twin_possible = vmdk_tables_valid_grain(t, other), lags;
	uint64_t read = possible ? place : other;
	int r;

	if (check_go_on(w->r, e) < 0)
		return -e->code;
	if (vmdk_tables_is_sector(read) && (possible || twin_possible))
		look_at_grain(w, grain, read);
	if (memcmp(entry, twin, t->entry_len) == 0 || (!possible && !twin_possible))
		return 0;
	lags = possible && twin_possible &&
	       !(vmdk_tables_is_sector(place) && vmdk_tables_is_sector(other));
	if (!found(w, lags, "grain table", grain, place, other))
		return 0;
	r = possible ? io_write(t->io, entry, t->entry_len, twin_pos, e)
		     : io_write(t->io, twin, t->entry_len, pos, e);
	if (r == 0)
		mended(w, lags);
	return r;
}

/* n grains from that number on, whose entries are at pos and, if there are two tables, at twin. */
static int compare_tables(
	struct walk *w, uint64_t grain, uint64_t n, uint64_t pos, uint64_t twin, struct err *e)
{
	const struct vmdk_tables *t = w->t;
	uint32_t len = t->entry_len;
	int r = 0;

	for (uint64_t i = 0, here; r == 0 && i < n; i += here) {
		unsigned char a[META_PAGE], b[META_PAGE];

		here = MIN(sizeof a / len, n - i);
		r = meta_read(t->cache, t->io, a, here * len, pos + i * len, e);
		if (r == 0)
			r = meta_read(t->cache, t->io, b, here * len, twin + i * len, e);
		for (uint64_t k = 0; r == 0 && k < here; k++)
			r = compare_entry(w, grain + i + k, a + k * len, pos + (i + k) * len,
				b + k * len, twin + (i + k) * len, e);
	}
	return r;
}

static bool in_hole(struct io *io, uint64_t pos, uint64_t len)
{
	return io_seek(io, pos, SEEK_DATA) - pos >= len;
}

/* Table i and its twin, or only the one that there is. */
static int look_at_tables(struct walk *w, uint64_t i, uint64_t table, uint64_t twin, struct err *e)
{
	const struct vmdk_tables *t = w->t;
	uint64_t grain = i * t->per_table, n = MIN(t->per_table, t->ngrains - grain);
	uint64_t len = n * t->entry_len, pos = table * VMDK_SECTOR, twin_pos = twin * VMDK_SECTOR;

	w->end = MAX(w->end, MAX(pos, twin_pos) + (uint64_t)t->per_table * t->entry_len);
	if (in_hole(t->io, pos, len) && in_hole(t->io, twin_pos, len))
		return 0;
	if (w->left < len)
		return err_set(
			e, EUCLEAN, "its tables overlap: they have more bytes than the file");
	w->left -= len;
	return compare_tables(w, grain, n, pos, twin_pos, e);
}

/* Grain directories. */

/* An entry of a directory that is no good: its table is made again, at the end of the file, from
 * the other one. */
static int make_table(struct walk *w, uint64_t directory, uint64_t i, uint64_t from, struct err *e)
{
	const struct vmdk_tables *t = w->t;
	uint64_t pos = round_up(MAX(t->io->size, w->end), VMDK_SECTOR);
	unsigned char buf[VMDK_MAX_GTES_PER_GT * 4], entry[4];
	size_t len = t->per_table * t->entry_len;
	int r;

	if (pos / VMDK_SECTOR > UINT32_MAX)
		return err_set(e, EFBIG, "a sparse extent ends at 2 TiB");
	r = io_read_padded(t->io, buf, len, from * VMDK_SECTOR, e);
	if (r == 0)
		r = io_write(t->io, buf, len, pos, e);
	if (r == 0)
		r = io_sync(t->io, e);
	store_le32(entry, pos / VMDK_SECTOR);
	if (r == 0)
		r = io_write(t->io, entry, sizeof entry, directory + i * sizeof entry, e);
	w->end = MAX(w->end, pos + len);
	return r;
}

static int read_place(
	const struct vmdk_tables *t, uint64_t directory, uint64_t i, uint64_t *place, struct err *e)
{
	unsigned char raw[8];
	int r = meta_read(t->cache, t->io, raw, t->entry_len, directory + i * t->entry_len, e);

	*place = r == 0 ? t->table_at(t, raw) : VMDK_NONE;
	return r;
}

/* One of both is possible. */
static int mend_directory(struct walk *w, uint64_t i, uint64_t place, uint64_t twin,
	bool first_is_good, struct err *e)
{
	const struct vmdk_tables *t = w->t;
	bool lags = !vmdk_tables_is_sector(first_is_good ? twin : place);
	int r;

	if (check_go_on(w->r, e) < 0)
		return -e->code;
	if (!found(w, lags, "grain directory", i, place, twin))
		return 0;
	r = first_is_good ? make_table(w, t->rgd_pos, i, place, e)
			  : make_table(w, t->gd_pos, i, twin, e);
	if (r == 0)
		mended(w, lags);
	return r;
}

/* What neither directory has is told where the map is looked at. */
static int look_at_entry(struct walk *w, uint64_t i, struct err *e)
{
	const struct vmdk_tables *t = w->t;
	uint64_t place, twin;
	bool good, twin_good;
	int r = read_place(t, t->gd_pos, i, &place, e);

	if (r < 0)
		return r;
	good = vmdk_tables_valid_table(t, i, place);
	if (place == VMDK_ZERO && t->zero_tables)
		return 0;
	if (!t->rgd_pos)
		return good ? look_at_tables(w, i, place, place, e) : 0;
	r = read_place(t, t->rgd_pos, i, &twin, e);
	twin_good = vmdk_tables_valid_table(t, i, twin);
	if (r < 0 || (!good && !twin_good))
		return r;
	r = look_at_tables(w, i, good ? place : twin, twin_good ? twin : place, e);
	return r == 0 && good != twin_good ? mend_directory(w, i, place, twin, good, e) : r;
}

/* The rest of the file. */

static int look_at_tail(struct walk *w, struct err *e)
{
	const struct vmdk_tables *t = w->t;
	uint64_t end = round_up(w->end, t->grain), n;
	bool mend = w->repair & CHECK_LEAKS && w->r->corruptions == 0;
	int r;

	if (t->compressed || t->io->is_block || t->io->size < end + t->grain)
		return 0;
	n = (t->io->size - end) / t->grain;
	check_tell(w->r, "%s %" PRIu64 " grains behind sector %" PRIu64 " of %s",
		mend ? "Cutting off" : "Leaked", n, end / VMDK_SECTOR, t->io->name);
	if (!mend) {
		w->r->leaks += n;
		return 0;
	}
	r = io_resize(t->io, end, e);
	w->r->leaks_fixed += r == 0 ? n : 0;
	return r;
}

static int walk(struct walk *w, struct err *e)
{
	const struct vmdk_tables *t = w->t;
	uint64_t had = w->r->corruptions_fixed + w->r->leaks_fixed;
	int r = 0;

	w->end = MAX(t->first_grain * VMDK_SECTOR, w->meta.end);
	for (uint64_t i = 0; r == 0 && i < t->gd_len / t->entry_len; i++)
		r = look_at_entry(w, i, e);
	if (r == 0)
		r = look_at_tail(w, e);
	if (r == 0 && w->r->corruptions_fixed + w->r->leaks_fixed > had)
		r = io_sync(t->io, e);
	if (w->repair)
		cache_forget(t->cache, t->io);
	return r;
}

/* Nothing is mended where structures overlap. */
static int look_at_meta(struct walk *w, struct err *e)
{
	int r = vmdk_metadata_read(w->t, &w->meta, e);

	if (r < 0 || vmdk_metadata_check(&w->meta, e) == 0)
		return r;
	check_corruption(w->r, "ERROR %s", e->text);
	*e = (struct err)ERR_INIT;
	w->repair = 0;
	return 0;
}

/* Only hosted extents have tables that this knows; gd_len is 0 where they were lost. */
static int check_extent(
	const struct vmdk_extent *x, unsigned repair, struct check_report *r, struct err *e)
{
	struct walk w = {.t = x->tables, .r = r, .repair = repair, .left = TABLES_LEAST};
	int rc;

	if (!w.t || w.t->gd_len == 0)
		return 0;
	if (!w.t->io->writable)
		w.repair = 0;
	w.left += w.t->io->is_block ? w.t->io->size : w.t->io->stored;
	rc = look_at_meta(&w, e);
	if (rc == 0)
		rc = walk(&w, e);
	vmdk_metadata_free(&w.meta);
	return rc < 0 ? err_in(e, "%s", x->io->name) : 0;
}

int vmdk_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	const struct vmdk *v = vmdk_disk_of(img);
	int rc = check_map(img, 0, r, e);

	/* Nothing is mended round what is damaged beyond that. */
	if (r->corruptions > 0)
		repair = 0;
	for (size_t i = 0; rc == 0 && i < v->desc.nlines; i++)
		rc = check_extent(&v->extents[i], repair, r, e);
	return rc;
}
