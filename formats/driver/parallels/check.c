/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - checks the BATs of all expanding files of a Parallels disk, and repairs them.
 *
 * Findings, their words, how they count and what a repair does are those of QEMU 7.2, which knows
 * single files.  In a file with another one below it, an entry that leads out of the file is not
 * cleared: that would bring back what the cluster was before.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "image/check.h"
#include "util/err.h"
#include "image/image.h"
#include "io/io.h"
#include "parallels.h"

struct walk {
	const struct parallels_file *f;
	struct check_report *r;
	unsigned repair;
	bool based;    /* there is a file below this one */
	uint64_t last; /* position of the cluster before, 0: there was none */
	uint64_t end;  /* of the last cluster in the file */
};

static int clear_entry(struct walk *w, uint64_t i, struct err *e)
{
	static const unsigned char zero[PARALLELS_BAT_ENTRY];
	int r;

	check_tell(w->r, "Repairing cluster %" PRIu64 " is outside image", i);
	r = io_write(w->f->io, zero, sizeof zero, PARALLELS_HEADER + i * PARALLELS_BAT_ENTRY, e);
	w->r->corruptions_fixed += r == 0;
	w->last = 0;
	return r;
}

static int walk_cluster(struct walk *w, uint64_t i, uint64_t pos, struct err *e)
{
	const struct parallels_file *f = w->f;

	if (pos == 0) {
		w->last = 0;
		return 0;
	}
	if (pos >= f->io->size && w->repair & CHECK_ERRORS && !w->based)
		return clear_entry(w, i, e);
	if (pos >= f->io->size)
		check_corruption(w->r, "ERROR cluster %" PRIu64 " is outside image", i);
	else if (pos < f->data_pos)
		check_corruption(w->r, "ERROR cluster %" PRIu64 " lies before the data", i);
	w->r->allocated_clusters++;
	w->r->fragmented_clusters += w->last && w->last + f->cluster != pos;
	w->last = pos;
	w->end = MAX(w->end, pos + f->cluster);
	return 0;
}

static int walk_page(
	struct walk *w, const struct meta *m, uint64_t first, uint64_t n, struct err *e)
{
	int r = 0;

	for (uint64_t k = 0; r == 0 && k < n; k++)
		r = walk_cluster(
			w, first + k, load_le32(m->p + k * PARALLELS_BAT_ENTRY) * w->f->unit, e);
	return r;
}

/* A BAT may be a large hole: there are no clusters then. */
static int walk_bat(struct walk *w, struct cache *cache, struct err *e)
{
	const struct parallels_file *f = w->f;
	uint64_t start = PARALLELS_HEADER, n = f->nentries;
	int r = 0;

	for (uint64_t i = 0, here; r == 0 && i < n; i += here) {
		uint64_t pos = start + i * PARALLELS_BAT_ENTRY;
		uint64_t data = io_seek(f->io, pos, SEEK_DATA);
		struct meta m;

		here = (data - pos) / PARALLELS_BAT_ENTRY;
		if (data - pos >= META_PAGE) {
			w->last = 0;
			continue;
		}
		if (meta_pin(cache, f->io, pos, &m, e) < 0)
			return err_in(e, "BAT");
		here = MIN(m.n / PARALLELS_BAT_ENTRY, n - i);
		r = walk_page(w, &m, i, here, e);
		meta_unpin(cache, &m);
	}
	return r;
}

/* Nothing is cut off under entries that stay wrong: what they stood for may be in what looks
 * unused. */
static int check_tail(struct walk *w, bool sound, struct err *e)
{
	uint64_t size = w->f->io->size, n;
	int r;

	if (size <= w->end)
		return 0;
	n = div_round_up(size - w->end, w->f->cluster);
	if (!(w->repair & CHECK_LEAKS) || !sound) {
		check_leak(
			w->r, "ERROR space leaked at the end of the image %" PRIu64, size - w->end);
		w->r->leaks += n - 1;
		return 0;
	}
	check_tell(w->r, "Repairing space leaked at the end of the image %" PRIu64, size - w->end);
	r = io_resize(w->f->io, w->end, e);
	w->r->leaks_fixed += r == 0 ? n : 0;
	return r;
}

/* Last of all: until then the repair itself may be cut short.  A mark in a file that is damaged all
 * the same stays, too. */
static int clear_mark(struct walk *w, bool sound, struct err *e)
{
	static const unsigned char closed[4];
	struct io *io = w->f->io;
	int r;

	if (!sound) {
		check_corruption(w->r, "ERROR image was not closed correctly");
		return 0;
	}
	check_tell(w->r, "Repairing image was not closed correctly");
	r = io_sync(io, e);
	if (r == 0)
		r = io_write(io, closed, sizeof closed, PARALLELS_AT_IN_USE, e);
	w->r->corruptions_fixed += r == 0;
	return r;
}

static int check_file(struct parallels_file *f, bool based, unsigned repair, struct cache *cache,
	struct check_report *r, struct err *e)
{
	struct walk w = {.f = f, .r = r, .repair = repair, .based = based, .end = f->data_pos};
	uint64_t before, fixed = r->corruptions_fixed + r->leaks_fixed;
	bool clear = f->unclean && repair & CHECK_ERRORS;
	int rc;

	if (f->unclean && !clear)
		check_corruption(r, "ERROR image was not closed correctly");
	before = r->corruptions;
	rc = walk_bat(&w, cache, e);
	if (rc == 0)
		rc = check_tail(&w, r->corruptions == before, e);
	if (rc == 0 && clear)
		rc = clear_mark(&w, r->corruptions == before, e);
	if (rc == 0 && r->corruptions_fixed + r->leaks_fixed > fixed)
		rc = io_sync(f->io, e);
	if (repair)
		cache_forget(cache, f->io);
	if (rc < 0)
		return err_in(e, "%s", f->io->name);
	f->unclean &= !clear || r->corruptions > before;
	r->total_clusters += f->nentries;
	r->image_end_offset = MAX(r->image_end_offset, w.end);
	return 0;
}

int parallels_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	const struct parallels *p = img->priv;

	for (size_t i = 0; i < p->nstorages; i++)
		for (size_t k = 0; k < p->nshots; k++) {
			struct parallels_file *f = &p->storages[i].files[k];
			bool based = p->shots[k].parent != PARALLELS_NONE;

			if (f->io && !f->plain && !p->shots[k].broken &&
				check_file(f, based, repair, p->cache, r, e) < 0)
				return -e->code;
		}
	return check_overlaps(img, r, e);
}
