/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header.c - the header: version 0.2, which is only read, and version 1.x. */
#include "header.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "image/image.h"
#include "io/io.h"

#define VERSION_0 0x00000002u /* 0.2, the only one before 1 */
#define VERSION_1 0x00010001u
#define READ_LEN  456u        /* bytes of the header of version 1 that are decoded */
#define NEW_LEN   (472u - 72) /* of a new header from its length field on, with the geometry */

/* The length of the header of a version, and the positions of its fields. */
struct fields {
	unsigned len, type, sector, size, block_size, nblocks, ids;
};

static const struct fields version_0 = {420, 72, 348, 352, 360, 364, 372};
static const struct fields version_1 = {READ_LEN, 76, 360, VDI_SIZE, 376, 384, VDI_IDS};

/* An image of any type may have a parent: the id decides. */
static int decode_type(struct image *img, struct vdi *d, const unsigned char *h,
	const struct fields *f, struct err *e)
{
	const unsigned char *id = h + f->ids;

	d->type = load_le32(h + f->type);
	memcpy(img->id, id, GUID_LEN);
	memcpy(img->change_id, id + GUID_LEN, GUID_LEN);
	memcpy(img->parent_id, id + 2 * GUID_LEN, GUID_LEN);
	if (f == &version_1)
		memcpy(img->parent_change_id, id + 3 * GUID_LEN, GUID_LEN);
	if (d->type < VDI_DYNAMIC || d->type > VDI_DIFFERENCING)
		return err_set(e, ENOTSUP, "image type %u is not known", (unsigned)d->type);
	if (d->type > VDI_FIXED && guid_is_zero(img->parent_id))
		return err_set(
			e, EUCLEAN, "a differencing image without a parent: that UUID is zero");
	return 0;
}

static int decode_geometry(
	struct vdi *d, const unsigned char *h, const struct fields *f, struct err *e)
{
	uint64_t size = load_le64(h + f->size);
	uint32_t sector = load_le32(h + f->sector);

	d->block_size = load_le32(h + f->block_size);
	d->nblocks = load_le32(h + f->nblocks);
	d->count = load_le32(h + f->nblocks + 4);
	if (sector != 512 && (sector != 0 || f == &version_1))
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

static int decode_places(struct vdi *d, const unsigned char *h, struct err *e)
{
	uint64_t map_len = 4 * (uint64_t)d->nblocks;

	if (d->version_0) {
		/* Block map and data follow the header without a gap. */
		d->map_pos = version_0.len;
		d->data_pos = d->map_pos + map_len;
	} else {
		d->map_pos = load_le32(h + VDI_PLACES);
		d->data_pos = load_le32(h + VDI_PLACES + 4);
		d->extra = load_le32(h + 380);
		if (d->extra != 0 && (!is_power_of_2(d->extra) || d->extra > d->block_size))
			return err_set(e, EINVAL, "%u extra bytes a block", d->extra);
		if (d->map_pos % 512 != 0 || d->map_pos < READ_LEN)
			return err_set(e, EINVAL,
				"block map at %" PRIu64 ", a multiple of 512 expected", d->map_pos);
	}
	if (!range_fits(d->map_pos, map_len, d->io->size))
		return err_set(e, EINVAL,
			"block map of %" PRIu64 " bytes at %" PRIu64
			" passes the end of the file, %" PRIu64,
			map_len, d->map_pos, d->io->size);
	/* Data before the block map would run into it: slots are counted upwards. */
	if (d->data_pos < d->map_pos + map_len)
		return err_set(e, EINVAL,
			"data at %" PRIu64 ", before the end of the block map, %" PRIu64,
			d->data_pos, d->map_pos + map_len);
	return 0;
}

int vdi_header_read(struct image *img, struct vdi *d, struct err *e)
{
	unsigned char h[READ_LEN];
	const struct fields *f = &version_1;
	uint32_t version, len;
	int r = io_read_padded(d->io, h, sizeof h, 0, e);

	if (r < 0)
		return r;
	if (load_le32(h + VDI_SIGNATURE_POS) != VDI_SIGNATURE)
		return err_set(e, EINVAL, "not a VDI image: no signature at 64");
	version = load_le32(h + 68);
	len = load_le32(h + 72);
	d->version_0 = version == VERSION_0;
	if (d->version_0)
		f = &version_0;
	else if (version >> 16 != 1)
		return err_set(e, ENOTSUP, "VDI version %u.%u is not supported", version >> 16,
			version & 0xffff);
	else if (len < READ_LEN - 72)
		return err_set(
			e, EINVAL, "header of %u bytes, at least %u expected", len, READ_LEN - 72);
	if (d->io->size < f->len)
		return err_set(
			e, EINVAL, "the header is cut off at %" PRIu64 " bytes", d->io->size);
	r = decode_type(img, d, h, f, e);
	if (r == 0)
		r = decode_geometry(d, h, f, e);
	return r == 0 ? decode_places(d, h, e) : r;
}

void vdi_header_encode(const struct vdi_header *h, unsigned char *p)
{
	memset(p, 0, VDI_HEADER_LEN);
	strcpy((char *)p, "<<< vdiskfs VirtualBox Disk Image >>>\n");
	store_le32(p + VDI_SIGNATURE_POS, VDI_SIGNATURE);
	store_le32(p + 68, VERSION_1);
	store_le32(p + 72, NEW_LEN);
	store_le32(p + 76, h->type);
	store_le32(p + VDI_PLACES, h->map_pos);
	store_le32(p + VDI_PLACES + 4, h->data_pos);
	store_le32(p + 360, 512);
	store_le64(p + VDI_SIZE, h->size);
	store_le32(p + VDI_SIZE + 8, h->block_size);
	store_le32(p + VDI_SIZE + 16, h->nblocks);
	store_le32(p + VDI_COUNT, h->count);
	memcpy(p + VDI_IDS, h->ids, sizeof h->ids);
	store_le32(p + 468, 512);
}
