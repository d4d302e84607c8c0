/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Differencing VHDs, and the search for a parent by its names and ID. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build/vhd.h"
#include "util/err.h"
#include "image/image.h"
#include "open/open.h"
#include "common/unit.h"
#include "view/view.h"

#define BLOCKS 7

static const uint32_t parent_map[BLOCKS] = {0, 1, VHD_ABSENT, 2, VHD_ABSENT, 3, 4};
static const uint32_t child_map[BLOCKS] = {VHD_ABSENT, 0, VHD_ABSENT, VHD_ABSENT, 1, VHD_ABSENT, 2};

static const struct vhd_spec parent_spec = {
	.type = 3,
	.size = BLOCKS * 4096,
	.block_size = 4096,
	.map = parent_map,
	.nmap = BLOCKS,
	.id = 0x11,
	.stamp = 1000,
};

static const struct vhd_spec child_spec = {
	.type = 4,
	.size = BLOCKS * 4096,
	.block_size = 4096,
	.map = child_map,
	.nmap = BLOCKS,
	.sectors = 0xc1,
	.id = 0x22,
	.parent_id = 0x11,
};

static void put_parent(const char *name, unsigned char id)
{
	struct vhd_spec spec = parent_spec;
	struct memory_image v;

	spec.id = id;
	v = vhd_build(&spec);
	write_file(name, v.file, v.file_len);
	memory_image_free(&v);
}

/* Writes child.vhd; returns the expected contents of the disk. */
static unsigned char *put_child(const struct vhd_spec *spec)
{
	struct memory_image parent = vhd_build(&parent_spec), child;
	struct vhd_spec s = *spec;
	unsigned char *disk;

	s.below = parent.disk;
	child = vhd_build(&s);
	write_file("child.vhd", child.file, child.file_len);
	disk = child.disk;
	free(child.file);
	memory_image_free(&parent);
	return disk;
}

static unsigned nwarnings;

static void count_warning(void *arg, const char *text)
{
	(void)arg;
	(void)text;
	nwarnings++;
}

static int open_child(struct image_options *o, struct image **img, struct err *e)
{
	nwarnings = 0;
	o->warn = count_warning;
	return image_open("child.vhd", o, img, e);
}

static void reads(struct image_options *o, const unsigned char *disk)
{
	unsigned char buf[BLOCKS * 4096];
	struct err e = ERR_INIT;
	struct image *img;

	ck_assert_ok(open_child(o, &img, &e), &e);
	ck_assert_ptr_nonnull(img->parent);
	ck_assert_ok(view_read(img->states[0]->view, buf, sizeof buf, 0, &e), &e);
	ck_assert_mem_eq(buf, disk, sizeof buf);
	image_close(img);
}

static void refuses(struct image_options *o, int code, const char *text)
{
	struct err e = ERR_INIT;
	struct image *img;

	ck_assert_fails(open_child(o, &img, &e), code, &e, text);
}

/* All kinds of parent names. */
static const struct {
	const char *path, *name, *code, *text;
} names[] = {
	{"base.vhd", "base.vhd", NULL, NULL},
	{"base.vhd", NULL, "W2ru", "base.vhd"},
	{"base.vhd", NULL, "W2ru", ".\\base.vhd"},
	{"sub/dir/base.vhd", NULL, "W2ru", ".\\sub\\dir\\base.vhd"},
	{"sub/base.vhd", NULL, "W2ku", "sub\\base.vhd"},
	{"sub/b.vhd", NULL, "MacX", "file://./sub/b.vhd"},
	{"a b%.vhd", NULL, "MacX", "file://./a%20b%25.vhd"},
	/* paths of another host */
	{"base.vhd", "C:\\disks\\base.vhd", NULL, NULL},
	{"base.vhd", NULL, "W2ku", "\\\\server\\share\\base.vhd"},
	{"base.vhd", NULL, "W2ru", "old\\base.vhd"},
	{"base.vhd", NULL, "MacX", "file:///Volumes/old/base.vhd"},
	{"base.vhd", NULL, "MacX", "file://localhost/old/base.vhd"},
	/* the first name does not exist, the second does */
	{"sub/base.vhd", "sub\\base.vhd", "W2ru", "gone.vhd"},
	/* URLs without a host, with a directory as the host, not percent-encoded */
	{"base.vhd", NULL, "MacX", "file://base.vhd"},
	{"sub/base.vhd", NULL, "MacX", "file://sub/base.vhd"},
	{"sub/b.vhd", NULL, "MacX", "FILE:./sub/b.vhd"},
	{"sub/b.vhd", NULL, "MacX", "sub/b.vhd"},
	{"a%20b.vhd", NULL, "MacX", "file://./a%20b.vhd"},
	{"base.vhd", NULL, "MacX", "file:///C:/disks/base.vhd"},
	{"sub/base.vhd", NULL, "Wi2r", ".\\sub\\base.vhd"},
	{"sub/base.vhd", NULL, "Wi2k", "sub/base.vhd"},
	/* the parent was renamed, has another case, or has no name in the child */
	{"new name.vhd", "base.vhd", "W2ru", ".\\base.vhd"},
	{"BASE.VHD", NULL, "W2ru", ".\\base.vhd"},
	{"Snapshots/x.avhd", "C:\\disks\\base.vhd", NULL, NULL},
	{"base.vhd", NULL, NULL, NULL},
};

