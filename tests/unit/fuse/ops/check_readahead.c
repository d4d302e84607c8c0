/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "io/cache.h"
#include "io/io.h"
#include "ops/readahead.h"
#include "util/bytes.h"
#include "util/err.h"
#include "common/fetch_log.h"
#include "common/unit.h"
#include "view/table_view.h"

#define MIB     (1u << 20)
#define UNIT    (64u << 10)
#define UNITS   1024
#define CACHE   (32u << 20)
#define REQUEST (128u << 10)

static struct fetch_log file;
static struct extent map[UNITS];
static struct table disk;
static struct readahead_budget budget;
static struct readahead ahead;

/* A disk whose unit i is at unit (i * step) % UNITS of the file. */
static void setup(unsigned step)
{
	fetch_log_init(&file, (uint64_t)UNITS * UNIT);
	for (unsigned i = 0; i < UNITS; i++)
		map[i] = (struct extent){
			.kind = EXTENT_FILE, .len = UNIT, .pos = (uint64_t)i * step % UNITS * UNIT};
	disk = table_of(map, UNITS, &file.io, NULL);
	readahead_budget_init(&budget, CACHE);
	readahead_init(&ahead);
}

static void read_at(uint64_t off, size_t len)
{
	readahead_continue(&ahead, &budget, &disk.view, off, len);
}

static void read_all(uint64_t off, uint64_t end)
{
	for (; off < end; off += REQUEST)
		read_at(off, REQUEST);
}

static uint64_t fetched_bytes(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < file.n; i++)
		sum += file.fetched[i].len;
	return sum;
}

START_TEST(a_sequential_reader_has_its_next_units_fetched)
{
	size_t unit;

	setup(389);
	read_all(0, 4 * MIB);
	/* All from some unit on, each once, in order of the disk. */
	ck_assert_uint_gt(file.n, 0);
	for (unit = 0; map[unit].pos != file.fetched[0].pos; unit++)
		;
	ck_assert_uint_le(unit, 2 * MIB / UNIT);
	for (size_t i = 0; i < file.n; i++) {
		ck_assert_uint_eq(file.fetched[i].pos, map[unit + i].pos);
		ck_assert_uint_eq(file.fetched[i].len, UNIT);
	}
	/* No more than has been read twice, but as much as has been read. */
	ck_assert_uint_ge((unit + file.n) * UNIT, 8 * MIB);
	ck_assert_uint_le((unit + file.n) * UNIT, 12 * MIB);
	/* The window does not grow any more. */
	read_all(4 * MIB, 32 * MIB);
	ck_assert_uint_ge((unit + file.n) * UNIT, 40 * MIB);
	ck_assert_uint_le((unit + file.n) * UNIT, 48 * MIB);
	read_all(32 * MIB, 64 * MIB);
	ck_assert_uint_eq(unit + file.n, UNITS);
	readahead_end(&ahead);
}
END_TEST

START_TEST(requests_may_come_in_any_order)
{
	static const unsigned orders[][4] = {{1, 0, 3, 2}, {3, 2, 1, 0}, {2, 0, 3, 1}};

	setup(1);
	for (uint64_t off = 0; off < 8 * MIB; off += 4 * REQUEST)
		for (unsigned k = 0; k < 4; k++)
			read_at(off + orders[_i][k] * REQUEST, REQUEST);
	ck_assert_uint_ge(fetched_bytes(), 12 * MIB);
	readahead_end(&ahead);
}
END_TEST

START_TEST(a_random_reader_has_nothing_fetched)
{
	static const size_t sizes[] = {4096, REQUEST};
	size_t size = sizes[_i];
	uint64_t state = 1;

	setup(1);

	for (unsigned i = 0; i < 1000; i++)
		read_at(next_random(&state) % (disk.view.size / size) * size, size);
	/* Some may follow each other by chance. */
	ck_assert_uint_le(fetched_bytes(), MIB);

	/* A few that follow each other are no run yet. */
	setup(1);
	for (unsigned i = 0; i < 64; i++)
		for (unsigned k = 0; k < 3; k++)
			read_at(i * 17 % 64 * MIB + k * REQUEST, REQUEST);
	ck_assert_uint_eq(file.n, 0);
	ck_assert_uint_eq(budget.left, CACHE / 2);
	readahead_end(&ahead);
}
END_TEST

START_TEST(a_hole_that_is_not_read_does_not_end_the_run)
{
	setup(1);
	for (unsigned i = 64; i < 512; i++)
		map[i].kind = EXTENT_ZERO;
	read_all(0, 4 * MIB);
	ck_assert_uint_eq(fetched_bytes() + file.fetched[0].pos, 4 * MIB);
	file.n = 0;
	read_at(32 * MIB, REQUEST);
	ck_assert_uint_eq(file.n, 0); /* 7168 KiB of holes are more than are looked at */

	setup(1);
	for (unsigned i = 64; i < 72; i++)
		map[i].kind = EXTENT_ZERO;
	read_all(0, 4 * MIB);
	file.n = 0;
	read_at(72 * UNIT, REQUEST);
	read_at(72 * UNIT + REQUEST, REQUEST);
	ck_assert_uint_gt(file.n, 0);
	/* Data that is not read ends it. */
	file.n = 0;
	read_at(40 * MIB, REQUEST);
	read_at(40 * MIB + REQUEST, REQUEST);
	ck_assert_uint_eq(file.n, 0);
	readahead_end(&ahead);
}
END_TEST

START_TEST(units_are_fetched_before_they_are_decoded)
{
	struct err e = ERR_INIT;

	setup(1);
	disk.view.cache = cache_new(CACHE, &e);
	ck_assert_ptr_nonnull(disk.view.cache);
	for (unsigned i = 0; i < UNITS; i++)
		map[i] = (struct extent){
			.kind = EXTENT_GENERATED, .len = UNIT, .unit_id = i, .unit_len = UNIT};
	read_all(0, 4 * MIB);
	ck_assert_uint_gt(disk.fills, 0);
	ck_assert_uint_gt(fetched_bytes() / UNIT_STORED, disk.fills + 32);
	readahead_end(&ahead);
	ck_assert_uint_eq(budget.left, CACHE / 2);
	cache_free(disk.view.cache);
}
END_TEST

Suite *readahead_suite(void);
Suite *readahead_suite(void)
{
	TCase *tc = tcase_create("readahead");

	tcase_add_test(tc, a_sequential_reader_has_its_next_units_fetched);
	tcase_add_loop_test(tc, requests_may_come_in_any_order, 0, 3);
	tcase_add_loop_test(tc, a_random_reader_has_nothing_fetched, 0, 2);
	tcase_add_test(tc, a_hole_that_is_not_read_does_not_end_the_run);
	tcase_add_test(tc, units_are_fetched_before_they_are_decoded);
	return suite_of("readahead", tc);
}
