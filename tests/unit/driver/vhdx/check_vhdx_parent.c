/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Differencing VHDX disks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "build/vhdx.h"
#include "util/err.h"
#include "image/image.h"
#include "open/open.h"
#include "common/test_image.h"
#include "common/unit.h"
#include "view/view.h"

#define ODD_SECTORS  UINT64_C(0xaaaaaaaaaaaaaaaa)
#define SOME_SECTORS UINT64_C(0x00ffff0000018003)

static const struct vhdx_block base[] = {
	{STATE_FULL, 3}, {STATE_NOT, 0}, {STATE_FULL, 0}, {STATE_FULL, 1}, {STATE_FULL, 2}};
static const struct vhdx_block partial[] = {
	{STATE_PARTIAL, 1}, {STATE_FULL, 0}, {STATE_NOT, 0}, {STATE_ZERO, 0}, {STATE_PARTIAL, 2}};

#define ALONE                                                                                      \
	{                                                                                          \
		{"parent_linkage", "{11111111-1111-1111-1111-111111111111}"},                      \
		{                                                                                  \
			"relative_path", "p"                                                       \
		}                                                                                  \
	}

static void put_file(const char *name, const struct memory_image *v)
{
	write_file(name, v->file, v->file_len);
}

/* Writes the parent at path, and child.vhdx; returns the child. */
static struct memory_image put_chain(const struct vhdx_spec *spec, const char *path)
{
	struct vhdx_spec below = {
		.size = spec->size,
		.sector_size = spec->sector_size,
		.map = base,
		.nmap = COUNT(base),
		.data_guid = 0x11,
	};
	struct memory_image parent = vhdx_build(&below), child;
	struct vhdx_spec s = *spec;

	put_file(path, &parent);
	s.below = parent.disk;
	child = vhdx_build(&s);
	put_file("child.vhdx", &child);
	memory_image_free(&parent);
	return child;
}

static void chain_reads(const struct vhdx_spec *spec, const char *path)
{
	struct memory_image child = put_chain(spec, path);
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	ck_assert_ok(image_open("child.vhdx", &o, &img, &e), &e);
	ck_assert_ptr_nonnull(img->parent);
	memory_image_compare(&child, img->states[0]->view);
	image_close(img);
	options_free(&o);
	memory_image_free(&child);
}

static void chain_refuses(const struct vhdx_spec *spec, int code, const char *text)
{
	struct memory_image child = put_chain(spec, "p");
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	ck_assert_fails(image_open("child.vhdx", &o, &img, &e), code, &e, text);
	options_free(&o);
	memory_image_free(&child);
}

static const struct vhdx_spec children[] = {
	{.size = 5 * MIB,
		.map = partial,
		.nmap = 5,
		.differencing = true,
		.sectors = SOME_SECTORS,
		.locator = ALONE},
	{.size = 5 * MIB,
		.map = partial,
		.nmap = 5,
		.differencing = true,
		.sectors = ODD_SECTORS,
		.locator = ALONE},
	{.size = 5 * MIB,
		.map = partial,
		.nmap = 5,
		.differencing = true,
		.sectors = SOME_SECTORS,
		.sector_size = 4096,
		.locator = ALONE},
	{.size = 5 * MIB - 512,
		.map = partial,
		.nmap = 5,
		.differencing = true,
		.sectors = SOME_SECTORS,
		.locator = ALONE},
};

START_TEST(differencing)
{
	chain_reads(&children[_i], "p");
}
END_TEST

#define LINKAGE "{11111111-1111-1111-1111-111111111111}"
#define STRANGE "{99999999-9999-9999-9999-999999999999}"
#define NO_PATH                                                                                    \
	{                                                                                          \
		NULL, NULL                                                                         \
	}

static const struct {
	const char *path;
	const char *keys[3][2];
} names[] = {
	{"p", {{"parent_linkage", LINKAGE}, {"relative_path", ".\\p"}, NO_PATH}},
	{"a/b/p", {{"parent_linkage", LINKAGE}, {"relative_path", "a\\b\\p"}, NO_PATH}},
	{"p", {{"parent_linkage", LINKAGE}, {"absolute_win32_path", "\\\\?\\C:\\d\\p"}, NO_PATH}},
	{"p", {{"parent_linkage", LINKAGE}, {"volume_path", "\\\\?\\Volume{1}\\d\\p"}, NO_PATH}},
	{"p", {{"absolute_win32_path", "p"}, {"parent_linkage", LINKAGE}, {"relative_path", "g"}}},
	{"p", {{"parent_linkage", STRANGE}, {"parent_linkage2", LINKAGE}, {"relative_path", "p"}}},
	{"p", {{"parent_linkage", LINKAGE}, {"some_other_key", "x"}, {"relative_path", "p"}}},
	/* the parent was renamed, has another case, or has no name in the child */
	{"new.vhdx", {{"parent_linkage", LINKAGE}, {"relative_path", "old.vhdx"}, NO_PATH}},
	{"BASE.avhdx", {{"parent_linkage", LINKAGE}, {"relative_path", "base.AVHDX"}, NO_PATH}},
	{"new.vhdx", {{"parent_linkage", STRANGE}, {"parent_linkage2", LINKAGE}, NO_PATH}},
};

