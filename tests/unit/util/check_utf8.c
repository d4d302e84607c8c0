/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "common/unit.h"
#include "util/utf8.h"

static const struct {
	const char *bytes;
	size_t n, expected;
} cases[] = {
	{"\0", 1, 1}, /* U+0000 */
	{"a", 1, 1},
	{"ab", 2, 1},
	{"\x7f", 1, 1},
	{"\x80", 1, 0}, /* continuation bytes alone */
	{"\xbf", 1, 0},
	{"\xc0\x80", 2, 0}, /* overlong */
	{"\xc1\xbf", 2, 0},
	{"\xc2\x80", 2, 2}, /* U+0080 */
	{"\xdf\xbf", 2, 2}, /* U+07FF */
	{"\xc3", 1, 0},     /* cut */
	{"\xc3(", 2, 0},
	{"\xc3\xc3", 2, 0},
	{"\xe0\x80\x80", 3, 0}, /* overlong */
	{"\xe0\x9f\xbf", 3, 0},
	{"\xe0\xa0\x80", 3, 3}, /* U+0800 */
	{"\xed\x9f\xbf", 3, 3}, /* U+D7FF */
	{"\xed\xa0\x80", 3, 0}, /* surrogates */
	{"\xed\xbf\xbf", 3, 0},
	{"\xee\x80\x80", 3, 3}, /* U+E000 */
	{"\xef\xbf\xbf", 3, 3}, /* U+FFFF */
	{"\xe2\x82", 2, 0},
	{"\xe2\x82\xac!", 4, 3},
	{"\xe2(\xac", 3, 0},
	{"\xe2\x82(", 3, 0},
	{"\xf0\x80\x80\x80", 4, 0}, /* overlong */
	{"\xf0\x8f\xbf\xbf", 4, 0},
	{"\xf0\x90\x80\x80", 4, 4}, /* U+10000 */
	{"\xf4\x8f\xbf\xbf", 4, 4}, /* U+10FFFF */
	{"\xf4\x90\x80\x80", 4, 0}, /* U+110000 */
	{"\xf5\x80\x80\x80", 4, 0},
	{"\xf8\x88\x80\x80\x80", 5, 0},
	{"\xfe\xbf\xbf\xbf", 4, 0},
	{"\xff\xbf\xbf\xbf", 4, 0},
	{"\xf0\x9f\x98", 3, 0},
	{"\xf0\x9f\x98\x80", 4, 4},
};

START_TEST(edges)
{
	ck_assert_uint_eq(utf8_length(cases[_i].bytes, cases[_i].n), cases[_i].expected);
}
END_TEST

static size_t encode(char *b, unsigned c)
{
	size_t n = c < 0x10000 ? 3 : 4;

	b[0] = n == 3 ? 0xe0 | c >> 12 : 0xf0 | c >> 18;
	b[1] = 0x80 | (c >> 12 & 0x3f);
	b[n - 2] = 0x80 | (c >> 6 & 0x3f);
	b[n - 1] = 0x80 | (c & 0x3f);
	return n;
}

START_TEST(all_code_points)
{
	unsigned wrong = 0;

	for (unsigned c = 0x800; c < 0x110000; c++) {
		char b[4];
		size_t n = encode(b, c);

		wrong += utf8_length(b, n) != (c >= 0xd800 && c < 0xe000 ? 0 : n);
		wrong += utf8_length(b, n - 1) != 0;
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(visible)
{
	static const char *const yes[] = {" ", "~", "\u00a0", "\u00ae", "\u200c", "\u200d",
		"\u2027", "\u202f", "\u2070", "\ufffd", "\U0001f4be"};
	static const char *const no[] = {"\x1b", "\x7f", "\xc2\x80", "\xc2\x9b", "\u00ad", "\u061c",
		"\u200b", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202e", "\u2060",
		"\u2066", "\u2069", "\ufeff", "\U000e0001", "\U000e007f"};

	for (size_t i = 0; i < COUNT(yes); i++)
		ck_assert_msg(utf8_is_visible(yes[i], strlen(yes[i])), "%zu", i);
	for (size_t i = 0; i < COUNT(no); i++)
		ck_assert_msg(!utf8_is_visible(no[i], strlen(no[i])), "%zu", i);
}
END_TEST

Suite *utf8_suite(void)
{
	TCase *tc = tcase_create("utf8");

	tcase_add_loop_test(tc, edges, 0, COUNT(cases));
	tcase_add_test(tc, all_code_points);
	tcase_add_test(tc, visible);
	return suite_of("utf8", tc);
}
