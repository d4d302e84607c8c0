/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "open/create.h"
#include "util/err.h"
#include "image/format.h"
#include "open/registry.h"
#include "common/power_cut_create.h"
#include "common/unit.h"
#include "view/view.h"
#include "open/open.h"

static int make(const char *path, const struct create_request *r, struct err *e)
{
	return image_create(registry_find("raw"), path, r, e);
}

START_TEST(raw_has_its_size)
{
	struct image_options o = options_new();
	struct create_request r = {.size = 12345, .how = &o};
	struct err e = ERR_INIT;
	struct stat st;

	ck_assert_ok(make("a.raw", &r, &e), &e);
	ck_assert_int_eq(stat("a.raw", &st), 0);
	ck_assert_int_eq(st.st_size, 12345);
	ck_assert_int_eq(st.st_blocks, 0);
	options_free(&o);
}
END_TEST

START_TEST(preallocated)
{
	static const char *const words[] = {"preallocation=falloc", "preallocation=full"};
	struct err e = ERR_INIT;
	struct stat st;

	for (size_t i = 0; i < COUNT(words); i++) {
		const char *options[] = {words[i], NULL};
		struct create_request r = {.size = 1 << 20, .options = options, .replace = true};

		ck_assert_ok(make("a.raw", &r, &e), &e);
		ck_assert_int_eq(stat("a.raw", &st), 0);
		ck_assert_int_eq(st.st_size, 1 << 20);
		ck_assert_int_ge(st.st_blocks, (1 << 20) / 512);
	}
}
END_TEST

START_TEST(options_are_checked)
{
	static const struct {
		const char *word, *text;
	} bad[] = {
		{"cluster_size=64k", "Invalid parameter 'cluster_size'"},
		{"preallocation=lots", "Parameter 'preallocation' does not accept"},
		{"preallocation", "Parameter 'preallocation' does not accept"},
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		const char *options[] = {bad[i].word, NULL};
		struct create_request r = {.size = 512, .options = options};
		struct err e = ERR_INIT;

		ck_assert_fails(make("a.raw", &r, &e), EINVAL, &e, bad[i].text);
		ck_assert_int_ne(access("a.raw", F_OK), 0);
	}
}
END_TEST

START_TEST(existing_file_needs_the_option)
{
	struct create_request r = {.size = 512};
	struct err e = ERR_INIT;

	write_text("a.raw", "precious");
	ck_assert_fails(make("a.raw", &r, &e), EEXIST, &e, "a.raw: File exists");
	ck_assert_int_eq(access("a.raw", F_OK), 0);
	r.replace = true;
	ck_assert_ok(make("a.raw", &r, &e), &e);
}
END_TEST

START_TEST(file_in_use_is_not_replaced)
{
	struct image_options o = options_new();
	struct create_request r = {.size = 512, .replace = true};
	struct err e = ERR_INIT;
	struct image *img;
	struct stat st;

	write_text("a.raw", "precious");
	o.format = "raw";
	ck_assert_ok(image_open("a.raw", &o, &img, &e), &e);
	ck_assert_fails(make("a.raw", &r, &e), EBUSY, &e, "a.raw: in use");
	ck_assert_int_eq(stat("a.raw", &st), 0);
	ck_assert_int_eq(st.st_size, 8);
	image_close(img);
	options_free(&o);
}
END_TEST

START_TEST(sizes_are_required_and_limited)
{
	struct create_request r = {.size = CREATE_NO_SIZE};
	struct err e = ERR_INIT;

	ck_assert_fails(make("a.raw", &r, &e), EINVAL, &e, "needs a size");
	r.size = UINT64_C(1) << 63;
	ck_assert_fails(make("a.raw", &r, &e), EFBIG, &e, "too large");
	r.size = 512;
	r.backing = "b.raw";
	ck_assert_fails(make("a.raw", &r, &e), ENOTSUP, &e, "Backing file not supported");
}
END_TEST

/* Every layout of every format that can be created. */
static const struct {
	const char *format;
	const char *words[2];
} kinds[] = {
	{"raw", {NULL}},
	{"raw", {"preallocation=full", NULL}},
	{"qcow2", {NULL}},
	{"qcow2", {"cluster_size=512", NULL}},
	{"qcow2", {"compat=0.10", NULL}},
	{"qcow2", {"extended_l2=on", NULL}},
	{"qcow2", {"lazy_refcounts=on", NULL}},
	{"qcow2", {"preallocation=metadata", NULL}},
	{"vmdk", {NULL}},
	{"vmdk", {"subformat=streamOptimized", NULL}},
	{"vdi", {NULL}},
	{"vdi", {"static=on", NULL}},
	{"vpc", {NULL}},
	{"vpc", {"subformat=fixed", NULL}},
	{"vhdx", {NULL}},
	{"vhdx", {"subformat=fixed", NULL}},
};

/* _i: a layout, in an empty file or in place of another empty image. */
START_TEST(power_cuts)
{
	int kind = _i / 2, replaced = _i % 2;
	struct power_create p = {
		.format = kinds[kind].format,
		.options = kinds[kind].words,
		.size = 300 << 10,
		.old_options = replaced ? (const char *const[]){NULL} : NULL,
		.old_size = replaced ? 4096 : 0,
		.seed = 1 + _i,
	};

	power_create(&p);
}
END_TEST

Suite *create_suite(void)
{
	TCase *tc = tcase_create("create");

	tcase_set_timeout(tc, 120);
	use_temp_dir(tc);
	tcase_add_test(tc, raw_has_its_size);
	tcase_add_test(tc, preallocated);
	tcase_add_test(tc, options_are_checked);
	tcase_add_test(tc, existing_file_needs_the_option);
	tcase_add_test(tc, file_in_use_is_not_replaced);
	tcase_add_test(tc, sizes_are_required_and_limited);
	tcase_add_loop_test(tc, power_cuts, 0, 2 * COUNT(kinds));
	return suite_of("create", tc);
}
