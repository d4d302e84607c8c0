/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "common/fake_disk.h"
#include "export/allocmap.h"
#include "common/unit.h"
#include "view/view.h"

#define CHUNK 32768u

static struct image_options o;

static void setup(void)
{
	o = options_new();
}

static void teardown(void)
{
	options_free(&o);
}

/* The model: an array of flags. */

static struct {
	size_t n;
	bool has[5 * CHUNK];
} model;

static uint64_t next_in_model(uint64_t i)
{
	while (i < model.n && !model.has[i])
		i++;
	return i;
}

/* Fills the model with alternating runs of members and non-members, whose lengths have these
 * means; a mean of 0: no such runs. */
static void fill_model(size_t n, unsigned members, unsigned others, uint64_t seed)
{
	bool has = members > 0 && (others == 0 || next_random(&seed) & 1);
	size_t i = 0;

	model.n = n;
	while (i < n) {
		unsigned mean = has ? members : others;
		size_t end = i + 1 + next_random(&seed) % (2 * mean - 1);

		for (; i < n && i < end; i++)
			model.has[i] = has;
		has = members == 0 ? false : others == 0 ? true : !has;
	}
}

static void check_next(const struct allocmap *g, uint64_t i)
{
	uint64_t next = i, run = 0;

	while (next < model.n && !model.has[next])
		next++;
	ck_assert_uint_eq(allocmap_next(g, i), next);
	while (i + run < model.n && run < 3000 && model.has[i + run])
		run++;
	if (run < 3000)
		ck_assert_uint_eq(allocmap_run(g, i, UINT64_MAX), run);
	else
		ck_assert_uint_ge(allocmap_run(g, i, 3000), 3000);
}

static void check_all(const struct allocmap *g)
{
	uint64_t rank = 0;

	ck_assert_uint_eq(allocmap_all(g), model.n);
	for (uint64_t i = 0; i < model.n; i++) {
		/* a ck_assert for each granule would take too long: each costs a system call */
		if (allocmap_has(g, i) != model.has[i] || allocmap_rank(g, i) != rank ||
			(model.has[i] && allocmap_select(g, rank++) != i))
			ck_abort_msg("granule %ju", (uintmax_t)i);
		if (i % 61 == 0 || i % CHUNK < 2 || i % CHUNK > CHUNK - 3)
			check_next(g, i);
	}
	ck_assert_uint_eq(allocmap_stored(g), rank);
	ck_assert_uint_eq(allocmap_rank(g, model.n), rank);
	ck_assert_uint_eq(allocmap_next(g, model.n), model.n);
	ck_assert_uint_eq(allocmap_run(g, model.n, 5), 0);
}

/* Reduces the model to granules that are larger by bits. */
static void coarsen_model(unsigned bits)
{
	size_t n = div_round_up(model.n, (size_t)1 << bits);

	for (size_t i = 0; i < n; i++) {
		bool any = false;

		for (size_t k = i << bits; k < (i + 1) << bits && k < model.n; k++)
			any = any || model.has[k];
		model.has[i] = any;
	}
	model.n = n;
}

static const struct {
	size_t n;
	unsigned members, others;
} shapes[] = {
	{0, 1, 1},
	{1, 1, 0},
	{1, 0, 1},
	{64, 1, 1},
	{CHUNK, 1, 0},
	{CHUNK, 0, 1},
	{CHUNK + 1, 1, 0},
	{CHUNK - 1, 3, 40},
	{3 * CHUNK, 1, 1},
	{3 * CHUNK + 77, 1, 5000},
	{4 * CHUNK + 1, 5000, 1},
	{5 * CHUNK, 100, 100},
	{5 * CHUNK - 63, 40000, 40000},
};

