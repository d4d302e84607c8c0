/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdi-write.c - changing a VDI image: new blocks at the end of the data area.
 *
 * The header has the number of blocks that are stored, and other programs append behind that many.
 * So it is durable before the map has the blocks: after a crash in between it is too high, which
 * costs them a block, and which is put right when the image is opened for writing again.
 */
#include <errno.h>
#include <inttypes.h>

#include "bounds.h"
#include "bytes.h"
#include "cache.h"
#include "err.h"
#include "guid.h"
#include "image.h"
#include "io.h"
#include "vdi.h"
#include "writeback.h"
#include "writer.h"

static uint64_t entry_pos(const struct vdi *d, uint32_t block)
{
	return d->map_pos + 4 * (uint64_t)block;
}

/* Entries from that of the block on that lie in one page: they change together or not at all. */
static uint32_t entries_in_page(const struct vdi *d, uint32_t block)
{
	return (META_PAGE - entry_pos(d, block) % META_PAGE) / 4;
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

	return d->extra > 0 ? 1 : MIN(n, entries_in_page(d, off / d->block_size));
}

static int vdi_reserve(struct view *v, uint64_t off, uint64_t len, struct grant *g, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	uint32_t first, n = vdi_alloc_take(d->alloc, blocks_wanted(d, off, len), &first);
	uint64_t had = d->io->size, end = vdi_block_pos(d, first + n);

	if (had < end && io_resize(d->io, end, e) < 0) {
		vdi_alloc_give(d->alloc, first, n);
		return -e->code;
	}
	off -= off % d->block_size;
	*g = (struct grant){
		.off = off,
		.len = MIN(n * (uint64_t)d->block_size, v->size - off),
		.io = d->io,
		.pos = vdi_block_pos(d, first) + d->extra,
		.fresh = had <= vdi_block_pos(d, first),
		.token = first,
	};
	return 0;
}

static uint32_t blocks_of(const struct vdi *d, const struct grant *g)
{
	return div_round_up(g->len, d->block_size);
}

static int vdi_commit(struct view *v, const struct grant *g, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	unsigned char entries[META_PAGE];
	uint32_t n = blocks_of(d, g);

	for (uint32_t i = 0; i < n; i++)
		store_le32(entries + 4 * i, g->token + i);
	return meta_write(d->io, entries, 4 * (size_t)n, entry_pos(d, g->off / d->block_size),
		ORDER_TABLES, e);
}

static void vdi_cancel(struct view *v, const struct grant *g)
{
	struct vdi *d = (struct vdi *)v;

	vdi_alloc_give(d->alloc, g->token, blocks_of(d, g));
}

/* Blocks that the parent would give. */
static int hide_parent(struct vdi *d, const struct extent *x, struct err *e)
{
	unsigned char entries[META_PAGE];
	size_t n = 4 * div_round_up(x->len, d->block_size);

	for (size_t i = 0; i < n; i += 4)
		store_le32(entries + i, VDI_ENTRY_ZERO);
	return meta_write(d->io, entries, n, entry_pos(d, x->pos / d->block_size), ORDER_TABLES, e);
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

/* Resizing.  Room for more entries is only where the writer of the image left some: what lies
 * behind the map does not move. */

static int check_growth(const struct vdi *d, uint64_t size, struct err *e)
{
	uint64_t room = MIN((d->data_pos - d->map_pos) / 4, VDI_MAX_BLOCKS) * d->block_size;
	const struct view *v = &d->view;

	if (size % 512 != 0)
		return err_set(e, EINVAL, "a disk of %" PRIu64 " bytes has no whole sectors", size);
	if (d->type == VDI_FIXED)
		return err_set(e, EOPNOTSUPP, "a fixed VDI image keeps its size");
	if (size < v->size && view_stores_behind(v, size))
		return err_set(e, EOPNOTSUPP, "there are blocks behind the end");
	if (size > room)
		return err_set(e, EOPNOTSUPP,
			"its block map has room for a disk of %" PRIu64 " bytes", room);
	if (v->below && v->below->size > v->size)
		return err_set(e, EOPNOTSUPP,
			"its parent is longer: what that has past the end would come to light");
	return 0;
}

/* What blocks hold past the end of the disk was never seen, and must not be. */
static int zero_past_end(struct vdi *d, struct err *e)
{
	uint64_t off = d->view.size, end = (uint64_t)d->nblocks * d->block_size;
	struct extent x;
	int r = 0;

	for (; r == 0 && off < end; off += x.len) {
		x = (struct extent){.len = 0};
		r = d->view.ops->map(&d->view, off, end - off, &x, e);
		if (r == 0 && x.kind == EXTENT_FILE)
			r = io_zero(x.io, x.pos, x.len, e);
	}
	return r;
}

/* The header does not know of these entries yet. */
static int add_entries(struct vdi *d, uint32_t nblocks, struct err *e)
{
	unsigned char entries[META_PAGE];
	int r = vdi_alloc_grow(d->alloc, nblocks, e);

	memset(entries, 0xff, sizeof entries); /* VDI_ENTRY_FREE */
	for (uint32_t i = d->nblocks, n; r == 0 && i < nblocks; i += n) {
		n = MIN(nblocks - i, entries_in_page(d, i));
		r = meta_write(d->io, entries, 4 * (size_t)n, entry_pos(d, i), ORDER_TABLES, e);
		if (r == 0 && writeback_pending(d->view.writer->writeback) > 1024)
			r = writer_write_back(d->view.writer, e);
	}
	return r;
}

static int set_size(struct vdi *d, uint64_t size, uint32_t nblocks, struct err *e)
{
	unsigned char fields[20];

	store_le64(fields, size);
	store_le32(fields + 8, d->block_size);
	store_le32(fields + 12, d->extra);
	store_le32(fields + 16, nblocks);
	return meta_write(d->io, fields, sizeof fields, VDI_SIZE, ORDER_HEADER, e);
}

/* An image may have more blocks than its disk needs. */
static uint32_t blocks_for(const struct vdi *d, uint64_t size)
{
	uint32_t needed = div_round_up(size, d->block_size);
	bool spare = d->nblocks > div_round_up(d->view.size, d->block_size);

	return size < d->view.size && !spare ? needed : MAX(d->nblocks, needed);
}

static int vdi_resize(struct view *v, uint64_t size, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	uint32_t nblocks;
	int r = check_growth(d, size, e);

	if (r < 0)
		return r;
	nblocks = blocks_for(d, size);
	r = zero_past_end(d, e);
	if (r == 0)
		r = add_entries(d, nblocks, e);
	/* The count, which waits for another order, is in the sector of the size. */
	if (r == 0)
		r = writer_write_back(v->writer, e);
	if (r == 0)
		r = set_size(d, size, nblocks, e);
	if (r == 0)
		r = writer_write_back(v->writer, e);
	if (r < 0)
		return r;
	d->nblocks = nblocks;
	v->size = size;
	return 0;
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
