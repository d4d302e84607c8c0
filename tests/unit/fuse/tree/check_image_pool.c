/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_image_pool.c - images that are opened when they are pinned, closed when idle, and opened
 * again. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "util/err.h"
#include "image/image.h"
#include "tree/image-pool.h"
#include "tree/pooled-image.h"
#include "view/view.h"
#include "common/unit.h"

#define SIZE 65536

static struct image_options options;
static struct image_pool *pool;
static struct pooled_image *image;
static char dir[PATH_MAX], path[PATH_MAX + 16];

static struct pooled_image *new_image(void)
{
	struct err e = ERR_INIT;
	const struct image_origin from = {.place = {.root = dir, .path = path}};
	struct pooled_image *s = pooled_image_new(pool, &from, &e);

	ck_assert_ptr_nonnull(s);
	return s;
}

static void write_disk(const char *name, unsigned seed)
{
	unsigned char data[SIZE];

	fill_pattern(data, sizeof data, seed);
	write_file(name, data, sizeof data);
}

static void set_up(void)
{
	struct err e = ERR_INIT;

	write_disk("disk.img", 1);
	ck_assert_ptr_nonnull(realpath(".", dir));
	snprintf(path, sizeof path, "%s/disk.img", dir);
	options = options_new();
	options.format = "raw";
	pool = image_pool_new(&options, NULL, 0, &e);
	ck_assert_ptr_nonnull(pool);
	image = new_image();
}

static void tear_down(void)
{
	pooled_image_unref(image);
	image_pool_free(pool);
	options_free(&options);
}

static const struct image *pin_as(enum image_use use)
{
	struct err e = ERR_INIT;
	const struct image *img;

	ck_assert_ok(pooled_image_pin(image, ANY_GENERATION, use, &img, &e), &e);
	return img;
}

static const struct image *pin(void)
{
	return pin_as(USE_BRIEFLY);
}

static void unpin(void)
{
	pooled_image_unpin(image, USE_BRIEFLY);
}

START_TEST(pinned_image_stays_open)
{
	const struct image *img = pin();

	ck_assert_ptr_eq(pin(), img);
	unpin();
	ck_assert(!image_pool_close_one(pool));
	ck_assert_int_eq(image_pool_close_idle(pool), -1);
	unpin();
	ck_assert(image_pool_close_one(pool));
	ck_assert(!image_pool_close_one(pool));
}
END_TEST

START_TEST(closed_image_keeps_its_generation)
{
	struct err e = ERR_INIT;
	const struct image *img;
	unsigned generation;

	pin();
	generation = pooled_image_generation(image);
	unpin();
	ck_assert_int_eq(image_pool_close_idle(pool), -1);
	ck_assert(!pooled_image_has_changed(image));
	ck_assert_ok(pooled_image_pin(image, generation, USE_BRIEFLY, &img, &e), &e);
	unpin();
}
END_TEST

START_TEST(replaced_image_has_a_new_generation)
{
	struct err e = ERR_INIT;
	const struct image *img;
	unsigned generation;

	pin();
	generation = pooled_image_generation(image);
	unpin();
	ck_assert(image_pool_close_one(pool));
	write_disk("other.img", 2);
	ck_assert_int_eq(rename("other.img", "disk.img"), 0);
	ck_assert_int_eq(pooled_image_pin(image, generation, USE_BRIEFLY, &img, &e), -ESTALE);
	pin();
	ck_assert_uint_ne(pooled_image_generation(image), generation);
	unpin();
}
END_TEST

START_TEST(changes_are_detected_unless_pinned)
{
	pin();
	write_disk("other.img", 2);
	ck_assert_int_eq(rename("other.img", "disk.img"), 0);
	ck_assert(!pooled_image_has_changed(image));
	unpin();
	ck_assert(pooled_image_has_changed(image));
	ck_assert(!pooled_image_has_changed(image));
}
END_TEST

