/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_altered.c - another program changes the length of a file of an image that is open for
 * writing: nothing is written any more, and no byte reads as another. */
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
	const char *victim; /* the file that is changed */
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

/* The first operation after the file was changed. */
enum deed { ALLOCATE, OVERWRITE_LOST, OVERWRITE_KEPT, CLEAR, FLUSH, READ, DEEDS };

static struct image_options options;
static struct image *img;
static struct view *disk;
static unsigned char *was; /* the disk as it was flushed last */

static off_t length_of(const char *path)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_size;
}

static void open_full(int i)
{
	struct err e = ERR_INIT;

	was = make_full_image(kinds[i].format, kinds[i].path, SIZE, kinds[i].options);
	options = options_new();
	options.write = true;
	options.format = strcmp(kinds[i].format, "raw") == 0 ? "raw" : NULL;
	ck_assert_ok(image_open(kinds[i].path, &options, &img, &e), &e);
	disk = img->states[0]->view;
	memset(was, 'x', STEP);
	ck_assert_ok(view_write(disk, was, STEP, 0, &e), &e);
	ck_assert_ok(view_flush(disk, &e), &e);
}

static void close_full(void)
{
	image_close(img);
	options_free(&options);
	free(was);
}

/* How many pieces of the disk cannot be read; the others are as they were. */
static unsigned count_lost(void)
{
	unsigned char buf[STEP];
	unsigned lost = 0;

	for (uint64_t off = 0; off < SIZE; off += STEP) {
		struct err e = ERR_INIT;

		if (view_read(disk, buf, STEP, off, &e) == 0)
			ck_assert_mem_eq(buf, was + off, STEP);
		else
			ck_assert_fails(-e.code, EIO, &e, "another program has changed its length");
		lost += e.code != 0;
	}
	return lost;
}

static int do_deed(enum deed deed, struct err *e)
{
	unsigned char buf[STEP];

	memset(buf, 'n', sizeof buf);
	switch (deed) {
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

static void check_stopped(const char *victim)
{
	struct err e = ERR_INIT;

	ck_assert_fails(
		view_write(disk, "x", 1, 0, &e), EIO, &e, "another program has changed its length");
	ck_assert_msg(strstr(e.text, "nothing is written any more"), "%s", e.text);
	ck_assert_msg(strstr(e.text, victim), "%s", e.text);
	ck_assert_fails(view_flush(disk, &e), EIO, &e, victim);
	ck_assert_fails(image_finish(img, &e), EIO, &e, victim);
	/* A log has it once. */
	err_is_first(&e);
	view_flush(disk, &e);
	ck_assert(!err_is_first(&e));
}

static void alter_and_do(int i, off_t by, enum deed deed)
{
	const char *victim = kinds[i].victim;
	struct err e = ERR_INIT;
	off_t length;

	open_full(i);
	length = length_of(victim) + by;
	ck_assert_int_eq(truncate(victim, length), 0);
	ck_assert_fails(do_deed(deed, &e), EIO, &e, "another program has changed its length");
	check_stopped(victim);
	ck_assert_uint_eq(count_lost() > 0, by < 0);
	close_full();
	ck_assert_int_eq(length_of(victim), length);
	unlink(victim);
	unlink(kinds[i].path);
}

START_TEST(a_file_that_was_cut_is_not_written)
{
	for (int deed = 0; deed < DEEDS; deed++)
		alter_and_do(_i, -(off_t)SIZE / 4, deed);
}
END_TEST

START_TEST(a_file_that_was_lengthened_is_not_written)
{
	for (int deed = 0; deed < DEEDS; deed++)
		alter_and_do(_i, 65536, deed);
}
END_TEST

/* Bytes that were cut off stay an error when the file is long enough again. */
START_TEST(what_was_cut_off_stays_lost)
{
	const char *victim = kinds[_i].victim;
	off_t length;
	unsigned lost;

	open_full(_i);
	length = length_of(victim);
	ck_assert_int_eq(truncate(victim, length - (off_t)SIZE / 4), 0);
	lost = count_lost();
	ck_assert_uint_gt(lost, 0);
	ck_assert_int_eq(truncate(victim, length), 0);
	ck_assert_uint_eq(count_lost(), lost);
	check_stopped(victim);
	close_full();
}
END_TEST

/* An image that is only read: the rest can be, and the file may become longer. */
START_TEST(reading_says_what_was_cut)
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
	ck_assert_int_eq(truncate(kinds[_i].victim, length_of(kinds[_i].victim) + 65536), 0);
	ck_assert_uint_eq(count_lost(), 0);
	ck_assert_ok(image_check_files(img, &e), &e);
	ck_assert_int_eq(
		truncate(kinds[_i].victim, length_of(kinds[_i].victim) - (off_t)SIZE / 4), 0);
	ck_assert_fails(image_check_files(img, &e), EIO, &e, kinds[_i].victim);
	ck_assert(strstr(e.text, "nothing is written") == NULL);
	ck_assert(err_is_first(&e));
	ck_assert_fails(view_read(disk, &byte, 1, SIZE - 1, &e), EIO, &e, kinds[_i].victim);
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
	tcase_add_loop_test(tc, a_file_that_was_cut_is_not_written, 0, n);
	tcase_add_loop_test(tc, a_file_that_was_lengthened_is_not_written, 0, n);
	tcase_add_loop_test(tc, what_was_cut_off_stays_lost, 0, n);
	tcase_add_loop_test(tc, reading_says_what_was_cut, 0, n);
	return suite_of("altered", tc);
}
