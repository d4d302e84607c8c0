/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_altered.c - another program changes the size of a file of an image that is open for
 * writing: further writes fail, and no read returns wrong bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/err.h"
#include "image/format.h"
#include "io/io.h"
#include "common/unit.h"
#include "view/view.h"
#include "open/open.h"

#define SIZE (UINT64_C(6) << 20)
#define STEP 4096u

static const char *const none[] = {NULL};
static const char *const flat[] = {"subformat=monolithicFlat", NULL};
static const char *const split[] = {"subformat=twoGbMaxExtentSparse", NULL};
static const char *const fixed_vhd[] = {"subformat=fixed", NULL};
static const char *const static_vdi[] = {"static=on", NULL};
static const char *const small_blocks[] = {"block_size=1M", NULL};
static const char *const with_data[] = {"data_file=a.data", NULL};

static const struct {
	const char *format, *path;
	const char *const *options;
	const char *changed_file; /* the file whose size changes */
} kinds[] = {
	{"raw", "a.raw", none, "a.raw"},
	{"qcow2", "a.qcow2", none, "a.qcow2"},
	{"qcow2", "a.qcow2", with_data, "a.data"},
	{"vmdk", "a.vmdk", none, "a.vmdk"},
	{"vmdk", "a.vmdk", flat, "a-flat.vmdk"},
	{"vmdk", "a.vmdk", split, "a-s001.vmdk"},
	{"vdi", "a.vdi", none, "a.vdi"},
	{"vdi", "a.vdi", static_vdi, "a.vdi"},
	{"vpc", "a.vhd", none, "a.vhd"},
	{"vpc", "a.vhd", fixed_vhd, "a.vhd"},
	{"vhdx", "a.vhdx", small_blocks, "a.vhdx"},
};

/* The first operation after the change. */
enum operation { ALLOCATE, OVERWRITE_LOST, OVERWRITE_KEPT, CLEAR, FLUSH, READ, OPERATIONS };

static struct image_options options;
static struct image *img;
static struct view *disk;
static unsigned char *expected; /* contents of the disk at the last flush */

static off_t length_of(const char *path)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_size;
}

static void open_full(int i)
{
	struct err e = ERR_INIT;

	expected = make_full_image(kinds[i].format, kinds[i].path, SIZE, kinds[i].options);
	options = options_new();
	options.write = true;
	options.format = strcmp(kinds[i].format, "raw") == 0 ? "raw" : NULL;
	ck_assert_ok(image_open(kinds[i].path, &options, &img, &e), &e);
	disk = img->states[0]->view;
	memset(expected, 'x', STEP);
	ck_assert_ok(view_write(disk, expected, STEP, 0, &e), &e);
	ck_assert_ok(view_flush(disk, &e), &e);
}

static void close_full(void)
{
	image_close(img);
	options_free(&options);
	free(expected);
}

/* Returns the number of chunks that cannot be read; asserts that the others have not changed. */
static unsigned count_lost(void)
{
	unsigned char buf[STEP];
	unsigned lost = 0;

	for (uint64_t off = 0; off < SIZE; off += STEP) {
		struct err e = ERR_INIT;

		if (view_read(disk, buf, STEP, off, &e) == 0)
			ck_assert_mem_eq(buf, expected + off, STEP);
		else
			ck_assert_fails(-e.code, EIO, &e, "another program has changed its length");
		lost += e.code != 0;
	}
	return lost;
}

static int do_operation(enum operation operation, struct err *e)
{
	unsigned char buf[STEP];

	memset(buf, 'n', sizeof buf);
	switch (operation) {
	case ALLOCATE:
		return view_write(disk, buf, STEP, SIZE / 2, e);
	case OVERWRITE_LOST:
		return view_write(disk, buf, STEP, SIZE - STEP, e);
	case OVERWRITE_KEPT:
		return view_write(disk, buf, STEP, STEP, e);
	case CLEAR:
		return view_clear(disk, 0, SIZE / 8, e);
	case READ:
		if (count_lost() > 0)
			return err_set(e, EIO, "another program has changed its length");
		return view_flush(disk, e);
	default:
		return view_flush(disk, e);
	}
}

