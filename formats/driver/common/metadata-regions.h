/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* metadata-regions.h - the regions of a file that hold metadata, from its header.
 *
 * A header may be damaged or malicious.  If two regions share bytes, a write to one destroys the
 * other: such a file must not be written.
 */
#ifndef VDISK_DRIVER_COMMON_METADATA_REGIONS_H
#define VDISK_DRIVER_COMMON_METADATA_REGIONS_H

#include <stddef.h>
#include <stdint.h>

struct err;

/* The most that one header names. */
#define REGIONS_MAX 16

struct metadata_regions {
	size_t n;
	struct metadata_region {
		const char *what;
		uint64_t pos, len;
	} list[REGIONS_MAX];
};

/* Adds a region, unless it is empty. */
void metadata_regions_add(struct metadata_regions *r, const char *what, uint64_t pos, uint64_t len);

/* The name of the first region that overlaps these bytes, or NULL. */
const char *metadata_regions_find(const struct metadata_regions *r, uint64_t pos, uint64_t len);

/* -EUCLEAN: two of them share bytes. */
int metadata_regions_check(const struct metadata_regions *r, struct err *e);

/* The end of the last region. */
uint64_t metadata_regions_end(const struct metadata_regions *r);

#endif
