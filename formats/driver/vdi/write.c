/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - changing a VDI image: new blocks at the end of the data area.
 *
 * The header has the number of blocks that are stored, and other programs append behind that many.
 * So it is durable before the map has the blocks: after a crash in between it is too high, which
 * costs them a block, and which is put right when the image is opened for writing again.
 */
#include <errno.h>
#include <inttypes.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "util/guid.h"
#include "image/image.h"
#include "io/io.h"
#include "vdi.h"
#include "io/writeback.h"
#include "view/writer.h"

uint32_t vdi_entries_in_page(const struct vdi *d, uint32_t block)
{
	return (META_PAGE - vdi_entry_pos(d, block) % META_PAGE) / 4;
}

int vdi_write_back_some(struct vdi *d, struct err *e)
{
	return writer_is_full(d->view.writer) ? writer_write_back(d->view.writer, e) : 0;
}

/* Children know by it that their parent was changed. */
static int vdi_begin(struct view *v, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	unsigned char id[GUID_LEN];
	int r = guid_random(id, e);

	return r == 0 ? meta_write(d->io, id, sizeof id, VDI_CHANGE, ORDER_COUNTS, e) : r;
}

/* Blocks that a write of [off, off+len) can be given at once. */
static uint32_t blocks_wanted(const struct vdi *d, uint64_t off, uint64_t len)
{
	uint64_t n = div_round_up(off % d->block_size + len, d->block_size);

	return d->extra > 0 ? 1 : MIN(n, vdi_entries_in_page(d, off / d->block_size));
}

static int vdi_reserve(
	struct view *v, uint64_t off, uint64_t len, struct reservation *res, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	uint32_t first, n = vdi_alloc_take(d->alloc, blocks_wanted(d, off, len), &first);
	uint64_t had = d->io->size, end = vdi_block_pos(d, first + n);

	if (had < end && io_resize(d->io, end, e) < 0) {
		vdi_alloc_give(d->alloc, first, n);
		return -e->code;
	}
	off -= off % d->block_size;
	*res = (struct reservation){
		.off = off,
		.len = MIN(n * (uint64_t)d->block_size, v->size - off),
		.io = d->io,
		.pos = vdi_block_pos(d, first) + d->extra,
		.reads_zero = had <= vdi_block_pos(d, first),
		.token = first,
	};
	return 0;
}

static uint32_t blocks_of(const struct vdi *d, const struct reservation *res)
{
	return div_round_up(res->len, d->block_size);
}

static int vdi_commit(struct view *v, const struct reservation *res, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	unsigned char entries[META_PAGE];
	uint32_t n = blocks_of(d, res);

	for (uint32_t i = 0; i < n; i++)
		store_le32(entries + 4 * i, res->token + i);
	return meta_write(d->io, entries, 4 * (size_t)n, vdi_entry_pos(d, res->off / d->block_size),
		ORDER_TABLES, e);
}

static void vdi_cancel(struct view *v, const struct reservation *res)
{
	struct vdi *d = (struct vdi *)v;

	vdi_alloc_give(d->alloc, res->token, blocks_of(d, res));
}

/* Blocks that the parent would give. */
static int hide_parent(struct vdi *d, const struct extent *x, struct err *e)
{
	unsigned char entries[META_PAGE];
	size_t n = 4 * div_round_up(x->len, d->block_size);

	for (size_t i = 0; i < n; i += 4)
		store_le32(entries + i, VDI_ENTRY_ZERO);
	return meta_write(
		d->io, entries, n, vdi_entry_pos(d, x->pos / d->block_size), ORDER_TABLES, e);
}

/* The data area must have no gaps: a block that is stored keeps its place, and only the host gets
 * its room back. */
static int clear_extent(struct vdi *d, const struct extent *x, struct err *e)
{
	if (x->kind == EXTENT_FILE)
		return io_zero(x->io, x->pos, x->len, e);
	return x->kind == EXTENT_BELOW && d->view.below ? hide_parent(d, x, e) : 0;
}

static int vdi_clear(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	struct extent x;
	int r = 0;

	for (; r == 0 && len > 0; off += x.len, len -= x.len) {
		r = view_map(v, off, len, &x, e);
		if (r == 0)
			r = clear_extent((struct vdi *)v, &x, e);
	}
	return r;
}

static int vdi_prepare(struct view *v, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	uint32_t count = vdi_alloc_end(d->alloc);
	unsigned char field[4];
	int r;

	if (count == d->count)
		return 0;
	store_le32(field, count);
	r = meta_write(d->io, field, sizeof field, VDI_COUNT, ORDER_COUNTS, e);
	if (r == 0)
		d->count = count;
	return r;
}

static int vdi_finish(struct view *v, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	int r = vdi_alloc_close_gaps(d, e);
	uint64_t end = vdi_block_pos(d, vdi_alloc_end(d->alloc));

	if (r < 0 || d->io->is_block || d->io->size <= end)
		return r;
	return io_resize(d->io, end, e);
}

static const struct write_ops vdi_write_ops = {
	.begin = vdi_begin,
	.reserve = vdi_reserve,
	.commit = vdi_commit,
	.cancel = vdi_cancel,
	.clear = vdi_clear,
	.prepare = vdi_prepare,
	.resize = vdi_resize,
	.finish = vdi_finish,
};

void vdi_let_write(struct image *img, struct vdi *d)
{
	if (!img->writable)
		return;
	if (d->version_0) {
		img->no_writing = "it is of VDI version 0.2, which only very old programs write";
		return;
	}
	/* A sector of the map may be written at any time: no other bytes are in it. */
	if (d->data_pos % 512 != 0) {
		img->no_writing = "its data do not begin at a multiple of 512";
		return;
	}
	d->view.write = &vdi_write_ops;
	d->view.granule = d->view.unit = d->block_size;
}

/* The last block may have been cut off in the file. */
static int complete_file(struct vdi *d, struct err *e)
{
	uint64_t end = vdi_block_pos(d, vdi_alloc_end(d->alloc));

	return d->io->size < end ? io_resize(d->io, end, e) : 0;
}

int vdi_start_writing(struct image *img, struct err *e)
{
	struct vdi *d = (struct vdi *)img->states[0]->view;
	int r = vdi_alloc_new(d, e);

	if (r == 0)
		r = complete_file(d, e);
	return r == 0 ? vdi_alloc_close_gaps(d, e) : r;
}