static void check_stopped(const char *changed_file)
{
	struct err e = ERR_INIT;

	ck_assert_fails(
		view_write(disk, "x", 1, 0, &e), EIO, &e, "another program has changed its length");
	ck_assert_msg(strstr(e.text, "nothing is written any more"), "%s", e.text);
	ck_assert_msg(strstr(e.text, changed_file), "%s", e.text);
	ck_assert_fails(view_flush(disk, &e), EIO, &e, changed_file);
	ck_assert_fails(image_finish(img, &e), EIO, &e, changed_file);
	/* The error is logged once. */
	err_is_first(&e);
	view_flush(disk, &e);
	ck_assert(!err_is_first(&e));
}

static void change_size_and_do(int i, off_t by, enum operation operation)
{
	const char *changed_file = kinds[i].changed_file;
	struct err e = ERR_INIT;
	off_t length;

	open_full(i);
	length = length_of(changed_file) + by;
	ck_assert_int_eq(truncate(changed_file, length), 0);
	ck_assert_fails(
		do_operation(operation, &e), EIO, &e, "another program has changed its length");
	check_stopped(changed_file);
	ck_assert_uint_eq(count_lost() > 0, by < 0);
	close_full();
	ck_assert_int_eq(length_of(changed_file), length);
	unlink(changed_file);
	unlink(kinds[i].path);
}

START_TEST(truncated_file_is_not_written)
{
	for (int operation = 0; operation < OPERATIONS; operation++)
		change_size_and_do(_i, -(off_t)SIZE / 4, operation);
}
END_TEST

START_TEST(extended_file_is_not_written)
{
	for (int operation = 0; operation < OPERATIONS; operation++)
		change_size_and_do(_i, 65536, operation);
}
END_TEST

/* A truncated range does not become zeroes when the file is extended again. */
START_TEST(truncated_data_stays_lost)
{
	const char *changed_file = kinds[_i].changed_file;
	off_t length;
	unsigned lost;

	open_full(_i);
	length = length_of(changed_file);
	ck_assert_int_eq(truncate(changed_file, length - (off_t)SIZE / 4), 0);
	lost = count_lost();
	ck_assert_uint_gt(lost, 0);
	ck_assert_int_eq(truncate(changed_file, length), 0);
	ck_assert_uint_eq(count_lost(), lost);
	check_stopped(changed_file);
	close_full();
}
END_TEST

/* A read-only image: the rest of the disk is readable, and the file may grow. */
START_TEST(reader_reports_truncation)
{
	struct err e = ERR_INIT;
	unsigned char byte;
	struct image *ro;

	open_full(_i);
	image_close(img);
	options.write = false;
	ck_assert_ok(image_open(kinds[_i].path, &options, &ro, &e), &e);
	img = ro;
	disk = img->states[0]->view;
	ck_assert_int_eq(
		truncate(kinds[_i].changed_file, length_of(kinds[_i].changed_file) + 65536), 0);
	ck_assert_uint_eq(count_lost(), 0);
	ck_assert_ok(image_check_files(img, &e), &e);
	ck_assert_int_eq(truncate(kinds[_i].changed_file,
				 length_of(kinds[_i].changed_file) - (off_t)SIZE / 4),
		0);
	ck_assert_fails(image_check_files(img, &e), EIO, &e, kinds[_i].changed_file);
	ck_assert(strstr(e.text, "nothing is written") == NULL);
	ck_assert(err_is_first(&e));
	ck_assert_fails(view_read(disk, &byte, 1, SIZE - 1, &e), EIO, &e, kinds[_i].changed_file);
	ck_assert(!err_is_first(&e));
	ck_assert_uint_gt(count_lost(), 0);
	ck_assert_ok(view_read(disk, &byte, 1, 0, &e), &e);
	ck_assert_uint_eq(byte, 'x');
	close_full();
}
END_TEST

Suite *altered_suite(void)
{
	TCase *tc = tcase_create("altered");
	int n = COUNT(kinds);

	use_temp_dir(tc);
	tcase_add_loop_test(tc, truncated_file_is_not_written, 0, n);
	tcase_add_loop_test(tc, extended_file_is_not_written, 0, n);
	tcase_add_loop_test(tc, truncated_data_stays_lost, 0, n);
	tcase_add_loop_test(tc, reader_reports_truncation, 0, n);
	return suite_of("altered", tc);
}
