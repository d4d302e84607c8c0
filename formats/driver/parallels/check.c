/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - checks the BATs of all expanding images of a Parallels disk, and repairs them.
 *
 * Findings, messages, counts and repairs are those of QEMU 7.2, which handles single files.  An
 * entry that points outside of a file with a parent is not cleared: the disk would show what the
 * cluster was before.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/cache.h"
#include "io/meta.h"
#include "io/io.h"
#include "image/check.h"
#include "image/image.h"
#include "disk.h"
#include "file.h"

struct bat_check {
	const struct parallels_file *f;
	struct check_report *r;
	unsigned repair;
	bool based;    /* there is a parent */
	uint64_t last; /* position of the previous cluster; 0: not allocated */
	uint64_t end;  /* of the last cluster in the file */
};

static int check_entry(struct bat_check *c, uint64_t i, uint64_t pos, struct err *e)
{
	static const unsigned char zero[PARALLELS_BAT_ENTRY];
	const struct parallels_file *f = c->f;
	int r;

	if (pos == 0) {
		c->last = 0;
		return 0;
	}
	if (pos >= f->io->size && c->repair & CHECK_ERRORS && !c->based) {
		check_tell(c->r, "Repairing cluster %" PRIu64 " is outside image", i);
		r = io_write(
			f->io, zero, sizeof zero, PARALLELS_HEADER + i * PARALLELS_BAT_ENTRY, e);
		c->r->corruptions_fixed += r == 0;
		c->last = 0;
		return r;
	}
	if (pos >= f->io->size)
		check_corruption(c->r, "ERROR cluster %" PRIu64 " is outside image", i);
	else if (pos < f->data_pos)
		check_corruption(c->r, "ERROR cluster %" PRIu64 " lies before the data", i);
	c->r->allocated_clusters++;
	c->r->fragmented_clusters += c->last && c->last + f->cluster != pos;
	c->last = pos;
	c->end = MAX(c->end, pos + f->cluster);
	return 0;
}

/* A BAT may be a large hole: it is skipped, it has no clusters. */
static int check_bat(struct bat_check *c, struct cache *cache, struct err *e)
{
	const struct parallels_file *f = c->f;
	uint64_t n = f->nentries;
	int r = 0;

	for (uint64_t i = 0, here; r == 0 && i < n; i += here) {
		uint64_t pos = PARALLELS_HEADER + i * PARALLELS_BAT_ENTRY;
		uint64_t data = io_seek(f->io, pos, SEEK_DATA);
		struct meta m;

		here = (data - pos) / PARALLELS_BAT_ENTRY;
		if (data - pos >= META_PAGE) {
			c->last = 0;
			continue;
		}
		if (meta_pin(cache, f->io, pos, &m, e) < 0)
			return err_in(e, "BAT");
		here = MIN(m.n / PARALLELS_BAT_ENTRY, n - i);
		for (uint64_t k = 0; r == 0 && k < here; k++)
			r = check_entry(
				c, i + k, load_le32(m.p + k * PARALLELS_BAT_ENTRY) * f->unit, e);
		meta_unpin(cache, &m);
	}
	return r;
}

/* While an entry is wrong the tail is kept: it may hold the cluster that the entry pointed to. */
static int check_tail(struct bat_check *c, bool sound, struct err *e)
{
	uint64_t size = c->f->io->size, n;
	int r;

	if (size <= c->end)
		return 0;
	n = div_round_up(size - c->end, c->f->cluster);
	if (!(c->repair & CHECK_LEAKS) || !sound) {
		check_leak(
			c->r, "ERROR space leaked at the end of the image %" PRIu64, size - c->end);
		c->r->leaks += n - 1;
		return 0;
	}
	check_tell(c->r, "Repairing space leaked at the end of the image %" PRIu64, size - c->end);
	r = io_resize(c->f->io, c->end, e);
	c->r->leaks_fixed += r == 0 ? n : 0;
	return r;
}

/* Called last: a repair that is interrupted leaves the mark.  It stays in a file that is still
 * damaged, too. */
static int clear_mark(struct bat_check *c, bool sound, struct err *e)
{
	static const unsigned char closed[4];
	struct io *io = c->f->io;
	int r;

	if (!sound) {
		check_corruption(c->r, "ERROR image was not closed correctly");
		return 0;
	}
	check_tell(c->r, "Repairing image was not closed correctly");
	r = io_sync(io, e);
	if (r == 0)
		r = io_write(io, closed, sizeof closed, PARALLELS_AT_IN_USE, e);
	c->r->corruptions_fixed += r == 0;
	return r;
}

static int check_file(struct parallels_file *f, bool based, unsigned repair, struct cache *cache,
	struct check_report *r, struct err *e)
{
	struct bat_check c = {.f = f, .r = r, .repair = repair, .based = based, .end = f->data_pos};
	uint64_t before, fixed = r->corruptions_fixed + r->leaks_fixed;
	bool clear = f->unclean && repair & CHECK_ERRORS;
	int rc;

	if (f->unclean && !clear)
		check_corruption(r, "ERROR image was not closed correctly");
	before = r->corruptions;
	rc = check_bat(&c, cache, e);
	if (rc == 0)
		rc = check_tail(&c, r->corruptions == before, e);
	if (rc == 0 && clear)
		rc = clear_mark(&c, r->corruptions == before, e);
	if (rc == 0 && r->corruptions_fixed + r->leaks_fixed > fixed)
		rc = io_sync(f->io, e);
	if (repair)
		cache_forget(cache, f->io);
	if (rc < 0)
		return err_in(e, "%s", f->io->name);
	f->unclean &= !clear || r->corruptions > before;
	r->total_clusters += f->nentries;
	r->image_end_offset = MAX(r->image_end_offset, c.end);
	return 0;
}

int parallels_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	const struct parallels *p = img->priv;

	for (size_t i = 0; i < p->nstorages; i++)
		for (size_t k = 0; k < p->nsnapshots; k++) {
			struct parallels_file *f = &p->storages[i].files[k];
			bool based = p->snapshots[k].parent != PARALLELS_NONE;

			if (f->io && !f->plain && !p->snapshots[k].broken &&
				check_file(f, based, repair, p->cache, r, e) < 0)
				return -e->code;
		}
	return check_overlaps(img, r, e);
}