START_TEST(image_is_reopened_for_writing)
{
	ck_assert(!pin()->writable);
	unpin();
	ck_assert(pin_as(USE_TO_WRITE)->writable);
	ck_assert(pin_as(USE_TO_READ)->writable);
	pooled_image_unpin(image, USE_TO_READ);
	pooled_image_unpin(image, USE_TO_WRITE);
	ck_assert_int_eq(image_pool_finish(pool), 0);
	ck_assert(image_pool_close_one(pool));
	ck_assert(!pin()->writable);
	unpin();
}
END_TEST

START_TEST(image_with_readers_is_not_reopened)
{
	struct err e = ERR_INIT;
	const struct image *img = pin_as(USE_TO_READ), *again;
	int ret = pooled_image_pin(image, ANY_GENERATION, USE_TO_WRITE, &again, &e);

	ck_assert_fails(ret, EBUSY, &e, "open for reading");
	ck_assert_ptr_eq(pin(), img);
	unpin();
	pooled_image_unpin(image, USE_TO_READ);
	ck_assert(pin_as(USE_TO_WRITE)->writable);
	pooled_image_unpin(image, USE_TO_WRITE);
}
END_TEST

START_TEST(writable_image_is_closed_for_readers)
{
	struct err e = ERR_INIT;
	struct pooled_image *other = new_image();
	const struct image *img;

	pin_as(USE_TO_WRITE);
	ck_assert_int_eq(pooled_image_pin(other, ANY_GENERATION, USE_BRIEFLY, &img, &e), -EBUSY);
	pooled_image_unpin(image, USE_TO_WRITE);
	ck_assert_ok(pooled_image_pin(other, ANY_GENERATION, USE_BRIEFLY, &img, &e), &e);
	pooled_image_unpin(other, USE_BRIEFLY);
	pooled_image_unref(other);
}
END_TEST

START_TEST(missing_image_is_an_error)
{
	struct err e = ERR_INIT;
	const struct image *img;

	ck_assert_int_eq(remove("disk.img"), 0);
	ck_assert_fails(pooled_image_pin(image, ANY_GENERATION, USE_BRIEFLY, &img, &e), ENOENT, &e,
		"disk.img");
	write_disk("disk.img", 1);
	pin();
	unpin();
}
END_TEST

START_TEST(image_opened_before_is_never_closed)
{
	struct err e = ERR_INIT;
	const struct image *img;
	struct image_options o;
	struct pooled_image *s = pooled_image_of(pool, open_image_file("disk.img", true, &o), &e);

	ck_assert_ptr_nonnull(s);
	ck_assert_ok(pooled_image_pin(s, ANY_GENERATION, USE_TO_WRITE, &img, &e), &e);
	pooled_image_unpin(s, USE_TO_WRITE);
	ck_assert(!image_pool_close_one(pool));
	ck_assert(!pooled_image_has_changed(s));
	image_pool_flush(pool);
	ck_assert_int_eq(image_pool_finish(pool), 0);
	pooled_image_unref(s);
	options_free(&o);
}
END_TEST

START_TEST(derived_view_lives_until_close)
{
	struct err e = ERR_INIT;
	struct derived_view v = {.view = NULL};
	const struct image *img = pin();

	pooled_image_begin_view(image);
	pooled_image_end_view(image, &v, view_slice(img->states[0]->view, 512, 512, &e));
	ck_assert_ptr_nonnull(v.view);
	unpin();
	ck_assert(image_pool_close_one(pool));
	ck_assert_ptr_null(v.view);
	pooled_image_drop_view(image, &v);
}
END_TEST

Suite *image_pool_suite(void)
{
	TCase *tc = tcase_create("image_pool");

	use_temp_dir(tc);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, pinned_image_stays_open);
	tcase_add_test(tc, closed_image_keeps_its_generation);
	tcase_add_test(tc, replaced_image_has_a_new_generation);
	tcase_add_test(tc, changes_are_detected_unless_pinned);
	tcase_add_test(tc, image_is_reopened_for_writing);
	tcase_add_test(tc, image_with_readers_is_not_reopened);
	tcase_add_test(tc, writable_image_is_closed_for_readers);
	tcase_add_test(tc, missing_image_is_an_error);
	tcase_add_test(tc, image_opened_before_is_never_closed);
	tcase_add_test(tc, derived_view_lives_until_close);
	return suite_of("image_pool", tc);
}
