/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdi.c - VirtualBox disk images: a header, one map of 32-bit entries, blocks.
 *
 * All integers are little-endian.  A map entry is the number of a block in the data area; the two
 * highest values say that nothing is stored.  An image names its parent by a UUID and nothing else:
 * to find the file is the core's.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "image/facts.h"
#include "image/format.h"
#include "util/guid.h"
#include "image/image.h"
#include "io/io.h"
#include "export/export.h"
#include "vdi.h"
#include "view/view.h"

#define HEADER_SIZE 456u /* as far as version 1 is looked at */

/* Where a version has its fields, counted from the start of the file. */
struct fields {
	unsigned len, type, sector, size, block_size, nblocks;
	unsigned ids; /* of the image, its change, its parent, the parent's change */
};

static const struct fields version_0 = {420, 72, 348, 352, 360, 364, 372};
static const struct fields version_1 = {HEADER_SIZE, 76, 360, 368, 376, 384, 392};

/* Does the block with entry next follow the one with entry prev without a seam? */
static bool continues(const struct vdi *d, uint32_t prev, uint32_t next)
{
	if (!vdi_is_stored(prev))
		return next == prev;
	return vdi_is_stored(next) && next == prev + 1 && d->extra == 0;
}

/* How many of the n entries at p, the first included, make one run. */
static size_t run_length(const struct vdi *d, const unsigned char *p, size_t n)
{
	uint32_t prev = load_le32(p);
	size_t i;

	for (i = 1; i < n; i++) {
		uint32_t next = load_le32(p + 4 * i);

		if (!continues(d, prev, next))
			break;
		prev = next;
	}
	return i;
}

static int vdi_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct vdi *d = (const struct vdi *)v;
	uint64_t block = off / d->block_size, skip = off % d->block_size;
	uint64_t wanted = div_round_up(skip + len, d->block_size);
	struct meta m;
	uint32_t entry;
	size_t n;
	int r = meta_pin(v->cache, d->io, d->map_pos + 4 * block, &m, e);

	if (r < 0)
		return r;
	entry = load_le32(m.p);
	n = run_length(d, m.p, MIN(wanted, m.n / 4));
	meta_unpin(v->cache, &m);

	x->len = n * (uint64_t)d->block_size - skip;
	x->pos = off;
	x->kind = entry == VDI_ENTRY_FREE ? EXTENT_BELOW : EXTENT_ZERO;
	if (!vdi_is_stored(entry))
		return 0;
	x->inplace = d->io->writable;
	return extent_in_file(
		x, d->io, vdi_block_pos(d, entry) + d->extra, skip, x->len, d->block_size, e);
}

static void vdi_free(struct view *v)
{
	struct vdi *d = (struct vdi *)v;

	vdi_alloc_free(d->alloc);
	free(d);
}

static const struct view_ops vdi_ops = {.map = vdi_map, .free = vdi_free};

/* Header, section by section; every value is looked at before it is used. */

static int check_version(const unsigned char *h, const struct fields **l, struct err *e)
{
	uint32_t version = load_le32(h + 68), header = load_le32(h + 72);

	if (load_le32(h + 64) != VDI_SIGNATURE)
		return err_set(e, EINVAL, "not a VDI image: no signature at 64");
	*l = version == VDI_VERSION_0 ? &version_0 : &version_1;
	if (version == VDI_VERSION_0)
		return 0;
	if (version >> 16 != 1)
		return err_set(e, ENOTSUP, "VDI version %u.%u is not supported", version >> 16,
			version & 0xffff);
	if (header < HEADER_SIZE - 72)
		return err_set(e, EINVAL, "header of %u bytes, at least %u expected", header,
			HEADER_SIZE - 72);
	return 0;
}

/* Any type may have a parent: that it is named is what counts. */
static int check_type(struct image *img, struct vdi *d, const unsigned char *h,
	const struct fields *l, struct err *e)
{
	const unsigned char *id = h + l->ids;

	d->type = load_le32(h + l->type);
	memcpy(img->id, id, GUID_LEN);
	memcpy(img->change_id, id + GUID_LEN, GUID_LEN);
	memcpy(img->parent_id, id + 2 * GUID_LEN, GUID_LEN);
	if (l == &version_1)
		memcpy(img->parent_change_id, id + 3 * GUID_LEN, GUID_LEN);
	if (d->type < VDI_DYNAMIC || d->type > VDI_DIFFERENCING)
		return err_set(e, ENOTSUP, "image type %u is not known", (unsigned)d->type);
	if (d->type > VDI_FIXED && guid_is_zero(img->parent_id))
		return err_set(
			e, EUCLEAN, "it is a difference, but to no parent: its UUID is zero");
	return 0;
}

static int check_geometry(
	struct vdi *d, const unsigned char *h, const struct fields *l, struct err *e)
{
	uint64_t size = load_le64(h + l->size);
	uint32_t sector = load_le32(h + l->sector);

