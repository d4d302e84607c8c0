/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_disks.c - the search for members of volumes on several images locks none of them but the
 * members. */
#include <limits.h>
#include <stdlib.h>

#include "util/err.h"
#include "open/disks.h"
#include "open/open.h"
#include "md-make.h"
#include "common/unit.h"

#define DISK_SIZE 0x100000u

/* Opens the image "image.raw" as several disks, while it is open for writing if so.  Returns the
 * number of its members, and whether they are locked. */
static size_t search(bool open_for_writing, bool *locked)
{
	struct disk_place place = {.path = "image.raw"};
	struct image_options o = options_new(), writing = options_new();
	struct image *img, *writer = NULL;
	struct err e = ERR_INIT;
	char top[PATH_MAX];
	size_t n;

	place.root = realpath(".", top);
	o.any_is_raw = writing.any_is_raw = true;
	writing.write = true;
	if (open_for_writing)
		ck_assert_ok(image_open(place.path, &writing, &writer, &e), &e);
	ck_assert_ok(disks_open(&place, 1, &o, &img, &e), &e);
	disks_left_out(img, locked);
	ck_assert_ptr_nonnull(disks_of(img, &n));
	image_close(img);
	image_close(writer);
	options_free(&o);
	options_free(&writing);
	return n;
}

START_TEST(image_without_members_is_not_locked)
{
	bool locked;

	make_image("raw", "image.raw", DISK_SIZE, NULL, NULL);
	ck_assert_uint_eq(search(true, &locked), 0);
	ck_assert(!locked);
}
END_TEST

/* The first of two members. */
static void make_member(void)
{
	static const struct md_spec spec = {.version = "1.2",
		.layout = 2,
		.chunk = 0x1000,
		.n = 2,
		.used = DISK_SIZE,
		.name = "guest:data"};
	size_t size = md_make_size(&spec);
	unsigned char *disk = calloc(1, size);

	ck_assert_ptr_nonnull(disk);
	md_make_super(disk + md_make_place(&spec), &spec, 0);
	write_file("image.raw", disk, size);
	free(disk);
}

START_TEST(member_is_locked)
{
	bool locked;

	make_member();
	ck_assert_uint_eq(search(false, &locked), 1);
	ck_assert(!locked);
	ck_assert_uint_eq(search(true, &locked), 0);
	ck_assert(locked);
}
END_TEST

Suite *disks_suite(void)
{
	TCase *tc = tcase_create("search");

	use_temp_dir(tc);
	tcase_add_test(tc, image_without_members_is_not_locked);
	tcase_add_test(tc, member_is_locked);
	return suite_of("disks", tc);
}
