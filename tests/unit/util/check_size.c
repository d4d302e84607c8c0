/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes as written on command lines, and as printed. */
#include <errno.h>

#include "util/size.h"
#include "common/unit.h"

static const struct {
	const char *text;
	uint64_t bytes;
} good[] = {
	{"0", 0},
	{"1", 1},
	{"512b", 512},
	{"64k", 65536},
	{"64K", 65536},
	{"1M", 1 << 20},
	{"10G", UINT64_C(10) << 30},
	{"3T", UINT64_C(3) << 40},
	{"5P", UINT64_C(5) << 50},
	{"7E", UINT64_C(7) << 60},
	{"1.5G", UINT64_C(3) << 29},
	{"0.25k", 256},
	{"1.M", 1 << 20},
	{"1024.0", 1024},
	{"1024.0b", 1024},
	{"1024.", 1024},
	{"0x1000", 4096},
	{"9223372036854775807", INT64_MAX},
	{"0x7fffffffffffffff", INT64_MAX},
	{"7.99999999999999999999999E", INT64_MAX},
};

static const struct {
	const char *text;
	int code;
} bad[] = {
	{"", EINVAL},
	{"x", EINVAL},
	{"-1", EINVAL},
	{"+1", EINVAL},
	{" 1", EINVAL},
	{"1 ", EINVAL},
	{"k", EINVAL},
	{".5k", EINVAL},
	{"1.5", EINVAL},
	{"1.5b", EINVAL},
	{"1kk", EINVAL},
	{"1KiB", EINVAL},
	{"1e3", EINVAL},
	{"0x", EINVAL},
	{"0x10k", EINVAL},
	{"8E", ERANGE},
	{"9223372036854775808", ERANGE},
	{"0x8000000000000000", ERANGE},
	{"99999999999999999999999", ERANGE},
};

START_TEST(parsed)
{
	uint64_t bytes = 0;

	ck_assert_int_eq(size_parse(good[_i].text, &bytes), 0);
	ck_assert_msg(bytes == good[_i].bytes, "%s is %ju", good[_i].text, (uintmax_t)bytes);
}
END_TEST

START_TEST(refused)
{
	uint64_t bytes;
	int r = size_parse(bad[_i].text, &bytes);

	ck_assert_msg(r == -bad[_i].code, "\"%s\": %d", bad[_i].text, r);
}
END_TEST

START_TEST(printed)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{0, "0 B"},
		{1, "1 B"},
		{999, "999 B"},
		{1000, "0.977 KiB"},
		{1024, "1 KiB"},
		{1536, "1.5 KiB"},
		{65536, "64 KiB"},
		{3215360, "3.07 MiB"},
		{UINT64_C(10) << 30, "10 GiB"},
		{UINT64_C(1) << 60, "1 EiB"},
		{UINT64_MAX, "16 EiB"},
	};

	ck_assert_str_eq(size_text(sizes[_i].bytes).text, sizes[_i].text);
}
END_TEST

Suite *size_suite(void)
{
	TCase *tc = tcase_create("size");

	tcase_add_loop_test(tc, parsed, 0, COUNT(good));
	tcase_add_loop_test(tc, refused, 0, COUNT(bad));
	tcase_add_loop_test(tc, printed, 0, 11);
	return suite_of("size", tc);
}
