/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitmap.h - bitmaps with one bit a sector. */
#ifndef VDISK_UTIL_BITMAP_H
#define VDISK_UTIL_BITMAP_H

#include <stdbool.h>
#include <stddef.h>

/* Which bit of a byte stands for the first sector. */
enum bit_order { LSB_FIRST, MSB_FIRST };

bool bitmap_get(const unsigned char *map, size_t i, enum bit_order order);

/* How many bits from i on are equal to bit i; bit n is the first that does not count, i < n. */
size_t bitmap_run(const unsigned char *map, size_t i, size_t n, enum bit_order order);

/* Makes n bits from i on equal to value. */
void bitmap_put(unsigned char *map, size_t i, size_t n, bool value, enum bit_order order);

#endif
