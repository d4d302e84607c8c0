/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdi.c - VirtualBox disk images, version 1: a header, one map of 32-bit entries, blocks.
 *
 * All integers are little-endian.  A map entry is the number of a block in the data area; the two
 * highest values say that nothing is stored.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "bytes.h"
#include "cache.h"
#include "err.h"
#include "facts.h"
#include "format.h"
#include "guid.h"
#include "image.h"
#include "io.h"
#include "view.h"

#define VDI_SIGNATURE 0xbeda107fu
#define HEADER_SIZE   456         /* all that version 1.1 has */
#define ENTRY_FREE    0xffffffffu /* never written: the parent's, or zeroes */
#define ENTRY_ZERO    0xfffffffeu /* zeroes, whatever the parent has */

enum vdi_type { DYNAMIC = 1, FIXED = 2, UNDO = 3, DIFFERENCING = 4 };

struct vdi {
	struct view view;
	struct io *io;
	enum vdi_type type;
	uint64_t map_pos, data_pos;
	uint32_t block_size;
	uint32_t extra; /* bytes of VirtualBox's own before the data of each block */
	uint32_t nblocks;
	unsigned char uuid[16];
};

static bool is_stored(uint32_t entry)
{
	return entry < ENTRY_ZERO;
}

/* Does the block with entry next follow the one with entry prev without a seam? */
static bool continues(const struct vdi *d, uint32_t prev, uint32_t next)
{
	if (!is_stored(prev))
		return next == prev;
	return is_stored(next) && next == prev + 1 && d->extra == 0;
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
	x->kind = entry == ENTRY_FREE ? EXTENT_BELOW : EXTENT_ZERO;
	if (!is_stored(entry))
		return 0;
	return extent_in_file(x, d->io,
		d->data_pos + entry * ((uint64_t)d->block_size + d->extra) + d->extra, skip, x->len,
		d->block_size, e);
}

static const struct view_ops vdi_ops = {.map = vdi_map};

/* Header, section by section; every value is looked at before it is used. */

static int check_version(const unsigned char *h, struct err *e)
{
	uint32_t version = load_le32(h + 68), header = load_le32(h + 72);

	if (load_le32(h + 64) != VDI_SIGNATURE)
		return err_set(e, EINVAL, "not a VDI image: no signature at 64");
	if (version >> 16 != 1)
		return err_set(e, ENOTSUP, "VDI version %u.%u is not supported", version >> 16,
			version & 0xffff);
	if (header < HEADER_SIZE - 72)
		return err_set(e, EINVAL, "header of %u bytes, at least %d expected", header,
			HEADER_SIZE - 72);
	return 0;
}

static int check_type(struct vdi *d, const unsigned char *h, struct err *e)
{
	static const unsigned char none[16];

	d->type = load_le32(h + 76);
	memcpy(d->uuid, h + 392, sizeof d->uuid);
	if (d->type < DYNAMIC || d->type > DIFFERENCING)
		return err_set(e, ENOTSUP, "image type %u is not known", (unsigned)d->type);
	if (d->type > FIXED || memcmp(h + 424, none, 16) != 0 || memcmp(h + 440, none, 16) != 0)
		return err_set(e, ENOTSUP,
			"it is a difference to a parent known only by its UUID, "
			"which is not supported");
	return 0;
}

static int check_geometry(struct vdi *d, const unsigned char *h, struct err *e)
{
	uint64_t size = load_le64(h + 368);

	d->block_size = load_le32(h + 376);
	d->extra = load_le32(h + 380);
	d->nblocks = load_le32(h + 384);
	if (load_le32(h + 360) != 512)
		return err_set(e, ENOTSUP, "sectors of %u bytes, 512 expected", load_le32(h + 360));
	if (d->block_size < 512 || d->block_size > VDI_MAX_BLOCK || !is_power_of_2(d->block_size))
		return err_set(e, EINVAL, "block size %u is not a power of two from 512 to %u",
			d->block_size, VDI_MAX_BLOCK);
	if (d->extra != 0 && (!is_power_of_2(d->extra) || d->extra > d->block_size))
		return err_set(e, EINVAL, "%u extra bytes a block", d->extra);
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

static int check_layout(struct vdi *d, const unsigned char *h, struct err *e)
{
	uint64_t map_len = 4 * (uint64_t)d->nblocks;

	d->map_pos = load_le32(h + 340);
	d->data_pos = load_le32(h + 344);
	if (d->map_pos % 512 != 0 || d->map_pos < HEADER_SIZE)
		return err_set(e, EINVAL, "block map at %" PRIu64 ", a multiple of 512 expected",
			d->map_pos);
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

static int read_header(struct vdi *d, struct err *e)
{
	unsigned char h[HEADER_SIZE];
	int r;

	if (d->io->size < sizeof h)
		return err_set(
			e, EINVAL, "the header is cut off at %" PRIu64 " bytes", d->io->size);
	r = io_read(d->io, h, sizeof h, 0, e);
	if (r == 0)
		r = check_version(h, e);
	if (r == 0)
		r = check_type(d, h, e);
	if (r == 0)
		r = check_geometry(d, h, e);
	if (r == 0)
		r = check_layout(d, h, e);
	return r;
}

static int vdi_open(struct image *img, struct err *e)
{
	struct vdi *d = calloc(1, sizeof *d);
	int r;

	if (!d)
		return err_nomem(e);
	d->view = (struct view){.ops = &vdi_ops, .cache = img->opts->cache};
	d->io = img->io;
	r = read_header(d, e);
	if (r == 0 && !image_add_state(img, NULL, NULL, &d->view, e))
		r = -e->code;
	if (r < 0)
		free(d);
	return r;
}

static void vdi_facts(const struct image *img, struct facts *f)
{
	const struct vdi *d = (const struct vdi *)img->states[0].view;
	char uuid[GUID_TEXT];

	guid_text(uuid, d->uuid);
	fact_text(f, "create-type", d->type == FIXED ? "fixed" : "dynamic");
	fact_text(f, "uuid", uuid);
	fact_cluster_size(f, d->block_size);
}

static int vdi_probe(const struct peek *p)
{
	return p->nhead >= 68 && load_le32(p->head + 64) == VDI_SIGNATURE ? 100 : 0;
}

static const char *const suffixes[] = {"vdi", NULL};

const struct format vdi_format = {
	.name = "vdi",
	.title = "VirtualBox disk image",
	.suffixes = suffixes,
	.probe = vdi_probe,
	.open = vdi_open,
	.facts = vdi_facts,
};