START_TEST(names_lead_to_the_parent)
{
	struct image_options o = options_new();
	struct vhd_spec spec = child_spec;
	unsigned char *disk;

	spec.parent_name = names[_i].name;
	spec.locators[0].code = names[_i].code;
	spec.locators[0].text = names[_i].text;
	put_parent(names[_i].path, 0x11);
	disk = put_child(&spec);
	reads(&o, disk);
	free(disk);
	options_free(&o);
}
END_TEST

/* A name may belong to another disk: its ID differs, and the next name is tried. */
START_TEST(parent_id_must_match)
{
	struct image_options o = options_new();
	struct vhd_spec spec = child_spec;
	unsigned char *disk;

	spec.parent_name = "right.vhd";
	spec.locators[0].code = "W2ru";
	spec.locators[0].text = "wrong.vhd";
	spec.locators[1].code = "W2ku";
	spec.locators[1].text = "child.vhd";
	put_parent("wrong.vhd", 0x33);
	put_parent("right.vhd", 0x11);
	disk = put_child(&spec);
	reads(&o, disk);

	unlink("right.vhd");
	refuses(&o, EUCLEAN, "made on the disk 11111111-1111-1111-1111-111111111111, but /");
	o.ignore_parent_id = true;
	put_parent("wrong.vhd", 0x33);
	reads(&o, disk);
	free(disk);
	options_free(&o);
}
END_TEST

START_TEST(a_missing_parent)
{
	struct image_options o = options_new();
	struct vhd_spec spec = child_spec;
	struct err e = ERR_INIT;
	struct image *img;

	spec.parent_name = "C:\\far\\away.vhd";
	free(put_child(&spec));
	ck_assert_fails(open_child(&o, &img, &e), ENOENT, &e, "\"C:/far/away.vhd\"");
	ck_assert_ptr_nonnull(strstr(hint_of(&e), "-o search="));
	options_free(&o);
}
END_TEST

/* With nobacking, sectors of the parent cannot be read, those of the child can. */
START_TEST(with_nobacking)
{
	struct image_options o = options_new();
	struct vhd_spec spec = child_spec;
	struct err e = ERR_INIT;
	unsigned char buf[512], *disk;
	struct image *img;

	spec.parent_name = "base.vhd";
	o.nobacking = true;
	disk = put_child(&spec);
	ck_assert_ok(open_child(&o, &img, &e), &e);
	ck_assert_ok(view_read(img->states[0]->view, buf, 512, 4096, &e), &e);
	ck_assert_mem_eq(buf, disk + 4096, 512);
	ck_assert_fails(
		view_read(img->states[0]->view, buf, 512, 4096 + 512, &e), EIO, &e, "left closed");
	ck_assert_fails(view_read(img->states[0]->view, buf, 512, 0, &e), EIO, &e, "left closed");
	image_close(img);
	free(disk);
	options_free(&o);
}
END_TEST

