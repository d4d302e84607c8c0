/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parallels-check.c - looks at the BATs of all expanding files of a Parallels disk.
 *
 * Findings, their words and how they count are those of QEMU 7.2, which knows single files.
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "bytes.h"
#include "cache.h"
#include "check.h"
#include "err.h"
#include "image.h"
#include "io.h"
#include "parallels.h"

struct walk {
	const struct parallels_file *f;
	struct check_report *r;
	uint64_t last; /* position of the cluster before, 0: there was none */
	uint64_t end;  /* of the last cluster in the file */
};

static void walk_cluster(struct walk *w, uint64_t i, uint64_t pos)
{
	const struct parallels_file *f = w->f;

	if (pos == 0) {
		w->last = 0;
		return;
	}
	if (pos >= f->io->size)
		check_corruption(w->r, "ERROR cluster %" PRIu64 " is outside image", i);
	else if (pos < f->data_pos)
		check_corruption(w->r, "ERROR cluster %" PRIu64 " lies before the data", i);
	w->r->allocated_clusters++;
	w->r->fragmented_clusters += w->last && w->last + f->cluster != pos;
	w->last = pos;
	w->end = MAX(w->end, pos + f->cluster);
}

/* A BAT may be a large hole: there are no clusters then. */
static int walk_bat(struct walk *w, struct cache *cache, struct err *e)
{
	const struct parallels_file *f = w->f;
	uint64_t start = PARALLELS_HEADER, n = f->nentries;

	for (uint64_t i = 0; i < n;) {
		uint64_t pos = start + i * PARALLELS_BAT_ENTRY;
		uint64_t data = io_seek(f->io, pos, SEEK_DATA), here;
		struct meta m;

		if (data - pos >= META_PAGE) {
			i += (data - pos) / PARALLELS_BAT_ENTRY;
			w->last = 0;
			continue;
		}
		if (meta_pin(cache, f->io, pos, &m, e) < 0)
			return err_in(e, "BAT");
		here = MIN(m.n / PARALLELS_BAT_ENTRY, n - i);
		for (uint64_t k = 0; k < here; k++)
			walk_cluster(w, i + k, load_le32(m.p + k * PARALLELS_BAT_ENTRY) * f->unit);
		meta_unpin(cache, &m);
		i += here;
	}
	return 0;
}

static void check_tail(struct walk *w)
{
	uint64_t size = w->f->io->size, n;

	if (size <= w->end)
		return;
	n = div_round_up(size - w->end, w->f->cluster);
	check_leak(w->r, "ERROR space leaked at the end of the image %" PRIu64, size - w->end);
	w->r->leaks += n - 1;
}

static int check_file(
	const struct parallels_file *f, struct cache *cache, struct check_report *r, struct err *e)
{
	struct walk w = {.f = f, .r = r, .end = f->data_pos};
	int rc;

	if (f->unclean)
		check_corruption(r, "ERROR image was not closed correctly");
	rc = walk_bat(&w, cache, e);
	if (rc < 0)
		return err_in(e, "%s", f->io->name);
	check_tail(&w);
	r->total_clusters += f->nentries;
	r->image_end_offset = MAX(r->image_end_offset, w.end);
	return 0;
}

int parallels_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	const struct parallels *p = img->priv;

	if (repair)
		return err_set(e, ENOTSUP, "images of this format cannot be repaired");
	for (size_t i = 0; i < p->nstorages; i++)
		for (size_t k = 0; k < p->nshots; k++) {
			const struct parallels_file *f = &p->storages[i].files[k];

			if (f->io && !f->plain && !p->shots[k].broken &&
				check_file(f, p->cache, r, e) < 0)
				return -e->code;
		}
	return check_overlaps(img, r, e);
}
