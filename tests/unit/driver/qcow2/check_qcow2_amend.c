/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_qcow2_amend.c - the version and the width of refcounts changed: no byte of the disk or of a
 * snapshot changes, also after a power cut. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "image/amend.h"
#include "image/check.h"
#include "image/snapshot.h"
#include "io/io.h"
#include "open/open.h"
#include "common/crash_storage.h"
#include "common/unit.h"
#include "view/view.h"

#define PATH "a.qcow2"
#define SIZE (UINT64_C(2) << 20)

static const char *const clusters[] = {"cluster_size=64k", "cluster_size=512", "cluster_size=4k"};

static uint64_t state;
static struct image_options o;
static struct image *img;
static struct medium medium;
static struct scratch after;
static unsigned char *disk, *snapshot; /* their contents */

/* The backing file is recorded, but not opened: it reads as zeroes. */
static struct image *open_io(struct io *io, struct image_options *options)
{
	struct err e = ERR_INIT;
	struct image *opened;

	ck_assert_ptr_nonnull(io);
	options->nobacking = true;
	ck_assert_ok(image_open_io(io, options, &opened, &e), &e);
	image_swap_parent(opened, NULL);
	return opened;
}

static void open_for_writing(void)
{
	o = options_new();
	o.write = true;
	img = open_io(medium_io(&medium), &o);
}

static void change_some(void)
{
	struct view *v = img->states[0]->view;
	unsigned char buf[20000];
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < 20; i++) {
		uint64_t off = next_random(&state) % (SIZE - sizeof buf) / 512 * 512;

		fill_pattern(buf, sizeof buf, i);
		if (i % 3 == 2)
			ck_assert_ok(view_clear(v, off, 16384, &e), &e);
		else
			ck_assert_ok(view_write(v, buf, 1024 * (1 + i % 16), off, &e), &e);
	}
}

static unsigned char *contents(const struct image *from, size_t i)
{
	unsigned char *p = malloc(SIZE);
	struct err e = ERR_INIT;

	ck_assert_ptr_nonnull(p);
	ck_assert_ok(view_read(from->states[i]->view, p, SIZE, 0, &e), &e);
	return p;
}

static void begin(bool backed)
{
	struct err e = ERR_INIT;
	const char *const options[] = {clusters[state % COUNT(clusters)], NULL};
	unsigned no;

	write_text("base", "");
	make_image("qcow2", PATH, SIZE, NULL, options);
	medium_load(&medium, PATH);
	open_for_writing();
	if (backed)
		ck_assert_ok(image_set_backing(img, "base", "raw", &e), &e);
	change_some();
	ck_assert_ok(snapshot_create(img, "s", &no, &e), &e);
	change_some();
	disk = contents(img, 0);
	snapshot = contents(img, 1);
}

static void end(void)
{
	free(disk);
	free(snapshot);
	image_close(img);
	options_free(&o);
	medium_free(&medium);
}

static void compare(const struct image *with)
{
	unsigned char *now = contents(with, 0), *then = contents(with, 1);

	ck_assert(memcmp(now, disk, SIZE) == 0);
	ck_assert(memcmp(then, snapshot, SIZE) == 0);
	free(now);
	free(then);
}

static void verify_file(void)
{
	struct image_options options = options_new();
	struct check_report report = {.found = NULL};
	struct err e = ERR_INIT;
	struct image *cut =
		open_io(io_from_memory(after.bytes, after.used, "after the cut", &e), &options);

	ck_assert_ok(image_check(cut, 0, &report, &e), &e);
	ck_assert_uint_eq(report.corruptions + report.check_errors, 0);
	compare(cut);
	image_close(cut);
	options_free(&options);
}

static void cut_at_sync(void *arg)
{
	static const unsigned percents[] = {50, 90, 10, 100};

	(void)arg;
	for (size_t i = 0; i < 2 * COUNT(percents); i++) {
		medium_cut(&medium, &after, percents[i / 2],
			i % 2 ? next_random(&state) % (medium_pending(&medium) + 1) : UINT64_MAX,
			&state);
		verify_file();
	}
}