START_TEST(locators)
{
	struct vhdx_spec spec = children[0];

	memset(spec.locator, 0, sizeof spec.locator);
	for (int i = 0; i < 3; i++) {
		spec.locator[i].key = names[_i].keys[i][0];
		spec.locator[i].value = names[_i].keys[i][1];
	}
	chain_reads(&spec, names[_i].path);
}
END_TEST

static const struct {
	const char *key, *value, *path;
	int code;
	const char *text;
} wrong[] = {
	{"parent_linkage", STRANGE, "p", EUCLEAN, "99999999-9999-9999-9999-999999999999, but"},
	{"Parent_Linkage", LINKAGE, "p", EUCLEAN, "no GUID as parent_linkage"},
	{"parent_linkage", "11111111-1111-1111-1111-111111111111", "p", EUCLEAN, "no GUID"},
	{"parent_linkage", "", "p", EUCLEAN, "no GUID"},
	{"parent_linkage", "{gggggggg-gggg-gggg-gggg-gggggggggggg}", "", EUCLEAN, "no path"},
	{"parent_linkage", LINKAGE, "gone", ENOENT, "\"gone\""},
	{"parent_linkage", LINKAGE, "..\\..\\..\\etc\\passwd", EACCES, "outside"},
	{"parent_linkage", LINKAGE, "child.vhdx", ELOOP, "loops"},
};

START_TEST(wrong_parents)
{
	struct vhdx_spec spec = children[0];

	spec.locator[0].key = wrong[_i].key;
	spec.locator[0].value = wrong[_i].value;
	spec.locator[1].value = wrong[_i].path;
	chain_refuses(&spec, wrong[_i].code, wrong[_i].text);
}
END_TEST

START_TEST(sectors_of_the_parent)
{
	struct memory_image child = put_chain(&children[0], "unused");
	struct vhdx_spec below = {.size = 5 * MIB, .sector_size = 4096, .data_guid = 0x11};
	struct memory_image parent = vhdx_build(&below);
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	put_file("p", &parent);
	ck_assert_fails(image_open("child.vhdx", &o, &img, &e), EUCLEAN, &e,
		"sectors of 512 bytes on a parent with 4096");
	options_free(&o);
	memory_image_free(&parent);
	memory_image_free(&child);
}
END_TEST

/* Damage to the sector bitmap of a partially present block. */
START_TEST(bad_bitmaps)
{
	static const struct {
		uint64_t entry;
		int code;
		const char *part;
	} bad[] = {
		{0, EUCLEAN, "no sector bitmap"},
		{VHDX_DATA_AT | 7, EUCLEAN, "no sector bitmap"},
		{6, EUCLEAN, "where the header is"},
		{2 * MIB | 6, EUCLEAN, "where the BAT is"},
		{100 * MIB | 6, EIO, "passes the end of the file"},
	};
	struct memory_image child = put_chain(&children[0], "p");
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	put_le(child.file + VHDX_BAT_AT + 8 * 4096, 8, bad[_i].entry);
	put_file("child.vhdx", &child);
	ck_assert_ok(image_open("child.vhdx", &o, &img, &e), &e);
	subject_fails(img->states[0]->view, 0, bad[_i].code, bad[_i].part);
	subject_fails(img->states[0]->view, 5 * MIB - 1, bad[_i].code, "block 4: ");
	subject_maps(img->states[0]->view, MIB, EXTENT_FILE, MIB);
	image_close(img);
	options_free(&o);
	memory_image_free(&child);
}
END_TEST

Suite *vhdx_parent_suite(void)
{
	TCase *tc = tcase_create("vhdx parent");

	use_temp_dir(tc);
	tcase_add_loop_test(tc, differencing, 0, COUNT(children));
	tcase_add_loop_test(tc, locators, 0, COUNT(names));
	tcase_add_loop_test(tc, wrong_parents, 0, COUNT(wrong));
	tcase_add_test(tc, sectors_of_the_parent);
	tcase_add_loop_test(tc, bad_bitmaps, 0, 5);
	return suite_of("vhdx_parent", tc);
}
