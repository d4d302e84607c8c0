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

struct regions {
	size_t n;
	struct region {
		const char *what;
		uint64_t pos, len;
	} list[REGIONS_MAX];
};

/* Adds a region; one of no bytes is left out. */
void regions_add(struct regions *r, const char *what, uint64_t pos, uint64_t len);

/* What the first region that shares a byte with these is called; NULL: none does. */
const char *regions_find(const struct regions *r, uint64_t pos, uint64_t len);

/* -EUCLEAN: two of them share bytes. */
int regions_check(const struct regions *r, struct err *e);

/* Where the last of them ends. */
uint64_t regions_end(const struct regions *r);

#endif