	d->block_size = load_le32(h + l->block_size);
	d->nblocks = load_le32(h + l->nblocks);
	d->count = load_le32(h + l->nblocks + 4);
	if (sector != 512 && (sector != 0 || l == &version_1))
		return err_set(e, ENOTSUP, "sectors of %u bytes, 512 expected", sector);
	if (d->block_size < 512 || d->block_size > VDI_MAX_BLOCK || !is_power_of_2(d->block_size))
		return err_set(e, EINVAL, "block size %u is not a power of two from 512 to %u",
			d->block_size, VDI_MAX_BLOCK);
	if (d->nblocks > VDI_MAX_BLOCKS)
		return err_set(e, EFBIG, "a map of %u blocks, at most %u are possible", d->nblocks,
			VDI_MAX_BLOCKS);
	if (size > (uint64_t)d->nblocks * d->block_size)
		return err_set(e, EINVAL, "disk of %" PRIu64 " bytes in %u blocks of %u", size,
			d->nblocks, d->block_size);
	/* Some old writers stored odd sizes; the guest saw whole sectors. */
	d->view.size = size & ~(uint64_t)511;
	return 0;
}

/* Version 0 has map and data behind the header, without a gap. */
static void place_version_0(struct vdi *d)
{
	d->map_pos = version_0.len;
	d->data_pos = d->map_pos + 4 * (uint64_t)d->nblocks;
}

static int place_version_1(struct vdi *d, const unsigned char *h, struct err *e)
{
	d->map_pos = load_le32(h + 340);
	d->data_pos = load_le32(h + 344);
	d->extra = load_le32(h + 380);
	if (d->extra != 0 && (!is_power_of_2(d->extra) || d->extra > d->block_size))
		return err_set(e, EINVAL, "%u extra bytes a block", d->extra);
	if (d->map_pos % 512 != 0 || d->map_pos < HEADER_SIZE)
		return err_set(e, EINVAL, "block map at %" PRIu64 ", a multiple of 512 expected",
			d->map_pos);
	return 0;
}

static int check_places(const struct vdi *d, struct err *e)
{
	uint64_t map_len = 4 * (uint64_t)d->nblocks;

	if (!range_fits(d->map_pos, map_len, d->io->size))
		return err_set(e, EINVAL,
			"block map of %" PRIu64 " bytes at %" PRIu64
			" passes the end of the file, %" PRIu64,
			map_len, d->map_pos, d->io->size);
	/* Blocks are counted upwards from here: before the map they would run into it. */
	if (d->data_pos < d->map_pos + map_len)
		return err_set(e, EINVAL,
			"data at %" PRIu64 ", before the end of the block map, %" PRIu64,
			d->data_pos, d->map_pos + map_len);
	return 0;
}

static int check_header(struct image *img, struct vdi *d, const unsigned char *h, struct err *e)
{
	const struct fields *l;
	int r = check_version(h, &l, e);

	if (r == 0 && d->io->size < l->len)
		return err_set(
			e, EINVAL, "the header is cut off at %" PRIu64 " bytes", d->io->size);
	if (r == 0)
		r = check_type(img, d, h, l, e);
	if (r == 0)
		r = check_geometry(d, h, l, e);
	if (r < 0)
		return r;
	d->version_0 = l == &version_0;
	if (d->version_0)
		place_version_0(d);
	else
		r = place_version_1(d, h, e);
	return r == 0 ? check_places(d, e) : r;
}

static int read_header(struct image *img, struct vdi *d, struct err *e)
{
	unsigned char h[HEADER_SIZE];
	int r = io_read_padded(d->io, h, sizeof h, 0, e);

	return r == 0 ? check_header(img, d, h, e) : r;
}

static int vdi_open(struct image *img, struct err *e)
{
	struct vdi *d = calloc(1, sizeof *d);
	int r;

	if (!d)
		return err_nomem(e);
	d->view = (struct view){.ops = &vdi_ops, .cache = img->opts->cache};
	d->io = img->io;
	r = read_header(img, d, e);
	if (r == 0)
		vdi_let_write(img, d);
	if (r == 0 && !image_add_state(img, NULL, NULL, &d->view, e))
		r = -e->code;
	if (r < 0)
		free(d);
	return r;
}

static void fact_guid(struct facts *f, const char *key, const unsigned char *id)
{
	char text[GUID_TEXT];

	guid_text(text, id);
	fact_text(f, key, text);
}

static void vdi_facts(const struct image *img, struct facts *f)
{
	static const char *const types[] = {
		[VDI_DYNAMIC] = "dynamic",
		[VDI_FIXED] = "fixed",
		[VDI_UNDO] = "undo",
		[VDI_DIFFERENCING] = "differencing",
	};
	const struct vdi *d = (const struct vdi *)img->states[0]->view;

	fact_text(f, "create-type", types[d->type]);
	fact_guid(f, "uuid", img->id);
	if (!guid_is_zero(img->parent_id))
		fact_guid(f, "parent-uuid", img->parent_id);
	fact_cluster_size(f, d->block_size);
}

static int vdi_probe(const struct peek *p)
{
	return p->nhead >= 68 && load_le32(p->head + 64) == VDI_SIGNATURE ? 100 : 0;
}

static const char *const suffixes[] = {"vdi", NULL};

static const struct export_format *const layouts[] = {&vdi_layout, NULL};

const struct format vdi_format = {
	.name = "vdi",
	.title = "VirtualBox disk image",
	.suffixes = suffixes,
	.has_parents = true,
	.probe = vdi_probe,
	.open = vdi_open,
	.can_write = true,
	.start_writing = vdi_start_writing,
	.create = vdi_create,
	.create_options = vdi_create_options,
	.can_back = true,
	.check_parent = image_check_parent,
	.knows_parent = image_knows_parent,
	.facts = vdi_facts,
	.check = vdi_check,
	.layouts = layouts,
};
