/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing and creating VHD images. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build/vhd.h"
#include "util/bytes.h"
#include "image/check.h"
#include "util/err.h"
#include "image/image.h"
#include "open/open.h"
#include "io/io.h"
#include "common/random_model.h"
#include "common/power_cut.h"
#include "common/unit.h"
#include "view/view.h"

#define MB (UINT64_C(1) << 20)

static const char *const fixed[] = {"subformat=fixed", NULL};
static const char *const small_blocks[] = {"block_size=512k", NULL};
static const char *const none[] = {NULL};

static const struct {
	const char *const *options;
	uint64_t size;
} kinds[] = {
	{none, 5 * MB + 512},
	{none, 9 * MB},
	{small_blocks, 5 * MB + 1536},
	{fixed, 5 * MB + 1536},
};

START_TEST(random_operations)
{
	struct model m = {
		.path = "a.vhd",
		.seed = 1 + _i,
		.size_max = 80 * MB,
		.shrinks = kinds[_i].options == fixed,
		.qemu_format = "vpc",
	};

	make_image("vpc", m.path, kinds[_i].size, NULL, kinds[_i].options);
	model_run(&m);
}
END_TEST

START_TEST(random_operations_on_differencing)
{
	unsigned char *bytes =
		make_full_image("vpc", "base.vhd", kinds[_i].size, kinds[_i].options);
	struct model m = {.path = "a.vhd", .seed = 11 + _i, .before = bytes};

	make_image("vpc", m.path, kinds[_i].size, "base.vhd", none);
	model_run(&m);
	free(bytes);
}
END_TEST

/* Sectors of blocks whose sector bitmap has clear bits, as other programs leave them. */
START_TEST(random_operations_with_clear_bits)
{
	static const uint32_t map[] = {3, VHD_ABSENT, 0, 1, VHD_ABSENT, VHD_ABSENT, 2};
	struct vhd_spec spec = {
		.type = 3,
		.size = 7 * 65536,
		.block_size = 65536,
		.map = map,
		.nmap = COUNT(map),
		.sectors = UINT64_C(0x00ffff0000018003),
		.footer_len = _i ? 511 : 512,
	};
	struct memory_image v = vhd_build(&spec);
	struct model m = {.path = "a.vhd", .seed = 21 + _i, .before = v.disk};

	write_file("a.vhd", v.file, v.file_len);
	model_run(&m);
	memory_image_free(&v);
}
END_TEST

/* Small images, for many tests of power cuts: without blocks; with blocks whose sector bitmap is
 * clear; fixed. */
static void make_small(const char *path, int kind)
{
	static const uint32_t map[] = {2, VHD_ABSENT, 0, VHD_ABSENT, 1};
	struct vhd_spec spec = {
		.type = kind == 2 ? 2 : 3,
		.size = 700 * 512,
		.block_size = 65536,
		.map = map,
		.nmap = kind == 1 ? COUNT(map) : 0,
	};
	struct memory_image v = vhd_build(&spec);

	if (kind == 2)
		memset(v.file, 0, spec.size);
	for (size_t i = 0; kind == 1 && i < COUNT(map); i++)
		if (map[i] != VHD_ABSENT)
			memset(v.file + load_be32(v.file + VHD_HEAD + 4 * i) * 512, 0, 512);
	write_file(path, v.file, v.file_len);
	memory_image_free(&v);
}

START_TEST(power_cuts)
{
	struct power p = {.path = "a.vhd", .format = "vpc", .seed = 31 + _i};

	make_small(p.path, _i);
	power_run(&p);
}
END_TEST

START_TEST(faults)
{
	struct power p = {.path = "a.vhd", .format = "vpc", .seed = 41 + _i};

	make_small(p.path, _i);
	power_faults(&p);
}
END_TEST

static uint64_t size_of(const char *path)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_size;
}

/* Asserts that the footer is at the end of the file and equal to its copy. */
static void check_footers(const char *path)
{
	unsigned char first[512], last[512];
	FILE *f = fopen(path, "rb");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fread(first, 1, 512, f), 512);
	ck_assert_int_eq(fseek(f, -512, SEEK_END), 0);
	ck_assert_uint_eq(fread(last, 1, 512, f), 512);
	fclose(f);
	ck_assert_mem_eq(first, "conectix", 8);
	ck_assert_mem_eq(first, last, 512);
}

START_TEST(new_blocks_are_aligned)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;

	make_image("vpc", "a.vhd", 100 * MB, NULL, none);
	ck_assert_uint_eq(size_of("a.vhd"), 2048 + 512);
	img = open_image_file("a.vhd", true, &o);
	ck_assert_ok(view_write(img->states[0]->view, "x", 1, 90 * MB, &e), &e);
	ck_assert_ok(view_write(img->states[0]->view, "y", 1, 9 * MB, &e), &e);
	ck_assert_ok(image_finish(img, &e), &e);
	ck_assert_uint_eq(size_of("a.vhd"), 2 * (4096 + 2 * MB) + 512);
	image_close(img);
	options_free(&o);
	check_footers("a.vhd");
}
END_TEST

