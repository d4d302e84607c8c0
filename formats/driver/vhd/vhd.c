/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhd.c - Virtual PC's and Hyper-V's first format: fixed, dynamic and differencing disks.
 *
 * The footer at the end says what the file is.  All but fixed disks have a copy of it at the
 * beginning, a header, a block allocation table (BAT) and blocks, each with a bitmap in front that
 * has a bit for every sector: one that is clear means the parent's, or zeroes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bitmap.h"
#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "image/facts.h"
#include "image/format.h"
#include "image/image.h"
#include "io/io.h"
#include "encode.h"
#include "vhd.h"

#define OLD_FOOTER_LEN 511u /* of Virtual PC before 2004; the last byte is reserved */
#define BAT_ENTRY      VHD_BAT_ENTRY

/* Mapping. */

/* How many of the n entries at p, from the first on, have no block. */
static size_t count_absent(const unsigned char *p, size_t n)
{
	size_t i = 0;

	while (i < n && load_be32(p + BAT_ENTRY * i) == VHD_ABSENT)
		i++;
	return i;
}

/* The structure that [pos, pos+len) meets, or NULL. */
static const char *find_overlap(const struct vhd *d, uint64_t pos, uint64_t len)
{
	const struct {
		const char *what;
		uint64_t pos, len;
	} taken[] = {
		{"copy of the footer", 0, VHD_FOOTER_LEN},
		{"header", d->header_pos, VHD_HEADER_LEN},
		{"BAT", d->bat_pos, d->nblocks * BAT_ENTRY},
	};

	for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
		if (taken[i].pos < pos + len && pos < taken[i].pos + taken[i].len)
			return taken[i].what;
	return NULL;
}

/* What the BAT says of the block must be a place with room for its bitmap, where nothing else is.
 */
static int place_block(
	const struct vhd *d, uint64_t block, uint64_t entry, uint64_t *pos, struct err *e)
{
	uint64_t visible = MIN(d->block_size, d->view.size - block * d->block_size);
	const char *hit;

	*pos = entry * VHD_SECTOR;
	hit = find_overlap(d, *pos, d->bitmap_len + visible);
	if (hit)
		return err_set(e, EUCLEAN, "it is at %" PRIu64 ", where the %s is", *pos, hit);
	if (!range_fits(*pos, d->bitmap_len, d->end))
		return err_set(e, EIO, "it is at %" PRIu64 ", past the end of the data, %" PRIu64,
			*pos, (uint64_t)d->end);
	return 0;
}

/* Is the sector at skip bytes into the block at pos stored there, and how many after it are like
 * it?  One page of the bitmap is looked at. */
static int look_at_bitmap(const struct vhd *d, uint64_t pos, uint64_t skip, bool *stored,
	uint64_t *len, struct err *e)
{
	size_t sector = skip / VHD_SECTOR, bit = sector % 8, n;
	struct meta m;
	int r = meta_pin(d->view.cache, d->io, pos + sector / 8, &m, e);

	if (r < 0)
		return r;
	n = MIN(m.n * 8, d->block_size / VHD_SECTOR - (sector - bit));
	*stored = bitmap_get(m.p, bit, MSB_FIRST);
	*len = bitmap_run(m.p, bit, n, MSB_FIRST) * VHD_SECTOR - skip % VHD_SECTOR;
	meta_unpin(d->view.cache, &m);
	return 0;
}

/* Writers of this format never leave a block unfinished: what the file ends before is lost. */
static int extent_of_data(const struct vhd *d, uint64_t pos, struct extent *x, struct err *e)
{
	if (pos >= d->end)
		return err_set(e, EIO,
			"its data at %" PRIu64 " is past the end of the data, %" PRIu64, pos,
			d->end);
	x->kind = EXTENT_FILE;
	x->io = d->io;
	x->pos = pos;
	x->len = MIN(x->len, d->end - pos);
	x->inplace = d->io->writable;
	return 0;
}

