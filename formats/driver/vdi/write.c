/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.c - changes of the disk: new blocks at the end of the data area.
 *
 * The header has the number of allocated blocks, and other programs append after that many.  So the
 * number is durable before the block map has the blocks: after a crash in between it is too high,
 * which leaks a block until the image is opened for writing again.
 *
 * Entries that one operation changes lie in one page, so that they reach the file together.
 */
#include "util/bytes.h"
#include "util/err.h"
#include "util/guid.h"
#include "alloc.h"
#include "header.h"
#include "io/meta.h"
#include "io/io.h"
#include "io/writeback.h"
#include "map.h"
#include "view/writer.h"

/* Children compare the id of the content with the one that they record: another one means that
 * their parent has changed. */
static int vdi_begin(struct view *v, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	unsigned char id[GUID_LEN];
	int r = guid_random(id, e);

	return r == 0 ? meta_write(d->io, id, sizeof id, VDI_CHANGE, ORDER_COUNTS, e) : r;
}

static int vdi_reserve(
	struct view *v, uint64_t off, uint64_t len, struct reservation *res, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	uint64_t wanted = div_round_up(off % d->block_size + len, d->block_size), had = d->io->size;
	uint32_t max = MIN(wanted, vdi_map_entries_in_page(d, off / d->block_size)), first, n;

	n = vdi_alloc_take(&d->alloc, d->extra > 0 ? 1 : max, &first);
	if (had < vdi_slot_pos(d, first + n) &&
		io_resize(d->io, vdi_slot_pos(d, first + n), e) < 0) {
		vdi_alloc_give(&d->alloc, first, n);
		return -e->code;
	}
	off -= off % d->block_size;
	*res = (struct reservation){
		.off = off,
		.len = MIN(n * (uint64_t)d->block_size, v->size - off),
		.io = d->io,
		.pos = vdi_slot_pos(d, first) + d->extra,
		.reads_zero = had <= vdi_slot_pos(d, first),
		.token = first,
	};
	return 0;
}

static int vdi_commit(struct view *v, const struct reservation *res, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	unsigned char entries[META_PAGE];
	size_t n = div_round_up(res->len, d->block_size);

	for (size_t i = 0; i < n; i++)
		store_le32(entries + 4 * i, res->token + i);
	return meta_write(
		d->io, entries, 4 * n, vdi_entry_pos(d, res->off / d->block_size), ORDER_TABLES, e);
}

static void vdi_cancel(struct view *v, const struct reservation *res)
{
	struct vdi *d = (struct vdi *)v;

	vdi_alloc_give(&d->alloc, res->token, div_round_up(res->len, d->block_size));
}

/* A block that is stored keeps its slot, since the data area must have no gaps: only the host frees
 * its bytes.  A block that the parent has gets an entry that hides it. */
static int vdi_clear(struct view *v, uint64_t off, uint64_t len, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	unsigned char entries[META_PAGE];
	struct extent x;
	int r = 0;

	for (; r == 0 && len > 0; off += x.len, len -= x.len) {
		size_t n;

		r = view_map(v, off, len, &x, e);
		if (r < 0)
			return r;
		n = div_round_up(x.len, d->block_size);
		if (x.kind == EXTENT_FILE)
			r = io_zero(x.io, x.pos, x.len, e);
		if (x.kind != EXTENT_BELOW || !v->below)
			continue;
		for (size_t i = 0; i < n; i++)
			store_le32(entries + 4 * i, VDI_ENTRY_ZERO);
		r = meta_write(d->io, entries, 4 * n, vdi_entry_pos(d, x.pos / d->block_size),
			ORDER_TABLES, e);
	}
	return r;
}

static int vdi_prepare(struct view *v, struct err *e)
{
	struct vdi *d = (struct vdi *)v;
	uint32_t count = d->alloc.end;
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
	uint64_t end = vdi_slot_pos(d, d->alloc.end);

	if (r < 0 || d->io->is_block || d->io->size <= end)
		return r;
	return io_resize(d->io, end, e);
}

const struct write_ops vdi_write_ops = {
	.begin = vdi_begin,
	.reserve = vdi_reserve,
	.commit = vdi_commit,
	.cancel = vdi_cancel,
	.clear = vdi_clear,
	.prepare = vdi_prepare,
	.resize = vdi_resize,
	.finish = vdi_finish,
};