/* Data beyond the old end of a disk does not reappear when it grows. */
START_TEST(grown_disk_reads_zeroes)
{
	static const uint32_t map[] = {0};
	struct vhd_spec spec = {
		.type = 3, .size = 1024, .block_size = 65536, .map = map, .nmap = 1};
	struct memory_image v = vhd_build(&spec);
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	unsigned char buf[4];

	write_file("a.vhd", v.file, v.file_len);
	img = open_image_file("a.vhd", true, &o);
	ck_assert_ok(view_resize(img->states[0]->view, 200 * 65536, &e), &e);
	ck_assert_ok(view_read(img->states[0]->view, buf, 4, 1024, &e), &e);
	ck_assert_mem_eq(buf, "\0\0\0\0", 4);
	ck_assert_ok(view_write(img->states[0]->view, "abcd", 4, 199 * 65536, &e), &e);
	ck_assert_fails(
		view_resize(img->states[0]->view, 512, &e), EOPNOTSUPP, &e, "beyond the new end");
	ck_assert_fails(view_resize(img->states[0]->view, 1000, &e), EINVAL, &e, "sectors");
	ck_assert_fails(
		view_resize(img->states[0]->view, UINT64_C(2041) << 30, &e), EFBIG, &e, "2040 GiB");
	image_close(img);
	options_free(&o);
	check_footers("a.vhd");
	img = open_image_file("a.vhd", true, &o);
	ck_assert_ok(view_read(img->states[0]->view, buf, 4, 199 * 65536, &e), &e);
	ck_assert_mem_eq(buf, "abcd", 4);
	image_close(img);
	options_free(&o);
	memory_image_free(&v);
}
END_TEST

/* Some programs use the original size, others the current size. */
START_TEST(both_sizes_are_set)
{
	static const uint64_t sizes[] = {9 * MB, 300 * MB, 4 * MB};
	unsigned char last[512];
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;

	make_image("vpc", "a.vhd", 5 * MB, NULL, _i ? fixed : none);
	img = open_image_file("a.vhd", true, &o);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		FILE *f;

		ck_assert_ok(view_resize(img->states[0]->view, sizes[i], &e), &e);
		f = fopen("a.vhd", "rb");
		ck_assert_ptr_nonnull(f);
		ck_assert_int_eq(fseek(f, -512, SEEK_END), 0);
		ck_assert_uint_eq(fread(last, 1, 512, f), 512);
		fclose(f);
		ck_assert_uint_eq(load_be64(last + 40), sizes[i]);
		ck_assert_uint_eq(load_be64(last + 48), sizes[i]);
	}
	image_close(img);
	options_free(&o);
}
END_TEST

static void refused(const struct memory_image *v, int code, const char *part)
{
	write_file("bad.vhd", v->file, v->file_len);
	refuses_writing("bad.vhd", code, part);
}

START_TEST(damaged_images_are_refused)
{
	static const uint32_t map[] = {1, 0};
	struct vhd_spec spec = {
		.type = 3, .size = 2 * 65536, .block_size = 65536, .map = map, .nmap = 2};
	struct memory_image v = vhd_build(&spec);
	unsigned char *bat = v.file + VHD_HEAD, was[4];

	memcpy(was, bat, 4);
	memcpy(bat, bat + 4, 4);
	refused(&v, EUCLEAN, "overlap at");
	put_be(bat, 4, load_be32(was) + 1);
	refused(&v, EUCLEAN, "passes the end");
	memcpy(bat, was, 4);
	v.file[512 + 36] ^= 1;
	refused(&v, EOPNOTSUPP, "checksum of its header");
	memory_image_free(&v);
}
END_TEST

/* Images with structures that overlap: a write to one would change the other. */
START_TEST(structures_that_overlap)
{
	static const struct {
		size_t pos; /* position of the field that is changed */
		unsigned width;
		uint64_t value;
		const char *text;
		bool of_footer; /* the field is in the footer, otherwise in the header or the BAT */
	} cases[] = {
		{VHD_HEAD, 4, 0, "and the copy of the footer overlap", false},
		{VHD_HEAD, 4, 1, "and the header overlap", false},
		{VHD_HEAD, 4, 3, "and the BAT overlap", false},
		{VHD_HEAD, 4, 4, "and a parent locator overlap", false},
		{512 + 28, 4, 4096, "and the BAT overlap", false}, /* BAT entries */
		{16, 8, 256, "the copy of the footer, 512 bytes at 0, and the header", true},
		{512 + 576 + 16, 8, 600, "the parent locator at 600 and the header overlap", false},
		{512 + 576 + 16, 8, 1600, "the parent locator at 1600 and the BAT overlap", false},
	};
	static const uint32_t map[] = {1, 0};
	struct vhd_spec spec = {.type = VHD_BUILD_DIFFERENCING,
		.size = 2 * 65536,
		.block_size = 65536,
		.map = map,
		.nmap = 2,
		.parent_id = 9,
		.parent_name = "base.vhd",
		.locators = {{"W2ru", "base.vhd"}}};
	struct memory_image v = vhd_build(&spec);
	struct check_report report = {0};
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	put_be(v.file + cases[_i].pos, cases[_i].width, cases[_i].value);
	if (cases[_i].of_footer) {
		memmove(v.file + 256, v.file + 512, 1024);
		vhd_seal_footer(v.file);
		memcpy(vhd_footer(&v), v.file, 512);
	} else {
		vhd_seal_header(&v);
	}
	write_file("bad.vhd", v.file, v.file_len);
	o.nobacking = true;
	ck_assert_ok(image_open("bad.vhd", &o, &img, &e), &e);
	ck_assert_ok(image_check(img, 0, &report, &e), &e);
	ck_assert_uint_gt(report.corruptions, 0);
	image_close(img);
	o.write = true;
	ck_assert_fails(image_open("bad.vhd", &o, &img, &e), EUCLEAN, &e, cases[_i].text);
	options_free(&o);
	memory_image_free(&v);
}
END_TEST

