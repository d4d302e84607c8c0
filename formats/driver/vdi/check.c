/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c - compares the block map, the header's number of allocated blocks and the file's length.
 *
 * Messages are those of QEMU 7.2 where it has one.  A program that appends a block takes the
 * number in the header for its slot: a number that is too low makes it overwrite a block, one that
 * is too high only leaks, and a crash may leave that.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "util/bitmap.h"
#include "util/bytes.h"
#include "util/err.h"
#include "header.h"
#include "image/check.h"
#include "image/image.h"
#include "io/cache.h"
#include "io/io.h"
#include "map.h"

struct vdi_checking {
	struct vdi *d;
	struct check_report *r;
	unsigned char *used; /* a bit a slot */
	uint32_t nused;
	uint32_t end; /* after the last slot in use */
};

static int check_entries(
	void *arg, uint32_t first, const unsigned char *p, uint32_t n, struct err *e)
{
	struct vdi_checking *c = arg;

	for (uint32_t block = first; block < first + n; block++, p += 4) {
		uint32_t slot = load_le32(p);

		if (!vdi_is_stored(slot))
			continue;
		if (check_go_on(c->r, e) < 0)
			return -e->code;
		if (slot >= c->d->nblocks) {
			check_corruption(c->r,
				"ERROR: block index %" PRIu32 " out of range, is %" PRIu32, block,
				slot);
			continue;
		}
		c->end = MAX(c->end, slot + 1);
		if (bitmap_get(c->used, slot, LSB_FIRST)) {
			check_corruption(c->r,
				"ERROR: block index %" PRIu32 " also used by %" PRIu32, slot,
				block);
			continue;
		}
		c->nused++;
		bitmap_put(c->used, slot, 1, true, LSB_FIRST);
		if (!vdi_map_block_is_whole(c->d, block, slot))
			check_corruption(c->r,
				"ERROR: block index %" PRIu32
				" past the end of the file, is %" PRIu32,
				block, slot);
	}
	return 0;
}

static int set_count(struct vdi_checking *c, struct err *e)
{
	struct vdi *d = c->d;
	unsigned char le[4];
	int r;

	store_le32(le, c->end);
	r = io_write(d->io, le, sizeof le, VDI_COUNT, e);
	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0)
		d->count = c->end;
	return r;
}

/* A number is good that covers all slots in use and not more than there are. */
static bool count_is_wrong(const struct vdi_checking *c)
{
	return c->d->count < c->end || c->d->count > c->d->nblocks;
}

static int check_count(struct vdi_checking *c, bool repair, struct err *e)
{
	int r;

	if (!count_is_wrong(c))
		return 0;
	if (!repair) {
		check_corruption(c->r,
			"ERROR: allocated blocks mismatch, is %" PRIu32 ", should be %" PRIu32,
			c->nused, c->d->count);
		return 0;
	}
	check_tell(c->r, "Repairing the number of allocated blocks: it is %" PRIu32, c->end);
	r = set_count(c, e);
	c->r->corruptions_fixed += r == 0;
	return r;
}

/* Counts the slots after the last one in use, as the header or the length of the file has them. */
static uint32_t count_tail(const struct vdi_checking *c)
{
	const struct vdi *d = c->d;
	uint64_t pos = vdi_slot_pos(d, c->end);
	uint64_t in_file =
		d->io->is_block || d->io->size < pos ? 0 : (d->io->size - pos) / vdi_slot_len(d);
	uint32_t counted = count_is_wrong(c) ? 0 : d->count - c->end;

	return MAX(counted, MIN(in_file, UINT32_MAX - c->end));
}

/* Gaps stay: closing them moves blocks, which opening the image for writing does. */
static int check_leaks(struct vdi_checking *c, bool repair, struct err *e)
{
	struct io *io = c->d->io;
	uint64_t end = vdi_slot_pos(c->d, c->end);
	uint32_t gaps = c->end - c->nused, tail = count_tail(c);
	int r = 0;

	if (gaps > 0)
		check_tell(c->r, "%" PRIu32 " blocks inside the data area are not used", gaps);
	c->r->leaks += gaps;
	if (tail == 0)
		return 0;
	if (!repair) {
		check_tell(
			c->r, "%" PRIu32 " blocks at the end of the data area are not used", tail);
		c->r->leaks += tail;
		return 0;
	}
	check_tell(c->r, "Cutting off %" PRIu32 " blocks that are not used", tail);
	if (c->d->count != c->end)
		r = set_count(c, e);
	if (r == 0 && !io->is_block && io->size > end) {
		r = io_resize(io, end, e);
		if (r == 0)
			r = io_sync(io, e);
	}
	c->r->leaks_fixed += r == 0 ? tail : 0;
	return r;
}

int vdi_check(struct image *img, unsigned repair, struct check_report *r, struct err *e)
{
	struct vdi *d = (struct vdi *)img->states[0]->view;
	struct vdi_checking c = {.d = d, .r = r, .used = calloc(1, d->nblocks / 8 + 1)};
	int rc = c.used ? vdi_map_each(d, check_entries, &c, e) : err_nomem(e);

	free(c.used);
	if (rc < 0)
		return rc;
	/* The block of a wrong entry may lie in a slot that looks unused. */
	if (r->corruptions > 0)
		repair = 0;
	if (repair && d->version_0)
		return err_set(e, ENOTSUP, "an image of VDI version 0.2 cannot be repaired");
	rc = check_count(&c, repair & CHECK_ERRORS, e);
	if (rc == 0)
		rc = check_leaks(&c, repair & CHECK_LEAKS && !count_is_wrong(&c), e);
	if (repair)
		cache_forget(d->view.cache, d->io);
	return rc;
}
