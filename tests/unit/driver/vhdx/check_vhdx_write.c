/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing and creating VHDX images. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build/vhdx.h"
#include "util/bytes.h"
#include "image/check.h"
#include "image/creation.h"
#include "util/err.h"
#include "image/image.h"
#include "open/open.h"
#include "common/random_model.h"
#include "common/power_cut.h"
#include "common/unit.h"
#include "view/view.h"

static const char *const none[] = {NULL};
static const char *const small[] = {"block_size=1M", NULL};
static const char *const small_fixed[] = {"block_size=1M", "subformat=fixed", NULL};
static const char *const absent[] = {"block_size=1M", "block_state_zero=off", "log_size=3M", NULL};
static const char *const large_sectors[] = {"block_size=1M", "logical_sector_size=4096", NULL};
static const char *const twos[] = {"block_size=2M", NULL};

static void close_image(struct image *img, struct image_options *o)
{
	struct err e = ERR_INIT;

	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(o);
}

static const struct {
	const char *const *options;
	uint64_t size, size_max;
} kinds[] = {
	{none, 5 * MIB + 512, 20 * MIB},
	{small, 5 * MIB + 1536, 12 * MIB},
	{absent, 4 * MIB, 12 * MIB},
	{small_fixed, 5 * MIB + 1536, 12 * MIB},
	{large_sectors, 5 * MIB + 8192, 0},
};

START_TEST(random_operations)
{
	struct model m = {
		.path = "a.vhdx",
		.seed = 1 + _i,
		.size_max = kinds[_i].size_max,
		.qemu_format = kinds[_i].options == large_sectors ? NULL : "vhdx",
	};

	make_image("vhdx", m.path, kinds[_i].size, NULL, kinds[_i].options);
	model_run(&m);
}
END_TEST

/* Makes a parent with a cleared range, and a differencing disk. */
static unsigned char *make_chain(uint64_t size, const char *const *options)
{
	unsigned char *bytes = make_full_image("vhdx", "base.vhdx", size, options);
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;

	img = open_image_file("base.vhdx", true, &o);
	ck_assert_ok(view_clear(img->states[0]->view, 0, MIB, &e), &e);
	memset(bytes, 0, MIB);
	close_image(img, &o);
	make_image("vhdx", "a.vhdx", size, "base.vhdx", options == large_sectors ? options : twos);
	return bytes;
}

START_TEST(random_operations_on_differencing)
{
	unsigned char *bytes = make_chain(kinds[_i].size, kinds[_i].options);
	struct model m = {.path = "a.vhdx", .seed = 11 + _i, .before = bytes};

	model_run(&m);
	free(bytes);
}
END_TEST

START_TEST(power_cuts)
{
	struct power p = {
		.path = "a.vhdx", .format = "vhdx", .seed = 31 + _i, .ops = 40, .cuts = 4};

	make_image("vhdx", p.path, 2 * MIB + 8192, NULL, kinds[1 + _i].options);
	power_run(&p);
}
END_TEST

START_TEST(faults)
{
	struct power p = {.path = "a.vhdx", .format = "vhdx", .seed = 41 + _i};

	make_image("vhdx", p.path, MIB + 8192, NULL, kinds[1 + _i].options);
	power_faults(&p);
}
END_TEST

/* A BAT of 1 MiB has entries for slightly less than 128 GiB. */
#define NEARLY ((UINT64_C(128) << 30) - 64 * MIB)

START_TEST(power_cuts_of_growing)
{
	struct power p = {.path = "a.vhdx",
		.seed = 51 + _i,
		.ops = 30,
		.cuts = 2,
		.grows = UINT64_C(300) << 30};

	make_image("vhdx", p.path, NEARLY, NULL, kinds[1 + _i].options);
	power_run(&p);
}
END_TEST

START_TEST(faults_of_growing)
{
	struct power p = {.path = "a.vhdx", .seed = 61, .grows = UINT64_C(300) << 30};

	make_image("vhdx", p.path, NEARLY, NULL, small);
	power_faults(&p);
}
END_TEST

static unsigned char *load(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	unsigned char *p;
	struct stat st;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fstat(fileno(f), &st), 0);
	*len = st.st_size;
	p = malloc(*len);
	ck_assert_uint_eq(fread(p, 1, *len, f), *len);
	fclose(f);
	return p;
}

/* Returns the current header. */
static const unsigned char *current_header(const unsigned char *file)
{
	const unsigned char *a = file + VHDX_HEADER1, *b = file + VHDX_HEADER2;

	return load_le64(a + 8) > load_le64(b + 8) ? a : b;
}

static const unsigned char zero[16];

/* The first write of a session changes the GUIDs of the file and of the data.  The log is used
 * until the end, and is then empty in both headers. */