START_TEST(random_maps_match_array)
{
	struct err e = ERR_INIT;
	struct view *disk;
	struct allocmap *g, *larger;

	fill_model(shapes[_i].n, shapes[_i].members, shapes[_i].others, _i);
	disk = fake_disk_new(o.cache, model.n * 512, 512, next_in_model);
	g = allocmap_of(disk, 9, &e);
	ck_assert(g);
	ck_assert_uint_eq(allocmap_bits(g), 9);
	check_all(g);
	for (unsigned up = 0; up <= 14; up += 7) {
		fill_model(shapes[_i].n, shapes[_i].members, shapes[_i].others, _i);
		coarsen_model(up);
		larger = allocmap_coarsen(g, 9 + up, &e);
		ck_assert(larger);
		check_all(larger);
		allocmap_free(larger);
	}
	allocmap_free(g);
	view_free(disk);
}
END_TEST

/* A granule is a member if any part of it is allocated; the last granule is partial. */
static uint64_t few_units(uint64_t i)
{
	return i <= 3 ? 3 : i <= 255 ? 255 : i <= 1000 ? 1000 : UINT64_MAX;
}

START_TEST(partial_granules_are_members)
{
	struct err e = ERR_INIT;
	struct view *disk = fake_disk_new(o.cache, 1000 * 512 + 1, 512, few_units);
	struct allocmap *g = allocmap_of(disk, 16, &e);

	ck_assert(g);
	ck_assert_uint_eq(allocmap_all(g), 8);
	ck_assert_uint_eq(allocmap_stored(g), 3);
	ck_assert(allocmap_has(g, 0) && allocmap_has(g, 1) && allocmap_has(g, 7));
	allocmap_free(g);
	view_free(disk);
}
END_TEST

START_TEST(unreadable_disk_is_allocated)
{
	struct err e = ERR_INIT;
	struct view *disk = view_broken(1 << 20, "gone", &e);
	struct allocmap *g = allocmap_of(disk, 16, &e);

	ck_assert(g);
	ck_assert_uint_eq(allocmap_stored(g), 16);
	allocmap_free(g);
	view_free(disk);
}
END_TEST

/* Memory is limited: the chunks beyond the limit count as allocated. */
#define PART 1024u /* granules */

static uint64_t part_of_chunk(uint64_t i)
{
	while (i % (CHUNK / PART) != 3)
		i++;
	return i;
}

START_TEST(number_of_bitmaps_is_limited)
{
	uint64_t n = LAYOUT_MAX_MIXED + 2;
	struct err e = ERR_INIT;
	struct view *disk = fake_disk_new(o.cache, n * CHUNK * 512, PART * 512, part_of_chunk);
	struct allocmap *g = allocmap_of(disk, 9, &e);

	ck_assert(g);
	ck_assert_uint_eq(allocmap_stored(g), LAYOUT_MAX_MIXED * PART + 2 * CHUNK);
	ck_assert(!allocmap_has(g, 0) && allocmap_has(g, 3 * PART));
	ck_assert(allocmap_has(g, LAYOUT_MAX_MIXED * (uint64_t)CHUNK));
	allocmap_free(g);
	view_free(disk);
}
END_TEST

START_TEST(too_many_granules_are_refused)
{
	struct err e = ERR_INIT;
	struct view *disk = fake_disk_new(
		o.cache, ((uint64_t)LAYOUT_MAX_CHUNKS * CHUNK << 16) + 1, 65536, few_units);

	ck_assert_null_fails(allocmap_of(disk, 16, &e), EFBIG, &e, "too many granules");
	view_free(disk);
}
END_TEST

Suite *allocmap_suite(void)
{
	TCase *tc = tcase_create("allocmap");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, random_maps_match_array, 0, COUNT(shapes));
	tcase_add_test(tc, partial_granules_are_members);
	tcase_add_test(tc, unreadable_disk_is_allocated);
	tcase_add_test(tc, number_of_bitmaps_is_limited);
	tcase_add_test(tc, too_many_granules_are_refused);
	return suite_of("allocmap", tc);
}
