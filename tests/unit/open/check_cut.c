/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_cut.c - an image with a truncated file is refused for writing: extending the file would
 * turn the lost data into zeroes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/creation.h"
#include "util/err.h"
#include "image/image.h"
#include "open/open.h"
#include "common/unit.h"
#include "view/view.h"

#define MB    (UINT64_C(1) << 20)
#define GB    (UINT64_C(1) << 30)
#define PIECE (64u << 10) /* bytes written at each place */

static const char *const none[] = {NULL};
static const char *const flat[] = {"subformat=monolithicFlat", NULL};
static const char *const split[] = {"subformat=twoGbMaxExtentSparse", NULL};
static const char *const split_flat[] = {"subformat=twoGbMaxExtentFlat", NULL};
static const char *const fixed_vhd[] = {"subformat=fixed", NULL};
static const char *const static_vdi[] = {"static=on", NULL};
static const char *const fixed_vhdx[] = {"subformat=fixed", "block_size=1M", NULL};
static const char *const small_blocks[] = {"block_size=1M", NULL};

static const struct {
	const char *format, *path;
	const char *const *options;
	uint64_t size;
	bool is_child;            /* it has a parent of the same format */
	const char *changed_file; /* the file that is truncated */
} kinds[] = {
	{"vmdk", "a.vmdk", none, 6 * MB, false, "a.vmdk"},
	{"vmdk", "a.vmdk", none, 6 * MB + 512, true, "a.vmdk"},
	{"vmdk", "a.vmdk", flat, 6 * MB, false, "a-flat.vmdk"},
	{"vmdk", "a.vmdk", split, 3 * GB, false, "a-s001.vmdk"},
	{"vmdk", "a.vmdk", split, 3 * GB, false, "a-s002.vmdk"},
	{"vmdk", "a.vmdk", split_flat, 3 * GB, false, "a-f001.vmdk"},
	{"vmdk", "a.vmdk", split_flat, 3 * GB, false, "a-f002.vmdk"},
	{"vdi", "a.vdi", none, 6 * MB, false, "a.vdi"},
	{"vdi", "a.vdi", none, 6 * MB, true, "a.vdi"},
	{"vdi", "a.vdi", static_vdi, 6 * MB, false, "a.vdi"},
	{"vpc", "a.vhd", none, 6 * MB, false, "a.vhd"},
	{"vpc", "a.vhd", none, 6 * MB, true, "a.vhd"},
	{"vpc", "a.vhd", fixed_vhd, 6 * MB, false, "a.vhd"},
	{"vhdx", "a.vhdx", small_blocks, 6 * MB, false, "a.vhdx"},
	{"vhdx", "a.vhdx", small_blocks, 6 * MB, true, "a.vhdx"},
	{"vhdx", "a.vhdx", fixed_vhdx, 6 * MB, false, "a.vhdx"},
};

static off_t length_of(const char *path)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_size;
}

#define PLACES 4

/* Offset of the k-th write; the last one is at the end of the disk. */
static uint64_t place(int i, unsigned k)
{
	return kinds[i].size / 512 * k / (PLACES - 1) * 512 - (k == PLACES - 1 ? PIECE : 0);
}

static void make(int i, unsigned char *data)
{
	char base[16];
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;

	/* the parent of a VDI is searched among files with its suffix */
	snprintf(base, sizeof base, "base%s", strrchr(kinds[i].path, '.'));
	if (kinds[i].is_child)
		make_image(kinds[i].format, base, kinds[i].size, NULL, kinds[i].options);
	make_image(kinds[i].format, kinds[i].path,
		kinds[i].is_child ? CREATE_NO_SIZE : kinds[i].size, kinds[i].is_child ? base : NULL,
		kinds[i].options);
	img = open_image_file(kinds[i].path, true, &o);
	for (unsigned k = 0; k < PLACES; k++)
		ck_assert_ok(view_write(img->states[0]->view, data, PIECE, place(i, k), &e), &e);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
}

/* Returns whether all written data can be read. */
static bool is_whole(int i, const unsigned char *data)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	static unsigned char buf[PIECE];
	struct image *img;
	bool opens = image_open(kinds[i].path, &o, &img, &e) == 0, whole = opens;

	for (unsigned k = 0; whole && k < PLACES; k++)
		whole = view_read(img->states[0]->view, buf, PIECE, place(i, k), &e) == 0 &&
			memcmp(buf, data, PIECE) == 0;
	if (opens)
		image_close(img);
	options_free(&o);
	return whole;
}

/* Opens the image for writing and writes a byte; returns false if it is refused. */
static bool can_write(int i)
{
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;
	bool can;

	o.write = true;
	can = image_open(kinds[i].path, &o, &img, &e) == 0;
	if (can) {
		view_write(img->states[0]->view, "x", 1, 5 * MB / 2, &e);
		image_close(img);
	}
	options_free(&o);
	return can;
}

START_TEST(truncated_images_are_not_written)
{
	static const uint64_t lost[] = {
		1, 512, 4096, PIECE - 512, PIECE, 100000, MB, 2 * MB, 4 * MB};
	static unsigned char data[PIECE];
	const char *changed_file = kinds[_i].changed_file;
	unsigned refused = 0;

	fill_pattern(data, sizeof data, 5);
	make(_i, data);
	ck_assert(is_whole(_i, data));
	ck_assert_int_eq(rename(changed_file, "whole"), 0);
	for (size_t k = 0; k < COUNT(lost); k++) {
		off_t length = length_of("whole") - (off_t)lost[k];

		if (length < 0)
			continue;
		ck_assert_int_eq(system("cp --sparse=always whole cut"), 0);
		ck_assert_int_eq(rename("cut", changed_file), 0);
		ck_assert_int_eq(truncate(changed_file, length), 0);
		if (is_whole(_i, data))
			continue;
		refused++;
		ck_assert_msg(!can_write(_i), "%s without its last %ju bytes can be written",
			changed_file, (uintmax_t)lost[k]);
		ck_assert_int_eq(length_of(changed_file), length);
	}
	ck_assert_uint_gt(refused, 0);
}
END_TEST

Suite *cut_suite(void)
{
	TCase *tc = tcase_create("cut");

	use_temp_dir(tc);
	tcase_add_loop_test(tc, truncated_images_are_not_written, 0, COUNT(kinds));
	return suite_of("cut", tc);
}
