/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Freed space is pending, then durable, then released, each run once. */
#include <errno.h>

#include "common/unit.h"
#include "driver/common/freed.h"
#include "util/err.h"

struct released {
	struct freed_run runs[8];
	size_t n;
	size_t fails_at;
};

static int note(void *arg, struct freed_run run, struct err *e)
{
	struct released *r = arg;

	r->runs[r->n++] = run;
	return r->n == r->fails_at ? err_set(e, EIO, "run %zu", r->n) : 0;
}

static void add(struct freed *f, uint64_t first, uint64_t n)
{
	struct err e = ERR_INIT;

	ck_assert_ok(freed_prepare(f, 1, &e), &e);
	freed_add(f, first, n);
}

START_TEST(only_durable_runs_are_released)
{
	struct freed f = {0};
	struct released r = {0};
	struct err e = ERR_INIT;

	ck_assert(!freed_set_durable(&f));
	add(&f, 10, 2);
	ck_assert_ok(freed_release(&f, note, &r, &e), &e);
	ck_assert_uint_eq(r.n, 0);
	ck_assert(freed_set_durable(&f));
	add(&f, 12, 1); /* not joined: not durable */
	ck_assert_ok(freed_release(&f, note, &r, &e), &e);
	ck_assert_uint_eq(r.n, 1);
	ck_assert_uint_eq(r.runs[0].first, 10);
	ck_assert_uint_eq(r.runs[0].n, 2);
	ck_assert(freed_set_durable(&f));
	ck_assert_ok(freed_release(&f, note, &r, &e), &e);
	ck_assert_uint_eq(r.n, 2);
	ck_assert_uint_eq(r.runs[1].first, 12);
	ck_assert(!freed_set_durable(&f));
	freed_end(&f);
}
END_TEST

START_TEST(adjacent_runs_are_joined)
{
	struct freed f = {0};
	struct released r = {0};
	struct err e = ERR_INIT;

	add(&f, 5, 1);
	add(&f, 6, 3);
	add(&f, 4, 1);
	freed_set_durable(&f);
	ck_assert_ok(freed_release(&f, note, &r, &e), &e);
	ck_assert_uint_eq(r.n, 2);
	ck_assert_uint_eq(r.runs[0].n, 4);
	ck_assert_uint_eq(r.runs[1].first, 4);
	freed_end(&f);
}
END_TEST

START_TEST(failure_keeps_other_runs)
{
	struct freed f = {0};
	struct released r = {.fails_at = 2};
	struct err e = ERR_INIT;

	add(&f, 1, 1);
	add(&f, 3, 1);
	add(&f, 5, 1);
	freed_set_durable(&f);
	ck_assert_fails(freed_release(&f, note, &r, &e), EIO, &e, "run 2");
	ck_assert_uint_eq(r.n, 2);
	ck_assert_ok(freed_release(&f, note, &r, &e), &e);
	ck_assert_uint_eq(r.n, 3);
	ck_assert_uint_eq(r.runs[2].first, 5);
	freed_end(&f);
}
END_TEST

Suite *freed_suite(void)
{
	TCase *tc = tcase_create("freed");

	tcase_add_test(tc, only_durable_runs_are_released);
	tcase_add_test(tc, adjacent_runs_are_joined);
	tcase_add_test(tc, failure_keeps_other_runs);
	return suite_of("freed", tc);
}
