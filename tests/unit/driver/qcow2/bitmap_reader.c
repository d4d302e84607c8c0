/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bitmap_reader.h"

#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "common/unit.h"

#define BITMAPS_EXTENSION 0x23852875u
#define ENTRY             24u

/* The data of the extension, or NULL. */
static const unsigned char *find_extension(const unsigned char *file, size_t len)
{
	size_t at = load_be32(file + 100), n;

	for (; at + 8 < len && load_be32(file + at) != 0; at += 8 + round_up(n, 8)) {
		n = load_be32(file + at + 4);
		if (load_be32(file + at) == BITMAPS_EXTENSION)
			return file + at + 8;
	}
	return NULL;
}

static void read_bits(
	const unsigned char *file, size_t len, const unsigned char *entry, struct read_bitmap *b)
{
	uint64_t cluster = UINT64_C(1) << load_be32(file + 20), table = load_be64(entry);
	uint64_t n = load_be32(entry + 8);

	ck_assert_uint_eq(n, div_round_up(div_round_up(b->bits, 8), cluster));
	ck_assert(range_fits(table, n * 8, len));
	b->bit = calloc(1, b->bits + 1);
	ck_assert_ptr_nonnull(b->bit);
	for (uint64_t i = 0; i < b->bits; i++) {
		uint64_t at = i / 8, part = load_be64(file + table + at / cluster * 8);

		if (part < cluster) {
			b->bit[i] = part & 1;
			continue;
		}
		ck_assert(range_fits(part, cluster, len));
		b->bit[i] = file[part + at % cluster] >> i % 8 & 1;
	}
}

bool bitmap_reader_find(
	const unsigned char *file, size_t len, const char *name, struct read_bitmap *b)
{
	const unsigned char *x = find_extension(file, len);
	const unsigned char *p = x ? file + load_be64(x + 16) : NULL;
	size_t n = strlen(name);

	if (!(file[95] & 1) || !x)
		return false;
	for (uint32_t i = 0; i < load_be32(x); i++) {
		size_t name_len = load_be16(p + 18), extra = load_be32(p + 20);

		if (name_len == n && memcmp(p + ENTRY + extra, name, n) == 0) {
			*b = (struct read_bitmap){
				.granularity = UINT64_C(1) << p[17],
				.flags = load_be32(p + 12),
			};
			b->bits = div_round_up(load_be64(file + 24), b->granularity);
			if (!(b->flags & READ_IN_USE))
				read_bits(file, len, p, b);
			return true;
		}
		p += round_up(ENTRY + extra + name_len, 8);
	}
	return false;
}
