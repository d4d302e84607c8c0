/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* driver.c - Virtual PC's and Hyper-V's first format: fixed, dynamic and differencing disks, and
 * the driver's struct format.
 *
 * The footer at the end of the file has the type of the disk.  All but fixed disks have a copy of
 * it at the beginning, a header, a block allocation table (BAT) and blocks, each after a bitmap of
 * its sectors.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "footer.h"
#include "header.h"
#include "image/facts.h"
#include "image/format.h"
#include "image/image.h"
#include "io/io.h"
#include "map.h"
#include "parent.h"

static const struct view_ops fixed_ops = {.map = vhd_map_fixed};
static const struct view_ops block_ops = {.map = vhd_map};

static int read_disk(struct image *img, struct vhd *d, struct err *e)
{
	int r = vhd_footer_read(img, d, e);

	if (r < 0)
		return r;
	d->view.ops = d->type == VHD_FIXED ? &fixed_ops : &block_ops;
	if (d->type != VHD_FIXED)
		return vhd_header_read(img, d, e);
	if (d->view.size > d->end)
		return err_set(e, EUCLEAN,
			"the file was cut: it has %" PRIu64 " bytes of a disk of %" PRIu64, d->end,
			d->view.size);
	if (d->view.size < d->end && !d->io->is_block)
		image_warn(img, "%" PRIu64 " bytes between the disk and the footer are not shown",
			d->end - d->view.size);
	return 0;
}

static int vhd_open(struct image *img, struct err *e)
{
	struct vhd *d = calloc(1, sizeof *d);
	int r;

	if (!d)
		return err_nomem(e);
	d->view.cache = img->opts->cache;
	d->io = img->io;
	r = read_disk(img, d, e);
	if (r == 0 && d->header_bad) {
		img->no_writing = "the checksum of its header is wrong";
	} else if (r == 0 && img->writable) {
		d->view.granule = VHD_SECTOR;
		d->view.unit = d->type == VHD_FIXED ? VHD_SECTOR : d->block_size;
		d->view.write = d->type == VHD_FIXED ? &vhd_write_ops_fixed : &vhd_write_ops;
	}
	if (r == 0 && !image_add_state(img, NULL, NULL, &d->view, e))
		r = -e->code;
	if (r < 0)
		free(d);
	return r;
}

/* Writing one block must not change another, nor metadata: refuses blocks that overlap either, or
 * pass the end of the data. */
static int check_blocks(const struct vhd *d, const struct vhd_blocks *b, struct err *e)
{
	struct vhd_regions regions;
	int r = vhd_header_read_regions(d, &regions, e);

	for (size_t i = 0; r == 0 && i < b->n; i++) {
		uint64_t pos = vhd_blocks_pos(b, i);
		const char *hit = vhd_header_find_region(d, &regions, pos);

		if (hit)
			r = err_set(
				e, EUCLEAN, "the block at %" PRIu64 " and %s overlap", pos, hit);
	}
	for (size_t i = 1; r == 0 && i < b->n; i++)
		if (vhd_blocks_pos(b, i) - vhd_blocks_pos(b, i - 1) < vhd_block_len(d))
			r = err_set(e, EUCLEAN,
				"two blocks overlap at %" PRIu64 ": writing one would change the "
				"other",
				vhd_blocks_pos(b, i));
	if (r == 0 && b->n > 0 && vhd_blocks_pos(b, b->n - 1) + vhd_block_len(d) > d->end)
		r = err_set(e, EUCLEAN,
			"the block at %" PRIu64 " passes the end of the data, %" PRIu64,
			vhd_blocks_pos(b, b->n - 1), (uint64_t)d->end);
	return r;
}

static int vhd_start_writing(struct image *img, struct err *e)
{
	struct vhd *d = (struct vhd *)img->states[0]->view;
	struct vhd_blocks b;
	int r;

	if (d->type == VHD_FIXED)
		return 0;
	r = vhd_map_sorted(d, &b, e);
	if (r == 0)
		r = check_blocks(d, &b, e);
	/* On a device the data ends after the last block, whatever follows. */
	if (r == 0 && d->io->is_block && d->type == VHD_DYNAMIC) {
		uint64_t end =
			MAX(d->header_pos + VHD_HEADER_LEN, d->bat_pos + vhd_bat_len(d->nblocks));

		if (b.n > 0)
			end = MAX(end, vhd_blocks_pos(&b, b.n - 1) + vhd_block_len(d));
		d->end = MIN(end, d->end);
	}
	free(b.at);
	return r;
}

static void vhd_facts(const struct image *img, struct facts *f)
{
	static const char *const subformats[] = {
		[VHD_FIXED] = "fixed",
		[VHD_DYNAMIC] = "dynamic",
		[VHD_DIFFERENCING] = "differencing",
	};
	const struct vhd *d = (const struct vhd *)img->states[0]->view;
	char text[VHD_ID_TEXT];

	facts_text(f, "subformat", subformats[d->type]);
	snprintf(text, sizeof text, "%.4s", (const char *)d->footer + VHD_FOOTER_CREATOR);
	facts_text(f, "creator", text);
	vhd_parent_id_text(text, img->id);
	facts_text(f, "uuid", text);
	if (d->type != VHD_FIXED)
		facts_cluster_size(f, d->block_size);
}

/* A good footer at the end could itself be what a guest wrote, except that of a fixed disk which is
 * exactly as long as the footer has it.  The beginning of a fixed disk is the guest's. */
static int vhd_probe(const struct peek *p)
{
	static const size_t lengths[] = {VHD_FOOTER_LEN, VHD_OLD_FOOTER_LEN};
	int score = 0;

	if (p->nhead >= 8 && memcmp(p->head, "conectix", 8) == 0)
		score = p->nhead >= VHD_FOOTER_LEN &&
					vhd_footer_look(p->head, VHD_FOOTER_LEN) ==
						VHD_FOOTER_GOOD &&
					vhd_footer_type(p->head) != VHD_FIXED
				? 100
				: 30;
	for (size_t i = 0; p->ntail == PEEK_TAIL && i < 2; i++) {
		const unsigned char *f = p->tail + PEEK_TAIL - lengths[i];
		enum vhd_footer_state state = vhd_footer_look(f, lengths[i]);
		bool exact = vhd_footer_type(f) == VHD_FIXED &&
			     vhd_footer_size(f) == p->size - lengths[i];

		if (state != VHD_FOOTER_NONE)
			score = MAX(score, state == VHD_FOOTER_DAMAGED ? 30 : exact ? 100 : 60);
	}
	return score;
}

static const char *const suffixes[] = {"vhd", "vpc", "avhd", "vud", NULL};

static const struct export_format *const layouts[] = {&vhd_export, NULL};

const struct format vhd_format = {
	.name = "vpc",
	.title = "Virtual PC and Hyper-V disk (VHD)",
	.suffixes = suffixes,
	.has_parents = true,
	.probe = vhd_probe,
	.open = vhd_open,
	.can_write = true,
	.start_writing = vhd_start_writing,
	.create = vhd_create,
	.create_options = vhd_create_options,
	.can_back = true,
	.check_parent = vhd_parent_check,
	.knows_parent = vhd_parent_knows,
	.facts = vhd_facts,
	.check = vhd_check,
	.layouts = layouts,
};