START_TEST(guids_change_on_writing)
{
	unsigned char *before, *during, *after;
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	size_t n;

	make_image("vhdx", "a.vhdx", 4 * MIB, NULL, small);
	before = load("a.vhdx", &n);
	img = open_image_file("a.vhdx", true, &o);
	close_image(img, &o);
	after = load("a.vhdx", &n);
	ck_assert_mem_eq(before, after, n);
	free(after);

	img = open_image_file("a.vhdx", true, &o);
	ck_assert_ok(view_write(img->states[0]->view, "x", 1, 12345, &e), &e);
	ck_assert_ok(view_flush(img->states[0]->view, &e), &e);
	during = load("a.vhdx", &n);
	ck_assert_mem_ne(current_header(during) + 16, current_header(before) + 16, 16);
	ck_assert_mem_ne(current_header(during) + 32, current_header(before) + 32, 16);
	ck_assert_mem_ne(current_header(during) + 48, zero, 16);
	close_image(img, &o);
	after = load("a.vhdx", &n);
	ck_assert_mem_eq(current_header(after) + 16, current_header(during) + 16, 32);
	ck_assert_mem_eq(after + VHDX_HEADER1 + 48, zero, 16);
	ck_assert_mem_eq(after + VHDX_HEADER2 + 48, zero, 16);
	ck_assert_uint_eq(n, 5 * MIB);
	free(before);
	free(during);
	free(after);
}
END_TEST

/* Opening an image for writing replays its log. */
START_TEST(log_is_replayed_on_opening)
{
	static const struct vhdx_block two[] = {{STATE_FULL, 0}, {STATE_NOT, 0}, {STATE_FULL, 1}};
	static const struct vhdx_spec spec = {.size = 4 * MIB, .map = two, .nmap = COUNT(two)};
	struct memory_image v = vhdx_build(&spec);
	unsigned char page[4096], *file;
	struct vhdx_change changes[] = {
		{.pos = VHDX_DATA_AT + 8192, .page = page},
		{.pos = VHDX_DATA_AT + MIB + 4096, .len = 3 * 4096},
	};
	struct vhdx_entry entry = {
		.sequence = 77, .changes = changes, .n = 2, .last = v.file_len + MIB};
	struct image_options o;
	struct image *img;
	size_t n;

	fill_pattern(page, sizeof page, 99);
	vhdx_log(&v, &entry);
	vhdx_set_log(&v, true);
	memcpy(v.disk + 8192, page, 4096);
	memset(v.disk + 2 * MIB + 4096, 0, 3 * 4096);
	write_file("a.vhdx", v.file, v.file_len);
	img = open_image_file("a.vhdx", true, &o);
	memory_image_compare(&v, img->states[0]->view);
	close_image(img, &o);
	file = load("a.vhdx", &n);
	ck_assert_uint_eq(n, v.file_len + MIB);
	ck_assert_mem_eq(file + VHDX_DATA_AT + 8192, page, 4096);
	ck_assert_mem_eq(current_header(file) + 48, zero, 16);
	free(file);
	img = open_image_file("a.vhdx", false, &o);
	memory_image_compare(&v, img->states[0]->view);
	close_image(img, &o);
	memory_image_free(&v);
}
END_TEST

/* The BAT entries are on more pages than one log entry can hold. */
START_TEST(many_blocks_are_cleared)
{
	const uint64_t size = UINT64_C(200) << 30;
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	unsigned char byte;

	make_image("vhdx", "base.vhdx", size, NULL, small);
	make_image("vhdx", "a.vhdx", CREATE_NO_SIZE, "base.vhdx", small);
	img = open_image_file("a.vhdx", true, &o);
	ck_assert_ok(view_write(img->states[0]->view, "x", 1, size / 2, &e), &e);
	ck_assert_ok(view_clear(img->states[0]->view, 0, size, &e), &e);
	ck_assert_ok(view_flush(img->states[0]->view, &e), &e);
	ck_assert_ok(view_read(img->states[0]->view, &byte, 1, size / 2, &e), &e);
	ck_assert_uint_eq(byte, 0);
	image_close(img);
	options_free(&o);
}
END_TEST

START_TEST(damaged_images_are_refused)
{
	static const struct vhdx_block same[] = {{STATE_FULL, 0}, {STATE_FULL, 0}};
	static const struct vhdx_block one[] = {{STATE_FULL, 0}};
	struct vhdx_spec spec = {.size = 2 * MIB, .map = same, .nmap = 2};
	struct memory_image v = vhdx_build(&spec);
	unsigned char page[4096] = {0};
	struct vhdx_change change = {.pos = VHDX_LOG_AT + 65536, .page = page};
	struct vhdx_entry entry = {.sequence = 7, .changes = &change, .n = 1};

	write_file("a.vhdx", v.file, v.file_len);
	refuses_writing("a.vhdx", EUCLEAN, "where something else is");
	memory_image_free(&v);

	spec.map = one;
	spec.nmap = 1;
	v = vhdx_build(&spec);
	put_le(v.file + VHDX_BAT_AT + 8, 8, 9 * MIB | STATE_FULL);
	write_file("a.vhdx", v.file, v.file_len);
	refuses_writing("a.vhdx", EUCLEAN, "past the end");
	put_le(v.file + VHDX_BAT_AT + 8, 8, 0);
	vhdx_log(&v, &entry);
	vhdx_set_log(&v, true);
	write_file("a.vhdx", v.file, v.file_len);
	refuses_writing("a.vhdx", EUCLEAN, "or itself");
	memory_image_free(&v);
}
END_TEST

