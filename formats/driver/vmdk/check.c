/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - checks all grains of a VMDK, and compares its grain tables with the redundant ones.
 *
 * If both have an entry and these differ, the one that is read is right: the first, unless it is
 * impossible and the redundant one is not.  If only one of them has an entry, a crash kept the
 * other from being written: this counts as a leak, not as corruption.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/cache.h"
#include "io/meta.h"
#include "io/io.h"
#include "image/check.h"
#include "image/image.h"
#include "disk.h"
#include "metadata.h"
#include "tables.h"
#include "vmdk.h"

#define TABLES_LEAST (UINT64_C(64) << 20) /* bytes of tables that are compared in any file */

struct extent_check {
	const struct vmdk_tables *t;
	struct check_report *r;
	unsigned repair;
	uint64_t left; /* bytes of tables that may still follow: no more than the file holds */
	uint64_t end;  /* of grains and metadata in the file */
	struct vmdk_metadata meta;
};

/* Reports a difference; true: it is to be repaired. */
static bool report_difference(struct extent_check *c, bool unfinished, const char *structure,
	uint64_t i, uint64_t place, uint64_t redundant)
{
	bool repair = c->repair & (unfinished ? CHECK_LEAKS : CHECK_ERRORS);

	check_tell(c->r,
		"%s %s: entry %" PRIu64 " is %" PRIu64 ", %" PRIu64 " in the redundant one",
		repair       ? "Repairing"
		: unfinished ? "Unfinished"
			     : "ERROR",
		structure, i, place, redundant);
	if (repair)
		return true;
	c->r->leaks += unfinished;
	c->r->corruptions += !unfinished;
	return false;
}

static void count_repaired(struct extent_check *c, bool unfinished)
{
	c->r->leaks_fixed += unfinished;
	c->r->corruptions_fixed += !unfinished;
}

static void check_grain(struct extent_check *c, uint64_t grain, uint64_t sector)
{
	const struct vmdk_tables *t = c->t;
	uint64_t pos = sector * VMDK_SECTOR;
	const char *hit;

	c->end = MAX(c->end, pos + t->grain);
	if (t->compressed)
		return;
	hit = vmdk_metadata_find(&c->meta, pos, t->grain);
	if (hit)
		check_corruption(c->r,
			"ERROR grain table: grain %" PRIu64 " in sector %" PRIu64 " and %s overlap",
			grain, sector, hit);
	if (!vmdk_tables_grain_is_whole(t, grain, sector))
		check_corruption(c->r,
			"ERROR grain table: grain %" PRIu64 " in sector %" PRIu64
			" passes the end of the file, %" PRIu64 " bytes",
			grain, sector, (uint64_t)t->io->size);
}

/* Compares the entries of a grain, which are read from the positions pos and redundant_pos. */
static int check_entry(struct extent_check *c, uint64_t grain, const unsigned char *entry,
	uint64_t pos, const unsigned char *redundant, uint64_t redundant_pos, struct err *e)
{
	const struct vmdk_tables *t = c->t;
	uint64_t place = t->grain_at(t, entry), other = t->grain_at(t, redundant);
	bool valid = vmdk_tables_valid_grain(t, place), unfinished;
	bool redundant_valid = vmdk_tables_valid_grain(t, other);
	uint64_t read = valid ? place : other;
	int r;

	if (check_go_on(c->r, e) < 0)
		return -e->code;
	if (vmdk_tables_is_sector(read) && (valid || redundant_valid))
		check_grain(c, grain, read);
	if (memcmp(entry, redundant, t->entry_len) == 0 || (!valid && !redundant_valid))
		return 0;
	unfinished = valid && redundant_valid &&
		     !(vmdk_tables_is_sector(place) && vmdk_tables_is_sector(other));
	if (!report_difference(c, unfinished, "grain table", grain, place, other))
		return 0;
	r = valid ? io_write(t->io, entry, t->entry_len, redundant_pos, e)
		  : io_write(t->io, redundant, t->entry_len, pos, e);
	if (r == 0)
		count_repaired(c, unfinished);
	return r;
}

/* Compares table i with its redundant table, or with itself if there is only one. */
static int check_tables(
	struct extent_check *c, uint64_t i, uint64_t table, uint64_t redundant, struct err *e)
{
	const struct vmdk_tables *t = c->t;
	uint64_t grain = i * t->per_table, n = MIN(t->per_table, t->ngrains - grain);
	uint64_t pos = table * VMDK_SECTOR, other = redundant * VMDK_SECTOR;
	uint32_t len = t->entry_len;
	int r = 0;

	c->end = MAX(c->end, MAX(pos, other) + (uint64_t)t->per_table * len);
	if (vmdk_tables_in_hole(t, table, n) && vmdk_tables_in_hole(t, redundant, n))
		return 0;
	if (c->left < n * len)
		return err_set(
			e, EUCLEAN, "its tables overlap: they have more bytes than the file");
	c->left -= n * len;
	for (uint64_t k = 0, here; r == 0 && k < n; k += here) {
		unsigned char a[META_PAGE], b[META_PAGE];

		here = MIN(sizeof a / len, n - k);
		r = meta_read(t->cache, t->io, a, here * len, pos + k * len, e);
		if (r == 0)
			r = meta_read(t->cache, t->io, b, here * len, other + k * len, e);
		for (uint64_t m = 0; r == 0 && m < here; m++)
			r = check_entry(c, grain + k + m, a + m * len, pos + (k + m) * len,
				b + m * len, other + (k + m) * len, e);
	}
	return r;
}

