/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/filename.h"
#include "common/unit.h"

static void expect_escaped(const char *raw, const char *expected)
{
	char *name = filename_escape(raw);

	ck_assert_ptr_nonnull(name);
	ck_assert_str_eq(name, expected);
	free(name);
}

START_TEST(plain_names_are_unchanged)
{
	expect_escaped("before-upgrade", "before-upgrade");
	expect_escaped("a b\\c%2F~", "a b\\c%2F~");
	expect_escaped("...", "...");
	expect_escaped(".hidden", ".hidden");
	expect_escaped(
		"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x92\xbe", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x92\xbe");
	expect_escaped("", "");
}
END_TEST

START_TEST(dangerous_bytes_are_escaped)
{
	expect_escaped("a/b", "a%2Fb");
	expect_escaped(".", "%2E");
	expect_escaped("..", "%2E%2E");
	expect_escaped("line\nfeed\x1b[2J\x7f", "line%0Afeed%1B[2J%7F");
	expect_escaped("\xc2\x9b"
		       "1m\xc2\xa0",
		"%C2%9B1m\xc2\xa0");
	expect_escaped("\u202egpj.exe", "%E2%80%AEgpj.exe");
	expect_escaped("a\u2028b\u2029c", "a%E2%80%A8b%E2%80%A9c");
	expect_escaped("\u200e\u2066\u2069\ufeff", "%E2%80%8E%E2%81%A6%E2%81%A9%EF%BB%BF");
	expect_escaped("\U000e0041", "%F3%A0%81%81");
	expect_escaped("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e");
}
END_TEST

START_TEST(invalid_utf8_is_escaped)
{
	expect_escaped("\xff", "%FF");
	expect_escaped("a\x80z", "a%80z");
	expect_escaped("\xc0\xaf", "%C0%AF");               /* overlong encoding of '/' */
	expect_escaped("\xed\xa0\x80", "%ED%A0%80");        /* a surrogate */
	expect_escaped("\xf4\x90\x80\x80", "%F4%90%80%80"); /* beyond the last code point */
	expect_escaped("cut \xe2\x82", "cut %E2%82");
}
END_TEST

/* A name is truncated between characters, not inside a character or an escape. */
START_TEST(long_names_are_truncated)
{
	char raw[400], *name;

	memset(raw, 'x', sizeof raw - 1);
	raw[sizeof raw - 1] = '\0';
	name = filename_escape(raw);
	ck_assert_uint_eq(strlen(name), NAME_MAX);
	free(name);

	memcpy(raw + NAME_MAX - 1, "\xc3\xa4", 2);
	name = filename_escape(raw);
	ck_assert_uint_eq(strlen(name), NAME_MAX - 1);
	free(name);

	raw[NAME_MAX - 2] = '\n';
	name = filename_escape(raw);
	ck_assert_uint_eq(strlen(name), NAME_MAX - 2);
	free(name);
}
END_TEST

static void expect_added(struct filename_set *names, const char *wanted, const char *expected)
{
	char *name = filename_set_add(names, wanted);

	ck_assert_ptr_nonnull(name);
	ck_assert_str_eq(name, expected);
	free(name);
}

START_TEST(copies_get_numbers)
{
	struct filename_set names = {0};

	expect_added(&names, "a", "a");
	expect_added(&names, "b", "b");
	expect_added(&names, "a", "a~2");
	expect_added(&names, "a", "a~3");
	expect_added(&names, "b", "b~2");
	filename_set_clear(&names);
	expect_added(&names, "a", "a");
	filename_set_clear(&names);
}
END_TEST

START_TEST(numbers_skip_existing_names)
{
	struct filename_set names = {0};

	expect_added(&names, "a", "a");
	expect_added(&names, "a~2", "a~2");
	expect_added(&names, "a", "a~3");
	expect_added(&names, "a~2", "a~2~2");
	expect_added(&names, "a~3", "a~3~2");
	filename_set_clear(&names);
}
END_TEST

START_TEST(claimed_names_are_unique)
{
	struct filename_set names = {0};

	ck_assert(filename_set_claim(&names, "root"));
	ck_assert(!filename_set_claim(&names, "root"));
	expect_added(&names, "root", "root~2");
	ck_assert(!filename_set_claim(&names, "root~2"));
	filename_set_clear(&names);
}
END_TEST

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names that differ only in the part that a copy's number replaces; trying the numbers one by one
 * would be quadratic. */
#define COPIES 65536

START_TEST(many_copies_are_fast_and_unique)
{
	char **all = calloc(COPIES, sizeof *all), raw[NAME_MAX + 1];
	struct filename_set names = {0};

	memset(raw, 'x', NAME_MAX);
	raw[NAME_MAX] = '\0';
	for (int i = 0; i < COPIES; i++) {
		/* each name twice */
		snprintf(raw + NAME_MAX - 5, 6, "%05d", i / 2);
		all[i] = filename_set_add(&names, raw);
		ck_assert_ptr_nonnull(all[i]);
		ck_assert_uint_le(strlen(all[i]), NAME_MAX);
	}
	qsort(all, COPIES, sizeof *all, compare);
	for (int i = 1; i < COPIES; i++)
		ck_assert_str_ne(all[i - 1], all[i]);
	for (int i = 0; i < COPIES; i++)
		free(all[i]);
	free(all);
	filename_set_clear(&names);
}
END_TEST

Suite *filename_suite(void)
{
	Suite *suite = suite_create("filename");
	TCase *escape = tcase_create("escape"), *unique = tcase_create("unique");

	tcase_add_test(escape, plain_names_are_unchanged);
	tcase_add_test(escape, dangerous_bytes_are_escaped);
	tcase_add_test(escape, invalid_utf8_is_escaped);
	tcase_add_test(escape, long_names_are_truncated);
	suite_add_tcase(suite, escape);
	tcase_add_test(unique, copies_get_numbers);
	tcase_add_test(unique, numbers_skip_existing_names);
	tcase_add_test(unique, claimed_names_are_unique);
	tcase_add_test(unique, many_copies_are_fast_and_unique);
	suite_add_tcase(suite, unique);
	return suite;
}
