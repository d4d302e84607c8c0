/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake_disk.h - a sparse disk of any size whose data is generated. */
#ifndef UNIT_COMMON_FAKE_DISK_H
#define UNIT_COMMON_FAKE_DISK_H

#include <stdint.h>

struct cache;
struct view;

/* Returns the number of the first allocated unit at or after i; a number beyond the disk if there
 * is none. */
typedef uint64_t fake_next(uint64_t i);

/* A disk of units of unit bytes, a multiple of 8.  The data of an allocated unit is derived from
 * its offset and has no zero bytes; all others are zeroes.  view_free frees it. */
struct view *fake_disk_new(struct cache *cache, uint64_t size, uint32_t unit, fake_next *next);

/* Makes every read of the allocated unit at off fail. */
void fake_disk_break(struct view *v, uint64_t off);

#endif
