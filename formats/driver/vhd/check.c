/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - looks at the BAT of a VHD image, and mends what is said twice.
 *
 * A crash may leave a footer or its copy behind, and blocks that never came into the BAT: the one
 * is told and mended, the other is room that nothing uses.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "io/cache.h"
#include "image/check.h"
#include "util/err.h"
#include "image/image.h"
#include "io/io.h"
#include "vhd.h"

/* Places. */

static int add_place(struct vhd_places *p, uint32_t at, struct err *e)
{
	size_t room = p->room ? 2 * p->room : 1024;
	uint32_t *more;

	if (p->n == VHD_MAX_PLACES)
		return err_set(e, EFBIG, "more than %u blocks are stored", VHD_MAX_PLACES);
	if (p->n == p->room) {
		more = reallocarray(p->at, room, sizeof more[0]);
		if (!more)
			return err_nomem(e);
		p->at = more;
		p->room = room;
	}
	p->at[p->n++] = at;
	return 0;
}

static int compare_places(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int vhd_find_places(const struct vhd *d, struct vhd_places *p, struct err *e)
{
	int r = 0;

	*p = (struct vhd_places){.at = NULL};
	for (uint64_t block = 0, n; r == 0 && block < d->nblocks; block += n) {
		struct meta m;

		r = meta_pin(d->view.cache, d->io, d->bat_pos + block * VHD_BAT_ENTRY, &m, e);
		if (r < 0)
			break;
		n = MIN(m.n / VHD_BAT_ENTRY, d->nblocks - block);
		for (uint64_t i = 0; r == 0 && i < n; i++) {
			uint32_t at = load_be32(m.p + i * VHD_BAT_ENTRY);

			if (at != VHD_ABSENT)
				r = add_place(p, at, e);
		}
		meta_unpin(d->view.cache, &m);
	}
	if (p->n > 0)
		qsort(p->at, p->n, sizeof p->at[0], compare_places);
	return r;
}

/* What is in the file beside the blocks. */

static int find_locators(const struct vhd *d, struct metadata_regions *locators, struct err *e)
{
	unsigned char h[VHD_HEADER_LEN];
	int r = io_read(d->io, h, sizeof h, d->header_pos, e);

	for (size_t i = 0; r == 0 && i < VHD_LOCATORS; i++) {
		const unsigned char *locator = h + VHD_LOCATORS_POS + i * VHD_LOCATOR_LEN;
		uint64_t pos = load_be64(locator + 16), len = load_be32(locator + 8);

		if (load_be32(locator) != 0 && range_fits(pos, len, d->end))
			metadata_regions_add(locators, "a parent locator", pos, len);
	}
	return r;
}

int vhd_find_regions(const struct vhd *d, struct vhd_regions *r, struct err *e)
{
	uint64_t bat_len = round_up(d->nentries * VHD_BAT_ENTRY, VHD_SECTOR);
	int rc;

	*r = (struct vhd_regions){.fixed.n = 0};
	metadata_regions_add(&r->fixed, "the copy of the footer", 0, VHD_FOOTER_LEN);
	metadata_regions_add(&r->fixed, "the header", d->header_pos, VHD_HEADER_LEN);
	metadata_regions_add(&r->fixed, "the BAT", d->bat_pos, bat_len);
	rc = find_locators(d, &r->locators, e);
	if (rc == 0)
		rc = metadata_regions_check(&r->fixed, e);
	for (size_t i = 0; rc == 0 && i < r->locators.n; i++) {
		const struct metadata_region *l = &r->locators.list[i];
		const char *hit = metadata_regions_find(&r->fixed, l->pos, l->len);

		if (hit)
			rc = err_set(e, EUCLEAN, "the parent locator at %" PRIu64 " and %s overlap",
				l->pos, hit);
	}
	return rc;
}

const char *vhd_find_hit(const struct vhd *d, const struct vhd_regions *r, uint64_t pos)
{
	uint64_t len = d->bitmap_len + (uint64_t)d->block_size;
	const char *hit = metadata_regions_find(&r->fixed, pos, len);

	return hit ? hit : metadata_regions_find(&r->locators, pos, len);
}

/* Checking. */

struct walk {
	struct vhd *d;
	struct check_report *r;
	struct vhd_places places;
	struct vhd_regions regions;
	uint64_t end; /* of the last block */
};

static uint64_t room_len(const struct vhd *d)
{
	return d->bitmap_len + (uint64_t)d->block_size;
}

/* Room for whole blocks in front of pos, where something is, that nothing is in.  Locators, and
 * what Xen adds, are smaller. */
static void look_at_gap(struct walk *w, uint64_t pos)
{
	uint64_t n = pos > w->end ? (pos - w->end) / room_len(w->d) : 0;

	if (n == 0)
		return;
	check_leak(w->r, "Leaked room for %" PRIu64 " blocks at %" PRIu64, n, w->end);
	w->r->leaks += n - 1;
}

/* What is past the end is told elsewhere. */
static int look_at_places(struct walk *w, struct err *e)
{
	const struct vhd_places *p = &w->places;

	w->end = MAX(
		w->d->header_pos + VHD_HEADER_LEN, w->d->bat_pos + w->d->nblocks * VHD_BAT_ENTRY);
	for (size_t i = 0; i < p->n; i++) {
		uint64_t pos = p->at[i] * (uint64_t)VHD_SECTOR;

		if (pos >= w->d->end)
			break;
		if (check_go_on(w->r, e) < 0)
			return -e->code;
		if (i > 0 && pos < w->end)
			check_corruption(w->r, "ERROR two blocks share room at %" PRIu64, pos);
		else
			look_at_gap(w, pos);
		if (metadata_regions_find(&w->regions.locators, pos, room_len(w->d)))
			check_corruption(w->r,
				"ERROR the block at %" PRIu64 " and a parent locator overlap", pos);
		w->end = pos + room_len(w->d);
	}
	return 0;
}

static int look_at_tail(struct walk *w, bool mend, struct err *e)
{
	struct vhd *d = w->d;
	uint64_t n;
	int r;

	/* What the header says of the parent may be anywhere. */
	if (w->regions.locators.n > 0)
		w->end = MAX(
			w->end, round_up(metadata_regions_end(&w->regions.locators), VHD_SECTOR));
	if (d->end < w->end)
		return 0;
	n = (d->end - w->end) / room_len(d);
	/* What Xen adds lies in front of the first block, if there is one. */
	if (n == 0 || !mend || w->places.n == 0) {
		look_at_gap(w, d->end);
		return 0;
	}
	check_tell(w->r, "Cutting off room for %" PRIu64 " blocks at %" PRIu64, n, w->end);
	r = vhd_cut(d, w->end, e);
	if (r == 0)
		r = io_sync(d->io, e);
	w->r->leaks_fixed += r == 0 ? n : 0;
	return r;
}

/* Opening let a wrong sum pass only where the rest of the header proves itself. */
static int mend_header(struct vhd *d, struct err *e)
{
	unsigned char h[VHD_HEADER_LEN];
	int r = io_read(d->io, h, sizeof h, d->header_pos, e);

	if (r < 0)
		return r;
	store_be32(h + VHD_HEADER_SUM, vhd_checksum(h, sizeof h, VHD_HEADER_SUM));
	r = io_write(d->io, h + VHD_HEADER_SUM, 4, d->header_pos + VHD_HEADER_SUM, e);
	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0)
		d->header_bad = false;
	return r;
}

