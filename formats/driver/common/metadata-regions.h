/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* metadata-regions.h - the regions of a file that hold metadata, as its header says.
 *
 * A header may be damaged or lie.  Where two regions share bytes a change of one spoils the other,
 * so nobody may write to such a file.
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

/* Adds a region; one of no bytes is left out. */
void metadata_regions_add(struct metadata_regions *r, const char *what, uint64_t pos, uint64_t len);

/* What the first region that shares a byte with these is called; NULL: none does. */
const char *metadata_regions_find(const struct metadata_regions *r, uint64_t pos, uint64_t len);

/* -EUCLEAN: two of them share bytes. */
int metadata_regions_check(const struct metadata_regions *r, struct err *e);

/* Where the last of them ends. */
uint64_t metadata_regions_end(const struct metadata_regions *r);

#endif
