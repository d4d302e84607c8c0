/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* regions.h - the places of all metadata of a dynamic or differencing disk but the footer. */
#ifndef VDISK_DRIVER_VHD_REGIONS_H
#define VDISK_DRIVER_VHD_REGIONS_H

#include "driver/common/metadata-regions.h"
#include "vhd.h"

struct vhd_regions {
	struct metadata_regions fixed; /* copy of the footer, header, BAT */
	struct metadata_regions locators;
};

/* Sets fixed alone, with a BAT of bat_len bytes. */
void vhd_regions_fixed(const struct vhd *d, uint64_t bat_len, struct metadata_regions *fixed);

/* Sets both, with the locators that the header names.  -EUCLEAN: some of them overlap. */
int vhd_regions_read(const struct vhd *d, struct vhd_regions *r, struct err *e);

/* The name of one that a block at pos overlaps; NULL: none. */
const char *vhd_regions_find(const struct vhd *d, const struct vhd_regions *r, uint64_t pos);

#endif