static int map_block(
	const struct vhd *d, uint64_t pos, uint64_t skip, struct extent *x, struct err *e)
{
	bool stored = false;
	uint64_t len = 0;
	int r = look_at_bitmap(d, pos, skip, &stored, &len, e);

	if (r < 0)
		return r;
	x->len = len;
	return stored ? extent_of_data(d, pos + d->bitmap_len + skip, x, e) : 0;
}

static int map_blocks(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct vhd *d = (const struct vhd *)v;
	uint64_t block = off / d->block_size, skip = off % d->block_size, pos;
	uint64_t wanted = div_round_up(skip + len, d->block_size), entry;
	struct meta m;
	size_t n;
	int r = meta_pin(v->cache, d->io, d->bat_pos + block * BAT_ENTRY, &m, e);

	if (r < 0)
		return r;
	entry = load_be32(m.p);
	n = count_absent(m.p, MIN(wanted, m.n / BAT_ENTRY));
	meta_unpin(v->cache, &m);

	x->kind = EXTENT_BELOW;
	x->pos = off;
	x->len = MAX(n, 1) * (uint64_t)d->block_size - skip;
	if (n > 0)
		return 0;
	r = place_block(d, block, entry, &pos, e);
	if (r == 0)
		r = map_block(d, pos, skip, x, e);
	return r < 0 ? err_in(e, "block %" PRIu64, block) : 0;
}

int vhd_find_block(const struct vhd *d, uint64_t block, uint64_t *pos, struct err *e)
{
	unsigned char entry[BAT_ENTRY];
	int r = meta_read(
		d->view.cache, d->io, entry, sizeof entry, d->bat_pos + block * BAT_ENTRY, e);

	*pos = 0;
	if (r == 0 && load_be32(entry) != VHD_ABSENT)
		r = place_block(d, block, load_be32(entry), pos, e);
	return r < 0 ? err_in(e, "block %" PRIu64, block) : 0;
}

static int map_fixed(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	struct io *io = ((const struct vhd *)v)->io;

	x->inplace = io->writable;
	return extent_in_file(x, io, 0, off, len, 0, e);
}

static const struct view_ops fixed_ops = {.map = map_fixed};
static const struct view_ops blocks_ops = {.map = map_blocks};

/* The footer and its copy. */

static bool sum_is_right(const unsigned char *p, size_t len, size_t sum_at)
{
	return load_be32(p + sum_at) == vhd_checksum(p, len, sum_at);
}

enum footer { FOOTER_NONE, FOOTER_DAMAGED, FOOTER_GOOD };

static enum footer footer_look(const unsigned char *p, size_t len)
{
	if (memcmp(p, "conectix", 8) != 0)
		return FOOTER_NONE;
	return sum_is_right(p, len, 64) ? FOOTER_GOOD : FOOTER_DAMAGED;
}

static enum vhd_type footer_type(const unsigned char *f)
{
	return load_be32(f + 60);
}

/* Reads the footer at the end of the file; d->end is where it begins. */
static int read_tail(struct vhd *d, unsigned char *f, enum footer *state, struct err *e)
{
	static const size_t lengths[] = {VHD_FOOTER_LEN, OLD_FOOTER_LEN};

	*state = FOOTER_NONE;
	d->end = d->io->size;
	for (size_t i = 0; i < 2 && *state == FOOTER_NONE; i++) {
		size_t len = lengths[i];
		int r;

		if (d->io->size < len)
			continue;
		f[VHD_FOOTER_LEN - 1] = 0;
		r = io_read(d->io, f, len, d->io->size - len, e);
		if (r < 0)
			return r;
		*state = footer_look(f, len);
		if (*state != FOOTER_NONE)
			d->end = d->io->size - len;
	}
	return 0;
}

/* The copy at the beginning.  A fixed disk has none: what is there is the guest's. */
static int read_copy(struct vhd *d, unsigned char *f, enum footer *state, struct err *e)
{
	int r = io_read_padded(d->io, f, VHD_FOOTER_LEN, 0, e);

	*state = r == 0 ? footer_look(f, VHD_FOOTER_LEN) : FOOTER_NONE;
	if (*state == FOOTER_GOOD && footer_type(f) == VHD_FIXED)
		*state = FOOTER_NONE;
	return r;
}

