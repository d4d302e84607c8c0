/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "map.h"

#include "util/bytes.h"
#include "util/err.h"
#include "io/meta.h"
#include "io/io.h"

/* Counts the entries at p, the first included, that make one extent: all without a slot, or with
 * slots one after the other and no extra bytes in between. */
static size_t run_length(const struct vdi *d, const unsigned char *p, size_t n)
{
	uint32_t entry = load_le32(p);
	bool stored = vdi_is_stored(entry);
	size_t i = 1;

	if (stored && d->extra > 0)
		return 1;
	for (; i < n; i++) {
		uint32_t next = load_le32(p + 4 * i);

		if (next != entry + (stored ? i : 0) || vdi_is_stored(next) != stored)
			break;
	}
	return i;
}

int vdi_map(const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct vdi *d = (const struct vdi *)v;
	uint64_t block = off / d->block_size, skip = off % d->block_size;
	uint64_t wanted = div_round_up(skip + len, d->block_size);
	struct meta m;
	uint32_t entry;
	size_t n;
	int r = meta_pin(v->cache, d->io, vdi_entry_pos(d, block), &m, e);

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
		x, d->io, vdi_slot_pos(d, entry) + d->extra, skip, x->len, d->block_size, e);
}

int vdi_map_each(const struct vdi *d, vdi_map_fn *each, void *arg, struct err *e)
{
	int r = 0;

	for (uint32_t first = 0, n; r == 0 && first < d->nblocks; first += n) {
		struct meta m;

		if (meta_pin(d->view.cache, d->io, vdi_entry_pos(d, first), &m, e) < 0)
			return err_in(e, "block map");
		n = MIN(m.n / 4, d->nblocks - first);
		r = each(arg, first, m.p, n, e);
		meta_unpin(d->view.cache, &m);
	}
	return r;
}

uint32_t vdi_map_entries_in_page(const struct vdi *d, uint32_t block)
{
	return (META_PAGE - vdi_entry_pos(d, block) % META_PAGE) / 4;
}

bool vdi_map_block_is_whole(const struct vdi *d, uint32_t block, uint32_t slot)
{
	uint64_t pos = vdi_slot_pos(d, slot), off = block * (uint64_t)d->block_size;
	uint64_t visible = off < d->view.size ? MIN(d->block_size, d->view.size - off) : 0;

	return pos < d->io->size && range_fits(pos, d->extra + visible, d->io->size);
}