START_TEST(search_finds_a_moved_parent)
{
	static const char *search[] = {"elsewhere", NULL};
	struct image_options o = options_new();
	struct vhd_spec spec = child_spec;
	unsigned char *disk;

	spec.parent_name = "C:\\disks\\base.vhd";
	put_parent("elsewhere/base.vhd", 0x11);
	disk = put_child(&spec);
	refuses(&o, ENOENT, "base.vhd");
	o.search = search;
	reads(&o, disk);
	put_parent("elsewhere/base.vhd", 0x44);
	refuses(&o, EUCLEAN, "44444444-4444");
	free(disk);
	options_free(&o);
}
END_TEST

/* No form of a name leads out of the directory. */
static const struct {
	const char *code, *text;
} outside[] = {
	{"W2ru", "..\\base.vhd"},
	{"W2ru", "sub\\..\\..\\base.vhd"},
	{"W2ru", "../base.vhd"},
	{"W2ru", ".\\out.vhd"},
	{"W2ku", "..\\base.vhd"},
	{"MacX", "file://../base.vhd"},
	{"MacX", "file://./../base.vhd"},
	{"Wi2r", "..\\base.vhd"},
};

START_TEST(names_outside_are_refused)
{
	static const char *const allow[] = {"..", NULL};
	struct image_options o = options_new();
	struct vhd_spec spec = child_spec;
	unsigned char *disk;

	put_parent("base.vhd", 0x11);
	ck_assert_int_eq(mkdir("inner", 0700), 0);
	ck_assert_int_eq(chdir("inner"), 0);
	ck_assert_int_eq(mkdir("sub", 0700), 0);
	ck_assert_int_eq(symlink("../base.vhd", "out.vhd"), 0);
	spec.locators[0].code = outside[_i].code;
	spec.locators[0].text = outside[_i].text;
	disk = put_child(&spec);
	refuses(&o, EACCES, "outside");
	o.allow = allow;
	reads(&o, disk);
	free(disk);
	options_free(&o);
}
END_TEST

START_TEST(loops)
{
	struct image_options o = options_new();
	struct vhd_spec spec = child_spec;

	spec.parent_name = "child.vhd";
	spec.parent_id = spec.id;
	free(put_child(&spec));
	refuses(&o, ELOOP, "loops");
	options_free(&o);
}
END_TEST

START_TEST(no_parent_name)
{
	struct image_options o = options_new();
	struct vhd_spec spec = child_spec;

	free(put_child(&spec));
	put_parent("stranger.vhd", 0x33);
	refuses(&o, ENOENT, "its parent {11111111-1111-1111-1111-111111111111} was not found");
	spec.parent_id = 0;
	free(put_child(&spec));
	refuses(&o, EUCLEAN, "without the name of a parent");
	options_free(&o);
}
END_TEST

/* A disk with another ID does not end the search, neither in the directories of the user nor below
 * them. */
START_TEST(search_finds_the_id)
{
	static const char *const dirs[] = {"elsewhere", NULL};
	struct image_options o = options_new();
	struct vhd_spec spec = child_spec;
	unsigned char *disk;

	spec.parent_name = "base.vhd";
	disk = put_child(&spec);
	put_parent("base.vhd", 0x33);
	put_parent(_i % 2 ? "elsewhere/new.vhd" : "elsewhere/d/e/new.vhd", 0x11);
	refuses(&o, EUCLEAN, "made on the disk");
	if (_i < 2)
		o.search = dirs;
	else
		o.allow = dirs;
	reads(&o, disk);
	free(disk);
	options_free(&o);
}
END_TEST

/* Xen's children of raw disks have no parent ID, so the name is sufficient. */
START_TEST(raw_parents)
{
	static const char *const search[] = {"away", NULL};
	struct memory_image parent = vhd_build(&parent_spec);
	struct image_options o = options_new();
	struct vhd_spec spec = child_spec;
	unsigned char *disk;

	spec.parent_id = 0;
	spec.locators[0].code = "MacX";
	spec.locators[0].text = "file:///dev/VG_Xen/base";
	disk = put_child(&spec);
	write_file("base", parent.disk, parent.disk_len);
	refuses(&o, EACCES, "outside");
	write_file("away/base", parent.disk, parent.disk_len);
	o.search = search;
	reads(&o, disk);
	o.search = NULL;
	spec.locators[0].text = "file://./base";
	free(put_child(&spec));
	reads(&o, disk);
	write_file("base", parent.file, parent.file_len);
	refuses(&o, EUCLEAN, "stands for a raw disk, but");
	memory_image_free(&parent);
	free(disk);
	options_free(&o);
}
END_TEST