/* A file that lost its end may end with what a guest wrote, even with a footer of its making; the
 * beginning of a fixed disk is a guest's as well. */
static bool is_false(const unsigned char *f, const unsigned char *copy)
{
	return footer_type(f) != VHD_FIXED && memcmp(f + 68, copy + 68, VHD_ID_LEN) != 0;
}

/* f becomes the footer, or the copy of one that is lost (Virtual Hard Disk Image Format
 * Specification, "Hard Disk Footer Format"). */
static int choose_footer(const struct image *img, struct vhd *d, unsigned char *f,
	enum footer at_end, const unsigned char *copy, enum footer at_start, struct err *e)
{
	bool same = memcmp(f, copy, VHD_FOOTER_LEN - 1) == 0;

	if (at_end == FOOTER_GOOD && at_start == FOOTER_GOOD && is_false(f, copy))
		at_end = FOOTER_NONE;
	d->footer_bad = at_end != FOOTER_GOOD || (footer_type(f) != VHD_FIXED && !same);
	if (at_end == FOOTER_GOOD) {
		if (d->footer_bad)
			image_warn(img, "the copy of the footer differs from it");
		return 0;
	}
	/* On a device the footer is where the data ends, which only the BAT tells. */
	if (at_start == FOOTER_GOOD && d->io->is_block) {
		d->footer_bad = false;
		memcpy(f, copy, VHD_FOOTER_LEN);
		return 0;
	}
	if (at_start == FOOTER_GOOD) {
		image_warn(img, "the footer is %s; its copy is used",
			at_end == FOOTER_NONE ? "missing" : "damaged");
		memcpy(f, copy, VHD_FOOTER_LEN);
		return 0;
	}
	if (at_end == FOOTER_NONE && at_start == FOOTER_NONE)
		return err_set(e, EINVAL, "not a VHD image: no footer at the end of the file");
	if (!same)
		return err_set(
			e, EUCLEAN, "footer: the checksum is wrong, and there is no good copy");
	image_warn(img, "footer and copy agree, but their checksum is wrong");
	return 0;
}

static int read_footer(const struct image *img, struct vhd *d, unsigned char *f, struct err *e)
{
	unsigned char copy[VHD_FOOTER_LEN];
	enum footer at_end, at_start;
	int r = read_tail(d, f, &at_end, e);

	if (r == 0)
		r = read_copy(d, copy, &at_start, e);
	if (r == 0)
		r = choose_footer(img, d, f, at_end, copy, at_start, e);
	return r;
}

static int check_footer(struct vhd *d, const unsigned char *f, struct err *e)
{
	uint32_t version = load_be32(f + 12);

	d->stamp = load_be32(f + 24);
	memcpy(d->creator, f + 28, sizeof d->creator);
	d->type = footer_type(f);
	memcpy(d->id, f + 68, sizeof d->id);
	/* The current size; what the geometry allows is less and was never all that there is. */
	d->view.size = load_be64(f + 48) & ~(uint64_t)(VHD_SECTOR - 1);
	if (version >> 16 != 1)
		return err_set(e, ENOTSUP, "version %" PRIu32 ".%" PRIu32 " is not supported",
			version >> 16, version & 0xffff);
	if (d->type < VHD_FIXED || d->type > VHD_DIFFERENCING)
		return err_set(e, ENOTSUP, "disk type %u is not known", (unsigned)d->type);
	return 0;
}

static int check_fixed(const struct image *img, const struct vhd *d, struct err *e)
{
	if (d->view.size > d->end)
		return err_set(e, EUCLEAN,
			"the file was cut: it has %" PRIu64 " bytes of a disk of %" PRIu64, d->end,
			d->view.size);
	if (d->view.size < d->end && !d->io->is_block)
		image_warn(img, "%" PRIu64 " bytes between the disk and the footer are not shown",
			d->end - d->view.size);
	return 0;
}

/* The header of dynamic and differencing disks. */

