/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - looks for blocks that overlap, unused space between blocks, a header and footers that
 * are damaged.
 *
 * A crash may leave an old footer or copy, which is repaired, and blocks that never came into the
 * BAT, whose space is leaked.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "footer.h"
#include "header.h"
#include "image/check.h"
#include "image/image.h"
#include "io/cache.h"
#include "io/io.h"
#include "map.h"

struct vhd_checking {
	struct vhd *d;
	struct check_report *r;
	struct vhd_blocks blocks;
	struct vhd_regions regions;
	uint64_t end; /* of the last block */
};

/* Reports a gap before pos in which whole blocks would fit.  Parent locators, and what Xen adds,
 * are smaller. */
static void check_gap(struct vhd_checking *c, uint64_t pos)
{
	uint64_t n = pos > c->end ? (pos - c->end) / vhd_block_len(c->d) : 0;

	if (n == 0)
		return;
	check_leak(c->r, "Leaked space of %" PRIu64 " blocks at %" PRIu64, n, c->end);
	c->r->leaks += n - 1;
}

/* Stops at blocks past the end of the data: mapping the disk reports them. */
static int check_blocks(struct vhd_checking *c, struct err *e)
{
	struct vhd *d = c->d;

	c->end = MAX(d->header_pos + VHD_HEADER_LEN, vhd_entry_pos(d, d->nblocks));
	for (size_t i = 0; i < c->blocks.n; i++) {
		uint64_t pos = vhd_blocks_pos(&c->blocks, i);

		if (pos >= d->end)
			break;
		if (check_go_on(c->r, e) < 0)
			return -e->code;
		if (i > 0 && pos < c->end)
			check_corruption(c->r, "ERROR two blocks overlap at %" PRIu64, pos);
		else
			check_gap(c, pos);
		if (metadata_regions_find(&c->regions.locators, pos, vhd_block_len(d)))
			check_corruption(c->r,
				"ERROR the block at %" PRIu64 " and a parent locator overlap", pos);
		c->end = pos + vhd_block_len(d);
	}
	return 0;
}

static int check_tail(struct vhd_checking *c, bool repair, struct err *e)
{
	struct vhd *d = c->d;
	uint64_t n;
	int r;

	/* Parent locators may follow the last block. */
	if (c->regions.locators.n > 0)
		c->end = MAX(
			c->end, round_up(metadata_regions_end(&c->regions.locators), VHD_SECTOR));
	if (d->end < c->end)
		return 0;
	n = (d->end - c->end) / vhd_block_len(d);
	/* Without blocks there is no telling what Xen has added: that precedes the first one. */
	if (n == 0 || !repair || c->blocks.n == 0) {
		check_gap(c, d->end);
		return 0;
	}
	check_tell(c->r, "Cutting off space of %" PRIu64 " blocks at %" PRIu64, n, c->end);
	r = vhd_footer_cut(d, c->end, e);
	if (r == 0)
		r = io_sync(d->io, e);
	c->r->leaks_fixed += r == 0 ? n : 0;
	return r;
}

static int check_header(struct vhd_checking *c, bool repair, struct err *e)
{
	if (!c->d->header_bad)
		return 0;
	if (!repair) {
		check_corruption(c->r, "ERROR header: the checksum is wrong");
		return 0;
	}
	check_tell(c->r, "Repairing the checksum of the header");
	if (vhd_header_repair(c->d, e) < 0)
		return err_in(e, "header");
	c->r->corruptions_fixed++;
	return 0;
}

static int check_footers(struct vhd_checking *c, bool repair, struct err *e)
{
	int r;

	if (!c->d->footer_bad)
		return 0;
	check_tell(c->r, "%s: one is missing, older, or its checksum is wrong",
		c->d->type == VHD_FIXED ? "footer" : "footer and its copy");
	if (!repair)
		return 0;
	r = vhd_footer_repair(c->d, e);
	if (r == 0)
		r = io_sync(c->d->io, e);
	c->r->corruptions_fixed += r == 0;
	return r < 0 ? err_in(e, "footer") : 0;
}

static int check_dynamic(struct vhd_checking *c, struct image *img, unsigned repair, struct err *e)
{
	int r = vhd_header_read_regions(c->d, &c->regions, e);

	if (r == -EUCLEAN) {
		check_corruption(c->r, "ERROR %s", e->text);
		*e = (struct err)ERR_INIT;
		r = 0;
	}
	if (r == 0)
		r = vhd_map_sorted(c->d, &c->blocks, e);
	if (r == 0)
		r = check_blocks(c, e);
	if (r == 0)
		r = check_damage(img, c->r, e);
	if (r == 0)
		r = check_header(c, repair & CHECK_ERRORS, e);
	/* A device goes on after the image.  A corrupt entry may belong to a block that lies in
	 * what looks unused. */
	if (r == 0 && !c->d->io->is_block)
		r = check_tail(c, repair & CHECK_LEAKS && c->r->corruptions == 0, e);
	return r;
}

int vhd_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	struct vhd_checking c = {.d = (struct vhd *)img->states[0]->view, .r = r};
	int rc = c.d->type == VHD_FIXED ? check_damage(img, r, e)
					: check_dynamic(&c, img, repair, e);

	/* A new footer must not overwrite a block. */
	if (rc == 0)
		rc = check_footers(&c, repair & CHECK_ERRORS && r->corruptions == 0, e);
	free(c.blocks.at);
	if (repair)
		cache_forget(c.d->view.cache, c.d->io);
	return rc;
}
