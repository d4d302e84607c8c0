/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_write.h"

#define FOOTER     512u
#define FOOTER_SUM 64u
#define HEADER     1024u
#define HEADER_SUM 36u

/* The complement of the sum of all bytes, without the checksum's own (Microsoft's specification,
 * "Checksum"). */
static void put_sum(uint8_t *p, size_t len, size_t at)
{
	uint32_t sum = 0;

	store_be32(p + at, 0);
	for (size_t i = 0; i < len; i++)
		sum += p[i];
	store_be32(p + at, ~sum);
}

static void repair(uint8_t *image, size_t size)
{
	uint64_t header;

	if (size < FOOTER)
		return;
	put_sum(image + size - FOOTER, FOOTER, FOOTER_SUM);
	if (memcmp(image, "conectix", 8) != 0)
		return;
	put_sum(image, FOOTER, FOOTER_SUM);
	header = load_be64(image + 16);
	if (range_fits(header, HEADER, size))
		put_sum(image + header, HEADER, HEADER_SUM);
}

FUZZ_WRITE("vpc", repair)