/* Writing to a parent invalidates its child. */
START_TEST(changed_parents)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;

	make_image("vhdx", "base.vhdx", 4 * MIB, NULL, small);
	make_image("vhdx", "a.vhdx", 4 * MIB, "base.vhdx", none);
	img = open_image_file("base.vhdx", true, &o);
	ck_assert_ok(view_write(img->states[0]->view, "x", 1, 0, &e), &e);
	close_image(img, &o);
	o = options_new();
	o.write = true;
	ck_assert_fails(image_open("a.vhdx", &o, &img, &e), EUCLEAN, &e, "made on a parent");
	options_free(&o);
}
END_TEST

/* Freed space is reused, in the same and in later sessions; the file is truncated if it can be. */
START_TEST(freed_space_is_reused)
{
	unsigned char *data = malloc(4 * MIB), buf[512];
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	struct stat st;

	make_image("vhdx", "a.vhdx", 8 * MIB, NULL, small);
	fill_pattern(data, 4 * MIB, 3);
	for (unsigned i = 0; i < 2; i++) {
		img = open_image_file("a.vhdx", true, &o);
		ck_assert_ok(view_write(img->states[0]->view, data, 4 * MIB, 0, &e), &e);
		ck_assert_ok(view_clear(img->states[0]->view, 0, 3 * MIB, &e), &e);
		ck_assert_ok(view_flush(img->states[0]->view, &e), &e);
		ck_assert_ok(view_write(img->states[0]->view, "x", 1, 5 * MIB, &e), &e);
		ck_assert_ok(view_read(img->states[0]->view, buf, 512, 5 * MIB + 512, &e), &e);
		ck_assert(buf[0] == 0 && memcmp(buf, buf + 1, 511) == 0);
		close_image(img, &o);
		ck_assert_int_eq(stat("a.vhdx", &st), 0);
		ck_assert_uint_eq(st.st_size, 8 * MIB);
	}
	img = open_image_file("a.vhdx", true, &o);
	ck_assert_ok(view_clear(img->states[0]->view, 0, 8 * MIB, &e), &e);
	close_image(img, &o);
	ck_assert_int_eq(stat("a.vhdx", &st), 0);
	ck_assert_uint_eq(st.st_size, 4 * MIB);
	free(data);
}
END_TEST

/* More changes than a log entry can hold, until the log has wrapped several times. */
START_TEST(log_wraps)
{
	uint64_t size = UINT64_C(500) << 30, seed = 5;
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	uint64_t offs[700];
	char c;

	make_image("vhdx", "a.vhdx", size, NULL, small);
	make_image("vhdx", "b.vhdx", size, "a.vhdx", none);
	img = open_image_file("b.vhdx", true, &o);
	for (unsigned i = 0; i < COUNT(offs); i++) {
		offs[i] = next_random(&seed) % size;
		c = 'a' + i % 26;
		ck_assert_ok(view_write(img->states[0]->view, &c, 1, offs[i], &e), &e);
	}
	close_image(img, &o);
	img = open_image_file("b.vhdx", false, &o);
	for (unsigned i = 0; i < COUNT(offs); i++) {
		ck_assert_ok(view_read(img->states[0]->view, &c, 1, offs[i], &e), &e);
		ck_assert_int_eq(c, 'a' + i % 26);
	}
	close_image(img, &o);
}
END_TEST

START_TEST(sizes)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct view *v;
	struct image *img;

	make_image("vhdx", "a.vhdx", 4 * MIB, NULL, small);
	img = open_image_file("a.vhdx", true, &o);
	v = img->states[0]->view;
	ck_assert_ok(view_resize(v, 2 * MIB, &e), &e);
	ck_assert_ok(view_write(v, "abcd", 4, 2 * MIB - 512, &e), &e);
	ck_assert_fails(view_resize(v, MIB, &e), EOPNOTSUPP, &e, "beyond the new end");
	ck_assert_fails(view_resize(v, 5 * MIB + 100, &e), EINVAL, &e, "sectors");
	ck_assert_fails(view_resize(v, UINT64_C(65) << 40, &e), EFBIG, &e, "64 TiB");
	ck_assert_ok(view_resize(v, UINT64_C(100) << 30, &e), &e);
	ck_assert_ok(view_resize(v, UINT64_C(64) << 40, &e), &e);
	close_image(img, &o);
}
END_TEST