/* Invalid parent locators are skipped; the ID still finds the parent. */
START_TEST(bad_locators)
{
	static const struct {
		unsigned pos, width;
		uint64_t value;
	} fields[] = {{8, 4, 0}, {8, 4, 2047}, {8, 4, 0xffffffff}, {16, 8, UINT64_MAX},
		{16, 8, 1 << 30}, {0, 4, 0x57693299}};
	struct memory_image parent = vhd_build(&parent_spec), v;
	struct vhd_spec spec = child_spec;
	struct image_options o = options_new();

	spec.below = parent.disk;
	spec.parent_id = 0;
	spec.locators[0].code = "W2ru";
	spec.locators[0].text = "base.vhd";
	v = vhd_build(&spec);
	put_be(v.file + 512 + 576 + fields[_i].pos, fields[_i].width, fields[_i].value);
	vhd_seal_header(&v);
	write_file("child.vhd", v.file, v.file_len);
	put_parent("base.vhd", 0x11);
	refuses(&o, EUCLEAN, "without the name of a parent");
	memset(v.file + 512 + 40, 0x11, 16);
	vhd_seal_header(&v);
	write_file("child.vhd", v.file, v.file_len);
	reads(&o, v.disk);
	memory_image_free(&v);
	memory_image_free(&parent);
	options_free(&o);
}
END_TEST

/* Copying a parent changes its time, so a different time is only a warning. */
START_TEST(modification_times)
{
	static const struct {
		uint32_t stamp;
		unsigned warnings;
	} stamps[] = {{0, 0}, {1000, 0}, {1001, 1}};
	struct image_options o = options_new();
	struct vhd_spec spec = child_spec;
	unsigned char *disk;

	spec.parent_name = "base.vhd";
	spec.parent_stamp = stamps[_i].stamp;
	put_parent("base.vhd", 0x11);
	disk = put_child(&spec);
	reads(&o, disk);
	ck_assert_uint_eq(nwarnings, stamps[_i].warnings);
	free(disk);
	options_free(&o);
}
END_TEST

/* Beyond the end of a smaller parent the child reads as zeroes. */
START_TEST(smaller_parent)
{
	struct image_options o = options_new();
	struct vhd_spec spec = child_spec, small = parent_spec;
	struct memory_image v;
	unsigned char *disk;

	small.size = 3 * 4096 + 512;
	small.nmap = 4;
	v = vhd_build(&small);
	write_file("base.vhd", v.file, v.file_len);
	memory_image_free(&v);
	spec.parent_name = "base.vhd";
	disk = put_child(&spec);
	memset(disk + 3 * 4096 + 512, 0, 4096 - 512);
	memset(disk + 5 * 4096, 0, 4096);
	/* sectors 1 to 5 of blocks 4 and 6 are unallocated in the child */
	memset(disk + 4 * 4096 + 512, 0, 5 * 512);
	memset(disk + 6 * 4096 + 512, 0, 5 * 512);
	reads(&o, disk);
	free(disk);
	options_free(&o);
}
END_TEST

Suite *vhd_parent_suite(void)
{
	TCase *tc = tcase_create("vhd parent");

	use_temp_dir(tc);
	tcase_add_loop_test(tc, names_lead_to_the_parent, 0, COUNT(names));
	tcase_add_test(tc, parent_id_must_match);
	tcase_add_test(tc, a_missing_parent);
	tcase_add_test(tc, with_nobacking);
	tcase_add_test(tc, search_finds_a_moved_parent);
	tcase_add_loop_test(tc, names_outside_are_refused, 0, COUNT(outside));
	tcase_add_test(tc, loops);
	tcase_add_test(tc, no_parent_name);
	tcase_add_loop_test(tc, search_finds_the_id, 0, 4);
	tcase_add_test(tc, raw_parents);
	tcase_add_loop_test(tc, bad_locators, 0, 6);
	tcase_add_loop_test(tc, modification_times, 0, 3);
	tcase_add_test(tc, smaller_parent);
	return suite_of("vhd_parent", tc);
}
