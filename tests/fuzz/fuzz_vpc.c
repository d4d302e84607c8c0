/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* VHD.  The checksums are made valid first: few inputs would pass them otherwise. */
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(uint8_t *p, size_t len, size_t sum_at)
{
	uint32_t sum = 0;

	memset(p + sum_at, 0, 4);
	for (size_t i = 0; i < len; i++)
		sum += p[i];
	sum = htobe32(~sum);
	memcpy(p + sum_at, &sum, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + 1);

	fuzz_require(copy != NULL);
	memcpy(copy, data, size);
	if (size >= 512)
		seal(copy + size - 512, 512, 64);
	if (size >= 2048) {
		uint64_t header = load_be64(copy + size - 512 + 16);

		if (range_fits(header, 1024, size - 512))
			seal(copy + header, 1024, 36);
	}
	fuzz_one("vpc", copy, size);
	free(copy);
	return 0;
}
