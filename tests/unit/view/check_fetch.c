/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/io.h"
#include "util/err.h"
#include "common/fetch_log.h"
#include "common/unit.h"
#include "table_view.h"

static struct fetch_log one, two;

static void expect(const struct fetch_log *log, size_t i, uint64_t pos, uint64_t len)
{
	ck_assert_uint_lt(i, log->n);
	ck_assert_uint_eq(log->fetched[i].pos, pos);
	ck_assert_uint_eq(log->fetched[i].len, len);
}

START_TEST(ranges_in_the_order_of_the_view)
{
	static const struct extent x[] = {
		{.kind = EXTENT_FILE, .len = 100, .pos = 9000},
		{.kind = EXTENT_FILE, .len = 100, .pos = 9100}, /* continues the first */
		{.kind = EXTENT_ZERO, .len = 5000},
		{.kind = EXTENT_FILE, .len = 100, .pos = 300},
		{.kind = EXTENT_CRYPT, .len = 512, .pos = 512},
	};
	struct table t;

	fetch_log_init(&one, 65536);
	t = table_of(x, COUNT(x), &one.io, NULL);
	view_fetch(&t.view, 0, t.view.size);
	ck_assert_uint_eq(one.n, 3);
	expect(&one, 0, 9000, 200);
	expect(&one, 1, 300, 100);
	expect(&one, 2, 512, 512);

	one.n = 0;
	view_fetch(&t.view, 150, 5100);
	ck_assert_uint_eq(one.n, 2);
	expect(&one, 0, 9150, 50);
	expect(&one, 1, 300, 50);
}
END_TEST

START_TEST(ranges_of_two_files)
{
	static const struct extent lower[] = {{.kind = EXTENT_FILE, .len = 3000, .pos = 100}};
	static const struct extent upper[] = {
		{.kind = EXTENT_BELOW, .len = 1000},
		{.kind = EXTENT_FILE, .len = 1000, .pos = 1100},
		{.kind = EXTENT_BELOW, .len = 5000, .pos = 2000},
	};
	struct table a, b;

	fetch_log_init(&one, 65536);
	fetch_log_init(&two, 65536);
	a = table_of(lower, 1, &one.io, NULL);
	b = table_of(upper, COUNT(upper), &two.io, NULL);
	b.view.below = &a.view;
	view_fetch(&b.view, 0, b.view.size);
	ck_assert_uint_eq(one.n, 2);
	expect(&one, 0, 100, 1000);
	expect(&one, 1, 2100, 1000);
	ck_assert_uint_eq(two.n, 1);
	expect(&two, 0, 1100, 1000);
}
END_TEST

START_TEST(stored_bytes_of_units)
{
	static const struct extent x[] = {
		{.kind = EXTENT_GENERATED, .len = 4096, .unit_id = 5, .unit_len = 4096},
		{.kind = EXTENT_GENERATED, .len = 4096, .unit_id = 6, .unit_len = 4096},
		{.kind = EXTENT_GENERATED, .len = 4096, .unit_id = 2, .unit_len = 4096},
	};
	struct table t;

	fetch_log_init(&one, 65536);
	t = table_of(x, COUNT(x), &one.io, NULL);
	view_fetch(&t.view, 100, 9000);
	ck_assert_uint_eq(one.n, 2);
	expect(&one, 0, 5 * UNIT_STORED, 2 * UNIT_STORED);
	expect(&one, 1, 2 * UNIT_STORED, UNIT_STORED);
	ck_assert_uint_eq(t.fills, 0);
}
END_TEST

/* The ranges found before the damage are fetched; the end of the view ends the range. */
START_TEST(damage_and_the_end)
{
	static const struct extent x[] = {
		{.kind = EXTENT_FILE, .len = 100, .pos = 40000},
		{.kind = DAMAGED, .len = 100},
		{.kind = EXTENT_FILE, .len = 100, .pos = 60000},
	};
	struct table t;

	fetch_log_init(&one, 60050);
	t = table_of(x, COUNT(x), &one.io, NULL);
	view_fetch(&t.view, 0, t.view.size);
	ck_assert_uint_eq(one.n, 1);
	expect(&one, 0, 40000, 100);

	view_fetch(&t.view, 200, UINT64_MAX - 200);
	ck_assert_uint_eq(one.n, 2);
	expect(&one, 1, 60000, 50); /* the file ends there */
	view_fetch(&t.view, 300, 100);
	view_fetch(&t.view, UINT64_MAX, UINT64_MAX);
	ck_assert_uint_eq(one.n, 2);
}
END_TEST

Suite *fetch_suite(void);
Suite *fetch_suite(void)
{
	TCase *tc = tcase_create("fetch");

	tcase_add_test(tc, ranges_in_the_order_of_the_view);
	tcase_add_test(tc, ranges_of_two_files);
	tcase_add_test(tc, stored_bytes_of_units);
	tcase_add_test(tc, damage_and_the_end);
	return suite_of("fetch", tc);
}