static void check_passes(struct image *img)
{
	struct check_report report = {0};
	struct err e = ERR_INIT;

	ck_assert_ok(image_check(img, 0, &report, &e), &e);
	ck_assert_uint_eq(report.corruptions + report.leaks + report.check_errors, 0);
}

/* Sizes that need a longer BAT, alone and with a parent; each time the end is written. */
START_TEST(bat_grows)
{
	static const uint64_t ends[] = {
		UINT64_C(200) << 30, UINT64_C(700) << 30, UINT64_C(2) << 40};
	unsigned char *bytes = make_chain(5 * MIB, small), buf[512];
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	struct view *v;

	for (size_t i = 0; i < COUNT(ends); i++) {
		img = open_image_file(_i ? "a.vhdx" : "base.vhdx", true, &o);
		v = img->states[0]->view;
		ck_assert_ok(view_resize(v, ends[i], &e), &e);
		fill_pattern(bytes + i * 4096, 512, 40 + i);
		ck_assert_ok(view_write(v, bytes + i * 4096, 512, i * 4096, &e), &e);
		ck_assert_ok(view_write(v, bytes + i * 4096, 512, ends[i] - 512, &e), &e);
		check_passes(img);
		close_image(img, &o);
		img = open_image_file(_i ? "a.vhdx" : "base.vhdx", false, &o);
		v = img->states[0]->view;
		ck_assert_uint_eq(v->size, ends[i]);
		check_passes(img);
		for (size_t k = 0; k < 5 * MIB; k += sizeof buf) {
			ck_assert_ok(view_read(v, buf, sizeof buf, k, &e), &e);
			ck_assert(memcmp(buf, bytes + k, sizeof buf) == 0);
		}
		for (size_t k = 0; k <= i; k++) {
			ck_assert_ok(view_read(v, buf, sizeof buf, ends[k] - 512, &e), &e);
			ck_assert_mem_eq(buf, bytes + k * 4096, sizeof buf);
		}
		close_image(img, &o);
	}
	free(bytes);
}
END_TEST

START_TEST(creation_is_refused)
{
	static const char *const odd[] = {"block_size=3M", NULL};
	static const char *const log[] = {"log_size=100k", NULL};
	static const char *const sector[] = {"logical_sector_size=1024", NULL};
	struct err e = ERR_INIT;

	ck_assert_fails(try_make_image("vhdx", "a.vhdx", UINT64_C(65) << 40, NULL, none, &e), EFBIG,
		&e, "64");
	ck_assert_fails(
		try_make_image("vhdx", "a.vhdx", MIB, NULL, odd, &e), EINVAL, &e, "power of two");
	ck_assert_fails(
		try_make_image("vhdx", "a.vhdx", MIB, NULL, log, &e), EINVAL, &e, "whole MiB");
	ck_assert_fails(
		try_make_image("vhdx", "a.vhdx", MIB, NULL, sector, &e), EINVAL, &e, "4096");
	make_image("vhdx", "base.vhdx", MIB, NULL, none);
	ck_assert_fails(try_make_image("vhdx", "a.vhdx", MIB, "base.vhdx", small_fixed, &e), EINVAL,
		&e, "fixed");
	ck_assert_fails(try_make_image("vhdx", "a.vhdx", MIB, "base.vhdx", large_sectors, &e),
		EINVAL, &e, "sectors");
	refuses_raw_parent("vhdx", "is raw");
}
END_TEST

Suite *vhdx_write_suite(void)
{
	TCase *tc = tcase_create("vhdx_write");

	tcase_set_timeout(tc, 120);
	use_temp_dir(tc);
	tcase_add_loop_test(tc, random_operations, 0, COUNT(kinds));
	tcase_add_loop_test(tc, random_operations_on_differencing, 0, COUNT(kinds));
	tcase_add_loop_test(tc, power_cuts, 0, 2);
	tcase_add_loop_test(tc, power_cuts_of_growing, 0, 2);
	tcase_add_test(tc, faults);
	tcase_add_test(tc, faults_of_growing);
	tcase_add_test(tc, guids_change_on_writing);
	tcase_add_test(tc, log_is_replayed_on_opening);
	tcase_add_test(tc, many_blocks_are_cleared);
	tcase_add_test(tc, damaged_images_are_refused);
	tcase_add_test(tc, changed_parents);
	tcase_add_test(tc, freed_space_is_reused);
	tcase_add_test(tc, log_wraps);
	tcase_add_test(tc, sizes);
	tcase_add_loop_test(tc, bat_grows, 0, 2);
	tcase_add_test(tc, creation_is_refused);
	return suite_of("vhdx_write", tc);
}