static int read_header(struct vhd *d, unsigned char *h, struct err *e)
{
	int r;

	if (!range_fits(d->header_pos, VHD_HEADER_LEN, d->end))
		return err_set(e, EUCLEAN,
			"header: at %" PRIu64 ", past the end of the data, %" PRIu64, d->header_pos,
			d->end);
	r = io_read(d->io, h, VHD_HEADER_LEN, d->header_pos, e);
	if (r < 0)
		return r;
	if (memcmp(h, "cxsparse", 8) != 0)
		return err_set(e, EUCLEAN, "header: none at %" PRIu64, d->header_pos);
	if (load_be16(h + 24) != 1)
		return err_set(e, ENOTSUP, "header: version %u.%u is not supported",
			load_be16(h + 24), load_be16(h + 26));
	return 0;
}

static int check_blocks(struct vhd *d, const unsigned char *h, struct err *e)
{
	d->block_size = load_be32(h + 32);
	if (d->block_size < VHD_SECTOR || !is_power_of_2(d->block_size))
		return err_set(e, EINVAL, "block size %" PRIu32 " is not a power of two from %u on",
			d->block_size, VHD_SECTOR);
	/* Whole sectors of bitmap, also where a byte would do. */
	d->bitmap_len = round_up(div_round_up(d->block_size / VHD_SECTOR, 8), VHD_SECTOR);
	d->nblocks = div_round_up(d->view.size, d->block_size);
	return 0;
}

static int check_bat(struct vhd *d, const unsigned char *h, struct err *e)
{
	uint32_t entries = load_be32(h + 28);
	uint64_t len = entries * (uint64_t)BAT_ENTRY;

	if (entries < d->nblocks)
		return err_set(e, EINVAL,
			"BAT: %" PRIu32 " entries, %" PRIu64 " needed for a disk of %" PRIu64
			" bytes",
			entries, d->nblocks, d->view.size);
	d->nentries = entries;
	d->bat_pos = load_be64(h + 16);
	if (d->bat_pos % VHD_SECTOR != 0)
		return err_set(e, EINVAL, "BAT: position %" PRIu64 " is not a multiple of %u",
			d->bat_pos, VHD_SECTOR);
	if (!range_fits(d->bat_pos, len, d->end))
		return err_set(e, EINVAL,
			"BAT: %" PRIu32 " entries at %" PRIu64
			" pass the end of the data, %" PRIu64,
			entries, d->bat_pos, d->end);
	if (d->bat_pos < VHD_FOOTER_LEN ||
		(d->bat_pos < d->header_pos + VHD_HEADER_LEN && d->header_pos < d->bat_pos + len))
		return err_set(e, EINVAL, "BAT: at %" PRIu64 ", where the header is", d->bat_pos);
	return 0;
}

/* People edit headers.  A wrong sum is forgiven where everything that decides what is read is found
 * a second time: the BAT right behind the header, with as many entries as the disk has blocks. */
static int check_sum(const struct image *img, struct vhd *d, const unsigned char *h, struct err *e)
{
	if (sum_is_right(h, VHD_HEADER_LEN, 36))
		return 0;
	if (d->bat_pos != d->header_pos + VHD_HEADER_LEN || load_be32(h + 28) != d->nblocks)
		return err_set(e, EUCLEAN, "header: the checksum is wrong");
	image_warn(img, "the checksum of the header is wrong");
	d->header_bad = true;
	return 0;
}

static int open_blocks(struct image *img, struct vhd *d, struct err *e)
{
	unsigned char h[VHD_HEADER_LEN];
	int r = read_header(d, h, e);

	if (r == 0)
		r = check_blocks(d, h, e);
	if (r == 0)
		r = check_bat(d, h, e);
	if (r == 0)
		r = check_sum(img, d, h, e);
	if (r < 0 || d->type != VHD_DIFFERENCING)
		return r;
	memcpy(img->parent_id, h + 40, GUID_LEN);
	d->parent_stamp = load_be32(h + 56);
	return vhd_name_parent(img, h, e);
}