static int look_at_footers(struct walk *w, bool mend, struct err *e)
{
	int r = 0;

	if (!w->d->footer_bad)
		return 0;
	check_tell(w->r, "%s: one is missing, older, or its checksum is wrong",
		w->d->type == VHD_FIXED ? "footer" : "footer and its copy");
	if (!mend)
		return 0;
	r = vhd_mend_footers(w->d, e);
	if (r == 0)
		r = io_sync(w->d->io, e);
	w->r->corruptions_fixed += r == 0;
	return r < 0 ? err_in(e, "footer") : 0;
}

static int look_at_header(struct walk *w, bool mend, struct err *e)
{
	if (!w->d->header_bad)
		return 0;
	if (!mend) {
		check_corruption(w->r, "ERROR header: the checksum is wrong");
		return 0;
	}
	check_tell(w->r, "Repairing the checksum of the header");
	if (mend_header(w->d, e) < 0)
		return err_in(e, "header");
	w->r->corruptions_fixed++;
	return 0;
}

static int look_at_all(struct walk *w, struct image *img, unsigned repair, struct err *e)
{
	int r = vhd_find_regions(w->d, &w->regions, e);

	if (r == -EUCLEAN) {
		check_corruption(w->r, "ERROR %s", e->text);
		*e = (struct err)ERR_INIT;
		r = 0;
	}
	if (r == 0)
		r = vhd_find_places(w->d, &w->places, e);
	if (r == 0)
		r = look_at_places(w, e);
	if (r == 0)
		r = check_damage(img, w->r, e);
	/* The room of blocks that make no sense may be in what looks unused. */
	if (r == 0)
		r = look_at_header(w, repair & CHECK_ERRORS, e);
	/* A device goes on behind the image. */
	if (r == 0 && !w->d->io->is_block)
		r = look_at_tail(w, repair & CHECK_LEAKS && w->r->corruptions == 0, e);
	return r;
}

int vhd_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	struct walk w = {.d = (struct vhd *)img->states[0]->view, .r = r};
	int rc = 0;

	if (w.d->type == VHD_FIXED)
		rc = check_damage(img, r, e);
	else
		rc = look_at_all(&w, img, repair, e);
	/* Where the footer goes is no block's. */
	if (rc == 0)
		rc = look_at_footers(&w, repair & CHECK_ERRORS && r->corruptions == 0, e);
	free(w.places.at);
	if (repair)
		cache_forget(w.d->view.cache, w.d->io);
	return rc;
}