START_TEST(missing_footers_are_restored)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;

	make_image("vpc", "a.vhd", 100 * MB, NULL, none);
	ck_assert_int_eq(truncate("a.vhd", 2048), 0);
	img = open_image_file("a.vhd", true, &o);
	ck_assert_ok(view_write(img->states[0]->view, "x", 1, 0, &e), &e);
	image_close(img);
	options_free(&o);
	check_footers("a.vhd");
}
END_TEST

/* The guest has written a footer, which is at the end of the file after a crash. */
START_TEST(false_footers)
{
	static const uint32_t map[] = {0};
	struct vhd_spec spec = {
		.type = 3, .size = 65536, .block_size = 65536, .map = map, .nmap = 1, .id = 1};
	struct memory_image v = vhd_build(&spec);
	struct image_options o = options_new();
	unsigned char *last = vhd_footer(&v) - 512;
	struct err e = ERR_INIT;
	struct image *img;

	memcpy(last, v.file, 512);
	put_be(last + 48, 8, 512);
	last[70] ^= 1;
	vhd_seal_footer(last);
	ck_assert_ok(
		image_open_io(io_from_memory(v.file, v.file_len - 512, "x.vhd", &e), &o, &img, &e),
		&e);
	ck_assert_uint_eq(img->states[0]->view->size, 65536);
	image_close(img);
	options_free(&o);
	memory_image_free(&v);
}
END_TEST

START_TEST(creation_is_refused)
{
	static const char *const odd[] = {"block_size=768k", NULL};
	struct err e = ERR_INIT;

	ck_assert_fails(try_make_image("vpc", "a.vhd", UINT64_C(2041) << 30, NULL, none, &e), EFBIG,
		&e, "2040");
	ck_assert_fails(try_make_image("vpc", "a.vhd", MB, NULL, odd, &e), EINVAL, &e, "512k");
	make_image("vpc", "base.vhd", MB, NULL, none);
	ck_assert_fails(try_make_image("vpc", "a.vhd", 2 * MB, "base.vhd", none, &e), EINVAL, &e,
		"as long");
	ck_assert_fails(
		try_make_image("vpc", "a.vhd", MB, "base.vhd", fixed, &e), EINVAL, &e, "fixed");
	refuses_raw_parent("vpc", "is raw");
}
END_TEST

/* The sizes that qemu-img rounds to without force_size. */
START_TEST(sizes_of_geometries)
{
	static const char *const free_size[] = {"force_size=off", NULL};
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	make_image("vpc", "a.vhd", 10 * MB, NULL, free_size);
	ck_assert_ok(image_open("a.vhd", &o, &img, &e), &e);
	ck_assert_uint_eq(img->states[0]->view->size, 10514432);
	image_close(img);
	options_free(&o);
}
END_TEST

Suite *vhd_write_suite(void)
{
	TCase *tc = tcase_create("vhd_write");

	tcase_set_timeout(tc, 120);
	use_temp_dir(tc);
	tcase_add_loop_test(tc, random_operations, 0, COUNT(kinds));
	tcase_add_loop_test(tc, random_operations_on_differencing, 0, 3);
	tcase_add_loop_test(tc, random_operations_with_clear_bits, 0, 2);
	tcase_add_loop_test(tc, power_cuts, 0, 3);
	tcase_add_loop_test(tc, faults, 0, 3);
	tcase_add_test(tc, new_blocks_are_aligned);
	tcase_add_test(tc, grown_disk_reads_zeroes);
	tcase_add_loop_test(tc, both_sizes_are_set, 0, 2);
	tcase_add_test(tc, damaged_images_are_refused);
	tcase_add_loop_test(tc, structures_that_overlap, 0, 8);
	tcase_add_test(tc, missing_footers_are_restored);
	tcase_add_test(tc, false_footers);
	tcase_add_test(tc, creation_is_refused);
	tcase_add_test(tc, sizes_of_geometries);
	return suite_of("vhd_write", tc);
}