static int setup(struct image *img, struct vhd *d, struct err *e)
{
	int r = read_footer(img, d, d->footer, e);

	if (r == 0)
		r = check_footer(d, d->footer, e);
	if (r < 0)
		return r;
	vhd_footer_seal(d->footer);
	memcpy(img->id, d->id, sizeof d->id);
	d->header_pos = load_be64(d->footer + 16);
	d->view.ops = d->type == VHD_FIXED ? &fixed_ops : &blocks_ops;
	return d->type == VHD_FIXED ? check_fixed(img, d, e) : open_blocks(img, d, e);
}

static void allow_writing(struct image *img, struct vhd *d)
{
	d->view.granule = VHD_SECTOR;
	d->view.unit = VHD_SECTOR;
	d->view.write = &vhd_fixed_write_ops;
	if (d->type == VHD_FIXED)
		return;
	d->view.unit = d->block_size;
	d->view.write = d->header_bad ? NULL : &vhd_write_ops;
	img->no_writing = "the checksum of its header is wrong";
}

static int vhd_open(struct image *img, struct err *e)
{
	struct vhd *d = calloc(1, sizeof *d);
	int r;

	if (!d)
		return err_nomem(e);
	d->view.cache = img->opts->cache;
	d->io = img->io;
	r = setup(img, d, e);
	if (r == 0 && img->writable)
		allow_writing(img, d);
	if (r == 0 && !image_add_state(img, NULL, NULL, &d->view, e))
		r = -e->code;
	if (r < 0)
		free(d);
	return r;
}

/* What is told. */

void vhd_id_text(char text[VHD_ID_TEXT], const unsigned char *id)
{
	snprintf(text, VHD_ID_TEXT, "%08" PRIx32 "-%04x-%04x-%04x-%04x%08" PRIx32, load_be32(id),
		load_be16(id + 4), load_be16(id + 6), load_be16(id + 8), load_be16(id + 10),
		load_be32(id + 12));
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

	fact_text(f, "subformat", subformats[d->type]);
	snprintf(text, sizeof text, "%.4s", (const char *)d->creator);
	fact_text(f, "creator", text);
	vhd_id_text(text, d->id);
	fact_text(f, "uuid", text);
	if (d->type != VHD_FIXED)
		fact_cluster_size(f, d->block_size);
}

/* A fixed disk that is exactly as long as its footer says is certain, whatever a guest wrote to its
 * first sectors; other footers at the end could themselves be what a guest wrote. */
static int tail_bid(const struct peek *p, size_t len)
{
	const unsigned char *f = p->tail + PEEK_TAIL - len;

	if (p->ntail < PEEK_TAIL)
		return 0;
	switch (footer_look(f, len)) {
	case FOOTER_GOOD:
		return footer_type(f) == VHD_FIXED && load_be64(f + 48) == p->size - len ? 100 : 60;
	case FOOTER_DAMAGED:
		return 30;
	case FOOTER_NONE:
		break;
	}
	return 0;
}

static int head_bid(const struct peek *p)
{
	if (p->nhead < VHD_FOOTER_LEN)
		return p->nhead >= 8 && memcmp(p->head, "conectix", 8) == 0 ? 30 : 0;
	switch (footer_look(p->head, VHD_FOOTER_LEN)) {
	case FOOTER_GOOD:
		return footer_type(p->head) == VHD_FIXED ? 30 : 100;
	case FOOTER_DAMAGED:
		return 30;
	case FOOTER_NONE:
		break;
	}
	return 0;
}

static int vhd_probe(const struct peek *p)
{
	int tail = MAX(tail_bid(p, VHD_FOOTER_LEN), tail_bid(p, OLD_FOOTER_LEN));

	return MAX(tail, head_bid(p));
}

static const char *const suffixes[] = {"vhd", "vpc", "avhd", "vud", NULL};

static const struct export_format *const layouts[] = {&vhd_layout, NULL};

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
	.check_parent = vhd_check_parent,
	.knows_parent = vhd_knows_parent,
	.facts = vhd_facts,
	.check = vhd_check,
	.layouts = layouts,
};