/* Sets entry i of a directory to a new copy, at the end of the file, of the table in sector
 * from. */
static int copy_table(
	struct extent_check *c, uint64_t directory, uint64_t i, uint64_t from, struct err *e)
{
	const struct vmdk_tables *t = c->t;
	uint64_t pos = round_up(MAX(t->io->size, c->end), VMDK_SECTOR);
	unsigned char buf[VMDK_MAX_GTES_PER_GT * VMDK_ENTRY], entry[VMDK_ENTRY];
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
	c->end = MAX(c->end, pos + len);
	return r;
}

/* Checks entry i of the directories, and the tables.  An entry that is impossible in both is
 * reported by check_map. */
static int check_directory_entry(struct extent_check *c, uint64_t i, struct err *e)
{
	const struct vmdk_tables *t = c->t;
	uint64_t place, other;
	bool valid, redundant_valid, unfinished;
	int r = vmdk_tables_read_place(t, t->gd_pos, i, &place, e);

	if (r < 0)
		return r;
	valid = vmdk_tables_valid_table(t, i, place);
	if (place == VMDK_ZERO && t->zero_marks)
		return 0;
	if (!t->rgd_pos)
		return valid ? check_tables(c, i, place, place, e) : 0;
	r = vmdk_tables_read_place(t, t->rgd_pos, i, &other, e);
	redundant_valid = vmdk_tables_valid_table(t, i, other);
	if (r < 0 || (!valid && !redundant_valid))
		return r;
	r = check_tables(c, i, valid ? place : other, redundant_valid ? other : place, e);
	if (r < 0 || valid == redundant_valid)
		return r;
	if (check_go_on(c->r, e) < 0)
		return -e->code;
	unfinished = !vmdk_tables_is_sector(valid ? other : place);
	if (!report_difference(c, unfinished, "grain directory", i, place, other))
		return 0;
	r = valid ? copy_table(c, t->rgd_pos, i, place, e) : copy_table(c, t->gd_pos, i, other, e);
	if (r == 0)
		count_repaired(c, unfinished);
	return r;
}

static int check_tail(struct extent_check *c, struct err *e)
{
	const struct vmdk_tables *t = c->t;
	uint64_t end = round_up(c->end, t->grain), n;
	bool repair = c->repair & CHECK_LEAKS && c->r->corruptions == 0;
	int r;

	if (t->compressed || t->io->is_block || t->io->size < end + t->grain)
		return 0;
	n = (t->io->size - end) / t->grain;
	check_tell(c->r, "%s %" PRIu64 " grains after sector %" PRIu64 " of %s",
		repair ? "Cutting off" : "Leaked", n, end / VMDK_SECTOR, t->io->name);
	if (!repair) {
		c->r->leaks += n;
		return 0;
	}
	r = io_resize(t->io, end, e);
	c->r->leaks_fixed += r == 0 ? n : 0;
	return r;
}

/* Only hosted extents have redundant tables.  gd_len is 0 where the directory was lost. */
static int check_extent(
	const struct vmdk_extent *x, unsigned repair, struct check_report *r, struct err *e)
{
	const struct vmdk_tables *t = x->tables;
	struct extent_check c = {.t = t, .r = r, .left = TABLES_LEAST};
	uint64_t fixed = r->corruptions_fixed + r->leaks_fixed;
	int rc;

	if (x->kind != &vmdk_sparse || t->gd_len == 0)
		return 0;
	c.repair = t->io->writable ? repair : 0;
	c.left += t->io->is_block ? t->io->size : t->io->stored;
	rc = vmdk_metadata_read(t, &c.meta, e);
	/* Nothing is repaired where structures overlap. */
	if (rc == 0 && vmdk_metadata_check(&c.meta, e) < 0) {
		check_corruption(r, "ERROR %s", e->text);
		*e = (struct err)ERR_INIT;
		c.repair = 0;
	}
	c.end = MAX(t->first_grain * VMDK_SECTOR, c.meta.end);
	for (uint64_t i = 0; rc == 0 && i < vmdk_tables_count(t); i++)
		rc = check_directory_entry(&c, i, e);
	if (rc == 0)
		rc = check_tail(&c, e);
	if (rc == 0 && r->corruptions_fixed + r->leaks_fixed > fixed)
		rc = io_sync(t->io, e);
	if (c.repair)
		cache_forget(t->cache, t->io);
	vmdk_metadata_free(&c.meta);
	return rc < 0 ? err_in(e, "%s", x->io->name) : 0;
}

int vmdk_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	const struct vmdk *v = vmdk_disk_of(img);
	int rc = check_map(img, 0, r, e);

	/* Nothing is repaired around other damage. */
	if (r->corruptions > 0)
		repair = 0;
	for (size_t i = 0; rc == 0 && i < v->desc.nlines; i++)
		rc = check_extent(&v->extents[i], repair, r, e);
	return rc;
}
