/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "regions.h"

#include <errno.h>
#include <inttypes.h>

#include "util/bytes.h"
#include "util/err.h"
#include "header.h"
#include "io/io.h"

void vhd_regions_fixed(const struct vhd *d, uint64_t bat_len, struct metadata_regions *fixed)
{
	fixed->n = 0;
	metadata_regions_add(fixed, "the copy of the footer", 0, VHD_FOOTER_LEN);
	metadata_regions_add(fixed, "the header", d->header_pos, VHD_HEADER_LEN);
	metadata_regions_add(fixed, "the BAT", d->bat_pos, bat_len);
}

int vhd_regions_read(const struct vhd *d, struct vhd_regions *r, struct err *e)
{
	unsigned char h[VHD_HEADER_LEN];
	int rc = io_read(d->io, h, sizeof h, d->header_pos, e);

	vhd_regions_fixed(d, vhd_bat_len(d->nentries), &r->fixed);
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

const char *vhd_regions_find(const struct vhd *d, const struct vhd_regions *r, uint64_t pos)
{
	const char *hit = metadata_regions_find(&r->fixed, pos, vhd_block_len(d));

	return hit ? hit : metadata_regions_find(&r->locators, pos, vhd_block_len(d));
}
