/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "header.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/guid.h"
#include "footer.h"
#include "image/image.h"
#include "io/meta.h"
#include "io/io.h"
#include "io/writeback.h"
#include "parent.h"

#define BAT_POS  16u
#define ENTRIES  28u
#define CHECKSUM 36u

static uint32_t checksum(const unsigned char *h)
{
	return vhd_footer_checksum(h, VHD_HEADER_LEN, CHECKSUM);
}

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
	d->block_size = load_be32(h + 32);
	if (d->block_size < VHD_SECTOR || !is_power_of_2(d->block_size))
		return err_set(e, EINVAL, "block size %" PRIu32 " is not a power of two from %u on",
			d->block_size, VHD_SECTOR);
	/* A sector bitmap is whole sectors, even where a byte would do. */
	d->bitmap_len = round_up(div_round_up(d->block_size / VHD_SECTOR, 8), VHD_SECTOR);
	d->nblocks = div_round_up(d->view.size, d->block_size);
	return 0;
}

static int decode_bat(struct vhd *d, const unsigned char *h, struct err *e)
{
	uint32_t entries = load_be32(h + ENTRIES);
	uint64_t len = entries * (uint64_t)VHD_BAT_ENTRY;

	if (entries < d->nblocks)
		return err_set(e, EINVAL,
			"BAT: %" PRIu32 " entries, %" PRIu64 " needed for a disk of %" PRIu64
			" bytes",
			entries, d->nblocks, d->view.size);
	d->nentries = entries;
	d->bat_pos = load_be64(h + BAT_POS);
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

int vhd_header_read(struct image *img, struct vhd *d, struct err *e)
{
	unsigned char h[VHD_HEADER_LEN];
	int r = read_header(d, h, e);

	if (r == 0)
		r = decode_bat(d, h, e);
	if (r < 0)
		return r;
	/* People edit headers.  A wrong checksum is accepted if the fields that reading needs are
	 * confirmed by the rest: the BAT follows the header, and has as many entries as the disk
	 * has blocks. */
	d->header_bad = load_be32(h + CHECKSUM) != checksum(h);
	if (d->header_bad &&
		(d->bat_pos != d->header_pos + VHD_HEADER_LEN || d->nentries != d->nblocks))
		return err_set(e, EUCLEAN, "header: the checksum is wrong");
	if (d->header_bad)
		image_warn(img, "the checksum of the header is wrong");
	if (d->type != VHD_DIFFERENCING)
		return 0;
	memcpy(img->parent_id, h + VHD_PARENT_ID, GUID_LEN);
	d->parent_stamp = load_be32(h + VHD_PARENT_ID + GUID_LEN);
	return vhd_parent_add_names(img, h, e);
}

int vhd_header_repair(struct vhd *d, struct err *e)
{
	unsigned char h[VHD_HEADER_LEN];
	int r = io_read(d->io, h, sizeof h, d->header_pos, e);

	if (r < 0)
		return r;
	store_be32(h + CHECKSUM, checksum(h));
	r = io_write(d->io, h + CHECKSUM, 4, d->header_pos + CHECKSUM, e);
	if (r == 0)
		r = io_sync(d->io, e);
	if (r == 0)
		d->header_bad = false;
	return r;
}

/* All three fields are in the first sector, so they change together. */
int vhd_header_set_bat(struct vhd *d, uint64_t pos, uint32_t entries, struct err *e)
{
	unsigned char h[VHD_HEADER_LEN];
	int r = meta_read(d->view.cache, d->io, h, sizeof h, d->header_pos, e);

	if (r < 0)
		return r;
	store_be64(h + BAT_POS, pos);
	store_be32(h + ENTRIES, entries);
	store_be32(h + CHECKSUM, checksum(h));
	return meta_write(d->io, h, VHD_SECTOR, d->header_pos, ORDER_HEADER, e);
}

void vhd_header_fixed_regions(const struct vhd *d, uint64_t bat_len, struct metadata_regions *fixed)
{
	fixed->n = 0;
	metadata_regions_add(fixed, "the copy of the footer", 0, VHD_FOOTER_LEN);
	metadata_regions_add(fixed, "the header", d->header_pos, VHD_HEADER_LEN);
	metadata_regions_add(fixed, "the BAT", d->bat_pos, bat_len);
}

int vhd_header_read_regions(const struct vhd *d, struct vhd_regions *r, struct err *e)
{
	unsigned char h[VHD_HEADER_LEN];
	int rc = io_read(d->io, h, sizeof h, d->header_pos, e);

	vhd_header_fixed_regions(d, vhd_bat_len(d->nentries), &r->fixed);
	r->locators.n = 0;
	for (size_t i = 0; rc == 0 && i < VHD_LOCATORS; i++) {
		const unsigned char *locator = h + VHD_LOCATORS_POS + i * VHD_LOCATOR_LEN;
		uint64_t pos = load_be64(locator + 16), len = load_be32(locator + 8);

		if (load_be32(locator) != 0 && range_fits(pos, len, d->end))
			metadata_regions_add(&r->locators, "a parent locator", pos, len);
	}
	if (rc == 0)
		rc = metadata_regions_check(&r->fixed, e);
	for (size_t i = 0; rc == 0 && i < r->locators.n; i++) {
		const struct metadata_region *l = &r->locators.list[i];
		const char *hit = metadata_regions_find(&r->fixed, l->pos, l->len);

		if (hit)
			rc = err_set(e, EUCLEAN, "the parent locator at %" PRIu64 " and %s overlap",
				l->pos, hit);
	}
	return rc;
}

const char *vhd_header_find_region(const struct vhd *d, const struct vhd_regions *r, uint64_t pos)
{
	const char *hit = metadata_regions_find(&r->fixed, pos, vhd_block_len(d));

	return hit ? hit : metadata_regions_find(&r->locators, pos, vhd_block_len(d));
}

void vhd_header_encode(unsigned char *h, const struct vhd_new *n)
{
	const struct vhd_new_parent *p = n->parent;
	unsigned char *locator = h + VHD_LOCATORS_POS;

	memcpy(h, "cxsparse", 8);
	store_be64(h + 8, UINT64_MAX);
	store_be64(h + BAT_POS, n->bat_pos);
	store_be32(h + 24, 0x00010000); /* version 1.0 */
	store_be32(h + ENTRIES, n->entries);
	store_be32(h + 32, n->block_size);
	if (p) {
		memcpy(h + VHD_PARENT_ID, p->id, VHD_ID_LEN);
		store_be32(h + VHD_PARENT_ID + VHD_ID_LEN, vhd_footer_stamp(p->when));
		memcpy(h + VHD_NAME_POS, p->name, sizeof p->name);
		store_be32(locator, p->locator);
		store_be32(locator + 4, round_up(p->len, VHD_SECTOR));
		store_be32(locator + 8, p->len);
		store_be64(locator + 16, p->pos);
	}
	store_be32(h + CHECKSUM, checksum(h));
}
