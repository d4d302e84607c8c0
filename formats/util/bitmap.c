/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdint.h>
#include <string.h>

#include "bitmap.h"

bool bitmap_get(const unsigned char *map, size_t i, enum bit_order order)
{
	unsigned shift = order == MSB_FIRST ? 7 - i % 8 : i % 8;

	return map[i / 8] >> shift & 1;
}

size_t bitmap_run(const unsigned char *map, size_t i, size_t n, enum bit_order order)
{
	bool value = bitmap_get(map, i, order);
	uint64_t word, all = value ? UINT64_MAX : 0;
	size_t end = i + 1;

	while (end < n) {
		if (end % 8 == 0 && n - end >= 64) {
			memcpy(&word, map + end / 8, sizeof word);
			if (word == all) {
				end += 64;
				continue;
			}
		}
		if (bitmap_get(map, end, order) != value)
			break;
		end++;
	}
	return end - i;
}

static void put_one(unsigned char *map, size_t i, bool value, enum bit_order order)
{
	unsigned char bit = order == MSB_FIRST ? 0x80 >> i % 8 : 1 << i % 8;

	map[i / 8] = value ? map[i / 8] | bit : map[i / 8] & ~bit;
}

void bitmap_put(unsigned char *map, size_t i, size_t n, bool value, enum bit_order order)
{
	for (; n > 0 && i % 8 != 0; i++, n--)
		put_one(map, i, value, order);
	memset(map + i / 8, value ? 0xff : 0, n / 8);
	for (i += n - n % 8, n %= 8; n > 0; i++, n--)
		put_one(map, i, value, order);
}
