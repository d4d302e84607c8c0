/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small helpers of the drivers: bitmaps, checksums, UTF-16, GUIDs. */
#include <stdlib.h>
#include <string.h>

#include "util/bitmap.h"
#include "util/crc32c.h"
#include "util/guid.h"
#include "common/unit.h"
#include "util/utf16.h"

static bool naive_bit(const unsigned char *map, size_t i, enum bit_order order)
{
	return map[i / 8] & (order == MSB_FIRST ? 0x80 >> i % 8 : 1 << i % 8);
}

static size_t naive_run(const unsigned char *map, size_t i, size_t n, enum bit_order order)
{
	size_t end = i;

	while (end < n && naive_bit(map, end, order) == naive_bit(map, i, order))
		end++;
	return end - i;
}

/* Runs of a bitmap, for every start and end. */
START_TEST(bits)
{
	unsigned char map[64];
	uint64_t seed = _i;
	size_t wrong = 0;
	enum bit_order order = _i % 2 ? MSB_FIRST : LSB_FIRST;

	memset(map, _i % 4 < 2 ? 0 : 0xff, sizeof map);
	for (int i = 0; i < _i % 7; i++)
		map[next_random(&seed) % sizeof map] ^= 1 << next_random(&seed) % 8;
	for (size_t n = 1; n <= 8 * sizeof map; n += n % 64 ? 1 : 13)
		for (size_t i = 0; i < n; i++) {
			wrong += bitmap_get(map, i, order) != naive_bit(map, i, order);
			wrong += bitmap_run(map, i, n, order) != naive_run(map, i, n, order);
		}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

/* RFC 3720, appendix B.4. */
START_TEST(crc)
{
	unsigned char data[32];

	ck_assert_uint_eq(crc32c(0, "", 0), 0);
	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
	memset(data, 0, sizeof data);
	ck_assert_uint_eq(crc32c(0, data, sizeof data), 0x8a9136aa);
	memset(data, 0xff, sizeof data);
	ck_assert_uint_eq(crc32c(0, data, sizeof data), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		data[i] = i;
	ck_assert_uint_eq(crc32c(0, data, sizeof data), 0x46dd794e);
	for (size_t i = 0; i <= sizeof data; i++)
		ck_assert_uint_eq(
			crc32c(crc32c(0, data, i), data + i, sizeof data - i), 0x46dd794e);
}
END_TEST

static const struct {
	const char *units;
	size_t n;
	enum utf16_order order;
	bool whole;
	const char *text;
} texts[] = {
	{"", 0, UTF16_LE, true, ""},
	{"a\0b\0", 2, UTF16_LE, true, "ab"},
	{"\0a\0b", 2, UTF16_BE, true, "ab"},
	{"a\0\0\0b\0", 3, UTF16_LE, true, "a"},
	{"\xe9\0\xac\x20", 2, UTF16_LE, true, "\u00e9\u20ac"},
	{"\x20\xac", 1, UTF16_BE, true, "\u20ac"},
	{"\x3d\xd8\x00\xde", 2, UTF16_LE, true, "\U0001f600"},
	{"\xd8\x3d\xde\x00", 2, UTF16_BE, true, "\U0001f600"},
	{"\x3d\xd8\x00\xde", 1, UTF16_LE, false, "\ufffd"},
	{"\x00\xdex\0", 2, UTF16_LE, false, "\ufffdx"},
	{"\x3d\xd8\x3d\xd8", 2, UTF16_LE, false, "\ufffd\ufffd"},
	{"\xff\xff", 1, UTF16_LE, true, "\uffff"},
};

START_TEST(utf16)
{
	char text[UTF16_AS_UTF8(4)];

	memset(text, 'x', sizeof text);
	ck_assert_int_eq(utf16_to_utf8(text, (const unsigned char *)texts[_i].units, texts[_i].n,
				 texts[_i].order),
		texts[_i].whole);
	ck_assert_str_eq(text, texts[_i].text);
}
END_TEST

START_TEST(guids)
{
	static const unsigned char guid[] = GUID_BYTES(
		0x2dc27766, 0xf623, 0x4200, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08);
	static const unsigned char first[] = {0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d};
	unsigned char zero[GUID_LEN] = {0};
	char text[GUID_TEXT];

	ck_assert_uint_eq(sizeof guid, GUID_LEN);
	ck_assert_mem_eq(guid, first, sizeof first);
	guid_text(text, guid);
	ck_assert_str_eq(text, "2dc27766-f623-4200-9d64-115e9bfd4a08");
	ck_assert(!guid_is_zero(guid));
	ck_assert(guid_is_zero(zero));
	zero[15] = 1;
	ck_assert(!guid_is_zero(zero));
}
END_TEST

Suite *small_suite(void)
{
	TCase *tc = tcase_create("small");

	tcase_add_loop_test(tc, bits, 0, 28);
	tcase_add_test(tc, crc);
	tcase_add_loop_test(tc, utf16, 0, COUNT(texts));
	tcase_add_test(tc, guids);
	return suite_of("small", tc);
}
