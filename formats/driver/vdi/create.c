/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create.c - new images, laid out as VirtualBox does: the block map at 1 MiB, which leaves it space
 * to grow, and the data at a multiple of 1 MiB. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "image/creation.h"
#include "util/err.h"
#include "image/image.h"
#include "io/io.h"
#include "header.h"

#define ALIGN     (1u << 20)
#define MIN_BLOCK (128u << 10) /* as VirtualBox opens them */
#define MAX_BLOCK (128u << 20)

static int choose(const struct creation *c, struct vdi_header *h, struct err *e)
{
	uint64_t block = creation_number(c, "cluster_size");
	bool is_static = creation_flag(c, "static");

	if (!is_power_of_2(block) || block < MIN_BLOCK || block > MAX_BLOCK)
		return err_set(
			e, EINVAL, "cluster_size: a power of two from 128k to 128M expected");
	if (c->size > (uint64_t)VDI_MAX_BLOCKS * block - 512)
		return err_set(e, EFBIG,
			"a disk of %" PRIu64 " bytes has more than %u blocks; cluster_size makes "
			"them larger",
			c->size, VDI_MAX_BLOCKS);
	if (c->request->backing && is_static)
		return err_set(
			e, EINVAL, "static: an image with a backing file is a differencing one");
	if (!is_static && !creation_is(c, "preallocation", "off"))
		return err_set(e, EINVAL, "preallocation: only with static=on");
	h->type = c->request->backing ? VDI_DIFFERENCING : is_static ? VDI_FIXED : VDI_DYNAMIC;
	h->size = round_up(c->size, 512);
	h->block_size = block;
	h->nblocks = div_round_up(h->size, block);
	h->count = is_static ? h->nblocks : 0;
	h->map_pos = ALIGN;
	h->data_pos = round_up(MAX(ALIGN + 4 * (uint64_t)h->nblocks, ALIGN + 1), ALIGN);
	return 0;
}

static int choose_ids(const struct creation *c, struct vdi_header *h, struct err *e)
{
	int r = guid_random(h->ids[0], e);

	if (r == 0)
		r = guid_random(h->ids[1], e);
	if (r < 0 || !c->request->backing)
		return r;
	if (!c->parent)
		return err_set(e, EINVAL, "its UUID is in the backing file, which must be there");
	if (guid_is_zero(c->parent->id))
		return err_set(e, EINVAL,
			"%s has no UUID, by which alone a VDI image finds its backing file",
			c->parent->io->name);
	memcpy(h->ids[2], c->parent->id, GUID_LEN);
	memcpy(h->ids[3], c->parent->change_id, GUID_LEN);
	return 0;
}

static int write_block_map(struct io *io, const struct vdi_header *h, struct err *e)
{
	unsigned char entries[64u << 10];
	uint32_t n = MIN(h->nblocks, sizeof entries / 4);
	int r = 0;

	for (uint32_t first = 0; r == 0 && first < h->nblocks; first += n) {
		n = MIN(n, h->nblocks - first);
		for (uint32_t i = 0; i < n; i++)
			store_le32(entries + 4 * i, h->count > 0 ? first + i : VDI_ENTRY_FREE);
		r = io_write(io, entries, 4 * (size_t)n, h->map_pos + 4 * (uint64_t)first, e);
	}
	return r;
}

int vdi_create(struct creation *c, struct err *e)
{
	unsigned char header[VDI_HEADER_LEN];
	struct vdi_header h = {0};
	uint64_t len;
	int r = choose(c, &h, e);

	if (r == 0)
		r = choose_ids(c, &h, e);
	len = h.count * (uint64_t)h.block_size;
	if (r == 0)
		r = creation_extend(c->io, h.data_pos, h.data_pos + len, e);
	if (r == 0 && !creation_is(c, "preallocation", "off"))
		r = creation_preallocate(
			c->io, h.data_pos, len, creation_is(c, "preallocation", "full"), e);
	if (r == 0)
		r = write_block_map(c->io, &h, e);
	if (r < 0)
		return r;
	vdi_header_encode(&h, header);
	return io_write(c->io, header, sizeof header, 0, e);
}

static const char *const preallocations[] = {"off", "falloc", "full", NULL};

const struct create_option vdi_create_options[] = {
	CREATE_OPTION_SIZE,
	CREATE_OPTION_BACKING,
	{"static", CREATE_FLAG, "allocate all blocks", "off", NULL, "off"},
	{"cluster_size", CREATE_SIZE, "bytes of a block", "1M", NULL, NULL},
	{"preallocation", CREATE_WORD, "allocate space for a static image (off, falloc, full)",
		"off", preallocations, NULL},
	{0},
};