static const struct amendment changes[] = {
	{.refcount_bits = 64},
	{.lazy_refcounts = AMEND_ON},
	{.refcount_bits = 2},
	{.refcount_bits = 16},
	{.version = 2},
	{.version = 3},
	{.version = 2, .lazy_refcounts = AMEND_OFF},
	{.version = 3, .refcount_bits = 32},
	{.refcount_bits = 16, .version = 2},
};

static void check_image(void)
{
	struct check_report report = {.found = NULL};
	struct image_options options;
	struct err e = ERR_INIT;
	struct image *again;
	FILE *f = fopen("now.qcow2", "wb");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(medium.now, 1, medium.io.size, f), medium.io.size);
	fclose(f);
	options = options_new();
	again = open_io(io_from_memory(medium.now, medium.io.size, "now", &e), &options);
	ck_assert_ok(image_check(again, 0, &report, &e), &e);
	ck_assert_uint_eq(report.corruptions + report.check_errors + report.leaks, 0);
	compare(again);
	image_close(again);
	options_free(&options);
	if (system("qemu-img --version >/dev/null 2>&1") == 0)
		ck_assert_int_eq(system("qemu-img check -q now.qcow2"), 0);
}

static void amend_all(void)
{
	struct err e = ERR_INIT;

	for (size_t i = 0; i < COUNT(changes); i++) {
		ck_assert_ok(image_amend(img, &changes[i], &e), &e);
		compare(img);
		ck_assert_ok(image_finish(img, &e), &e);
		if (!medium.before_sync)
			check_image();
		/* The image can be written to afterwards. */
		change_some();
		free(disk);
		disk = contents(img, 0);
		ck_assert_ok(image_finish(img, &e), &e);
	}
}

START_TEST(contents_stay)
{
	state = 3 * 100 + _i / 2;
	begin(_i % 2);
	amend_all();
	check_image();
	end();
}
END_TEST

/* Writes are cut in other suites. */
START_TEST(power_cuts)
{
	struct err e = ERR_INIT;

	state = 3 * 200 + _i / 2;
	begin(_i % 2);
	ck_assert_ok(image_finish(img, &e), &e);
	medium.before_sync = cut_at_sync;
	for (size_t i = 0; i < COUNT(changes); i++)
		ck_assert_ok(image_amend(img, &changes[i], &e), &e);
	end();
}
END_TEST

static const struct {
	struct amendment change;
	int code;
	const char *text;
} refused[] = {
	{{.refcount_bits = 1}, ERANGE, "Cannot decrease refcount entry width to 1 bits"},
	{{.refcount_bits = 3}, EINVAL, "must be a power of two"},
	{{.data_file_raw = AMEND_ON}, EINVAL, "data-file-raw cannot be set"},
	{{.data_file = "x"}, EINVAL, "data-file can only be set"},
	{{.version = 2, .lazy_refcounts = AMEND_ON}, EINVAL, "Lazy refcounts only supported"},
};

/* What is refused leaves the image as it is. */
START_TEST(refusals)
{
	struct err e = ERR_INIT;

	state = 3 * 300;
	begin(false);
	ck_assert_fails(
		image_amend(img, &refused[_i].change, &e), refused[_i].code, &e, refused[_i].text);
	e = (struct err)ERR_INIT;
	ck_assert_ok(image_finish(img, &e), &e);
	check_image();
	end();
}
END_TEST

Suite *qcow2_amend_suite(void)
{
	TCase *tc = tcase_create("amend");

	tcase_set_timeout(tc, 60);
	use_temp_dir(tc);
	tcase_add_loop_test(tc, contents_stay, 0, 2 * COUNT(clusters));
	tcase_add_loop_test(tc, power_cuts, 0, 2 * COUNT(clusters));
	tcase_add_loop_test(tc, refusals, 0, COUNT(refused));
	return suite_of("qcow2_amend", tc);
}
