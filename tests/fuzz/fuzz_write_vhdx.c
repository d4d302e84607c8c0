/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/crc32c.h"
#include "fuzz_write.h"

/* [MS-VHDX] 2.2: two headers and two region tables at fixed positions, each with a checksum. */
static const struct {
	uint32_t pos, len;
} summed[] = {
	{64u << 10, 4u << 10},
	{128u << 10, 4u << 10},
	{192u << 10, 64u << 10},
	{256u << 10, 64u << 10},
};

static void repair(uint8_t *image, size_t size)
{
	for (size_t i = 0; i < sizeof summed / sizeof summed[0]; i++) {
		uint8_t *p = image + summed[i].pos;

		if (!range_fits(summed[i].pos, summed[i].len, size))
			return;
		store_le32(p + 4, 0);
		store_le32(p + 4, crc32c(0, p, summed[i].len));
	}
}

FUZZ_WRITE("vhdx", repair)
