/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_vmdk_write.c - writing VMDKs of other programs and new ones. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "build/vmdk.h"
#include "image/creation.h"
#include "util/err.h"
#include "open/open.h"
#include "common/random_model.h"
#include "common/power_cut.h"
#include "common/unit.h"
#include "view/view.h"
#include "vmdk_write_test.h"

static void create(const char *path, const char *options, const char *backing, uint64_t size)
{
	struct err e = ERR_INIT;

	ck_assert_ok(vmdk_try_create(path, options, backing, size, &e), &e);
}

static char *read_text(const char *path)
{
	char *text = calloc(1, 65536);
	FILE *f = fopen(path, "r");

	ck_assert(text && f);
	ck_assert(fread(text, 1, 65535, f) > 0);
	fclose(f);
	return text;
}

static const char *const kinds[] = {
	"-o subformat=monolithicSparse",
	"-o subformat=monolithicFlat",
	"-o subformat=twoGbMaxExtentSparse",
	"-o subformat=twoGbMaxExtentFlat",
	"-o zeroed_grain=on",
};

START_TEST(random_operations)
{
	struct model m = {.path = "a.vmdk", .seed = 1 + _i, .qemu_format = "vmdk", .rounds = 4};

	vmdk_make(m.path, kinds[_i], 5 * MB + 1536);
	if (_i == 0 || _i == 4)
		m.size_max = 70 * MB;
	model_run(&m);
	if (_i == 0 || _i == 4)
		redundant_tables_are_equal(m.path);
}
END_TEST

static const char *const subformats[] = {
	"subformat=monolithicSparse",
	"subformat=monolithicFlat",
	"subformat=twoGbMaxExtentSparse",
	"subformat=twoGbMaxExtentFlat,adapter_type=lsilogic",
	"zeroed_grain=on,compat6",
};

START_TEST(random_operations_on_new_images)
{
	struct model m = {.path = "a.vmdk", .seed = 11 + _i, .qemu_format = "vmdk", .rounds = 4};

	create(m.path, subformats[_i], NULL, 5 * MB + 1536);
	if (_i == 0 || _i == 4)
		m.size_max = 70 * MB;
	model_run(&m);
	if (_i == 0 || _i == 4)
		redundant_tables_are_equal(m.path);
}
END_TEST

/* Writes across the border of two extents. */
START_TEST(split)
{
	const uint64_t seam = UINT64_C(4192256) * 512;
	unsigned char buf[8192], back[8192];
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	struct view *v;

	create("a.vmdk", subformats[2 + _i], NULL, 2 * seam + MB);
	img = open_image_file("a.vmdk", true, &o);
	v = img->states[0]->view;
	ck_assert_uint_eq(v->size, 2 * seam + MB);
	fill_pattern(buf, sizeof buf, 5);
	for (unsigned i = 1; i <= 2; i++) {
		ck_assert_ok(view_write(v, buf, sizeof buf, i * seam - 4096 - 512 * i, &e), &e);
		ck_assert_ok(image_finish(img, &e), &e);
		ck_assert_ok(view_read(v, back, sizeof back, i * seam - 4096 - 512 * i, &e), &e);
		ck_assert_mem_eq(buf, back, sizeof buf);
	}
	ck_assert_ok(view_clear(v, seam - 4608, sizeof buf, &e), &e);
	image_close(img);
	ck_assert_ok(image_open("a.vmdk", &o, &img, &e), &e);
	v = img->states[0]->view;
	ck_assert_ok(view_read(v, back, sizeof back, 2 * seam - 5120, &e), &e);
	ck_assert_mem_eq(buf, back, sizeof buf);
	ck_assert_ok(view_read(v, back, sizeof back, seam - 4608, &e), &e);
	memset(buf, 0, sizeof buf);
	ck_assert_mem_eq(buf, back, sizeof buf);
	image_close(img);
	options_free(&o);
	ck_assert_int_eq(system("qemu-img check -q a.vmdk"), 0);
}
END_TEST

START_TEST(impossible_sizes)
{
	create("a.vmdk", "", NULL, MB);
	create("flat.vmdk", "subformat=monolithicFlat", NULL, MB);
	create("split.vmdk", "subformat=twoGbMaxExtentSparse", NULL, MB);
	create("base.vmdk", "", NULL, MB);
	create("child.vmdk", "", "base.vmdk", CREATE_NO_SIZE);
	refuses_size("a.vmdk", MB + 1, EINVAL, "whole sectors");
	refuses_size("a.vmdk", UINT64_C(1) << 50, EFBIG, "too many grain tables");
	refuses_size("flat.vmdk", 2 * MB, EOPNOTSUPP, "only a disk in one sparse file");
	refuses_size("split.vmdk", 2 * MB, EOPNOTSUPP, "only a disk in one sparse file");
	refuses_size("child.vmdk", 2 * MB, EOPNOTSUPP, "would expose data of its parent");
}
END_TEST

/* Grows until the grain directories move, and shrinks to the last allocated grain. */
START_TEST(directories_move)
{
	const uint64_t size = UINT64_C(5) << 30;
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	struct view *v;
	char back[4];

	create("a.vmdk", "", NULL, 3 * MB + 512);
	img = open_image_file("a.vmdk", true, &o);
	v = img->states[0]->view;
	ck_assert_ok(view_write(v, "abcd", 4, 3 * MB, &e), &e);
	ck_assert_ok(view_resize(v, 2 * size, &e), &e);
	ck_assert_ok(view_write(v, "efgh", 4, size - 512, &e), &e);
	ck_assert_ok(view_resize(v, size, &e), &e);
	ck_assert_fails(
		view_resize(v, size - 512 * 1024, &e), EOPNOTSUPP, &e, "beyond the new end");
	ck_assert_ok(view_resize(v, 3 * size, &e), &e);
	ck_assert_ok(view_write(v, "ijkl", 4, 3 * size - 512, &e), &e);
	ck_assert_ok(image_finish(img, &e), &e);
	image_close(img);
	options_free(&o);
	ck_assert_int_eq(system("qemu-img check -q a.vmdk && qemu-img info a.vmdk | "
				"grep -q '(16106127360 bytes)'"),
		0);
	img = open_image_file("a.vmdk", false, &o);
	v = img->states[0]->view;
	ck_assert_ok(view_read(v, back, 4, 3 * MB, &e), &e);
	ck_assert_mem_eq(back, "abcd", 4);
	ck_assert_ok(view_read(v, back, 4, size - 512, &e), &e);
	ck_assert_mem_eq(back, "efgh", 4);
	ck_assert_ok(view_read(v, back, 4, 3 * size - 512, &e), &e);
	ck_assert_mem_eq(back, "ijkl", 4);
	image_close(img);
	options_free(&o);
}
END_TEST

static const struct {
	const char *path, *options, *backing;
	int code;
	const char *part;
} refused_creations[] = {
	{"b.vmdk", "subformat=streamOptimized", "a.vmdk", EINVAL, "has no backing file"},
	{"b.vmdk", "subformat=streamOptimized,zeroed_grain=on", NULL, EINVAL, "zeroed_grain"},
	{"b.vmdk", "subformat=monolithicFlat", "a.vmdk", EINVAL, "has no backing file"},
	{"b.vmdk", "subformat=monolithicFlat,zeroed_grain=on", NULL, EINVAL, "has no grains"},
	{"b.vmdk", "preallocation=full", NULL, EINVAL, "only for flat disks"},
	{"b.vmdk", "compat6=on,hwversion=7", NULL, EINVAL, "compat6 sets hwversion"},
	{"b.vmdk", "hwversion=7\"", NULL, EINVAL, "cannot be in a descriptor"},
	{"b.vmdk", "", "base.img", EINVAL, "only vmdk is possible"},
	{"a\"b.vmdk", "subformat=monolithicFlat", NULL, EINVAL, "cannot be in a descriptor"},
	{"b.vmdk", "adapter_type=scsi", NULL, EINVAL, "does not accept value 'scsi'"},
};

/* A creation that fails leaves no file. */
START_TEST(failed_creations)
{
	struct err e = ERR_INIT;
	unsigned char *disk = calloc(1, MB);

	create("a.vmdk", "", NULL, MB);
	write_file("base.img", disk, MB);
	ck_assert_fails(vmdk_try_create(refused_creations[_i].path, refused_creations[_i].options,
				refused_creations[_i].backing, MB, &e),
		refused_creations[_i].code, &e, refused_creations[_i].part);
	ck_assert_int_eq(access(refused_creations[_i].path, F_OK), -1);
	ck_assert_int_eq(access("b-flat.vmdk", F_OK), -1);
	free(disk);
}
END_TEST

START_TEST(deltas)
{
	static const char *const none[] = {NULL};
	unsigned char *before = make_full_image("vmdk", "base.vmdk", 4 * MB + 1024, none);
	struct model m = {
		.path = "delta.vmdk",
		.seed = 20 + _i,
		.before = before,
		.qemu_format = "vmdk",
	};

	if (_i < 2)
		create(m.path, _i ? "zeroed_grain=on" : "", "base.vmdk", CREATE_NO_SIZE);
	else
		vmdk_make(m.path, "-b base.vmdk -F vmdk", 4 * MB + 1024);
	model_run(&m);
	free(before);
}
END_TEST

/* Extents of other programs: small grains, small tables, absent tables. */
START_TEST(extents_of_other_programs)
{
	static const struct {
		uint64_t grain;
		uint32_t per_table;
		bool no_tables, no_redundant;
	} cases[] = {{8, 512, false, false}, {1, 512, true, false}, {16, 128, true, false},
		{128, 4, true, true}, {128, 512, false, true}};
	struct build_vmdk b;
	struct model m = {.path = "a.vmdk", .seed = 30 + _i};
	char text[200];

	build_vmdk_new(&b, 4099, cases[_i].grain, cases[_i].per_table);
	snprintf(text, sizeof text,
		"version=1\nCID=1234567\nparentCID=ffffffff\n"
		"createType=\"monolithicSparse\"\nRW 4099 SPARSE \"x\"\n");
	build_vmdk_text(&b, text);
	for (uint32_t i = 0; i < b.ntables && cases[_i].no_tables; i++) {
		build_vmdk_put(&b, b.rgd * SECTOR + 4 * i, 4, 0);
		build_vmdk_put(&b, b.gd * SECTOR + 4 * i, 4, 0);
	}
	if (cases[_i].no_redundant)
		build_vmdk_put(&b, AT_FLAGS, 4, WITH_NEWLINES);
	write_file(m.path, b.bytes, b.len);
	model_run(&m);
	build_vmdk_free(&b);
}
END_TEST

static const char described[] =
	"# Disk DescriptorFile\nversion=3\nCID=12c4567\nparentCID=ffffffff\n"
	"createType=\"vmfs\"\nchangeTrackPath=\"a-ctk.vmdk\"\n"
	"RW 8 VMFS \"a-flat.vmdk\"\n"
	"ddb.longContentID = \"%s\"\n"
	"ddb.uuid.modification = \"11111111-2222-3333-4444-555555555555\"\n";

static const unsigned char nothing[65536];

/* The first write, and nothing before it, changes the content IDs. */
START_TEST(first_write)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	char text[600], *now, *line;

	snprintf(text, sizeof text, described, "0123456789abcdef0123456789abcdef");
	write_text("a.vmdk", text);
	write_file("a-flat.vmdk", nothing, 4096);
	img = open_image_file("a.vmdk", true, &o);
	ck_assert_ok(view_flush(img->states[0]->view, &e), &e);
	now = read_text("a.vmdk");
	ck_assert_str_eq(now, text);
	free(now);
	ck_assert_ok(view_write(img->states[0]->view, "abc", 3, 4093, &e), &e);
	image_close(img);
	now = read_text("a.vmdk");
	ck_assert_uint_eq(strlen(now), strlen(text));
	ck_assert_ptr_null(strstr(now, "CID=12c4567"));
	line = strstr(now, "\nCID=");
	ck_assert_ptr_nonnull(line);
	ck_assert_uint_eq(strspn(line + 5, "0123456789abcdef"), 7);
	ck_assert_ptr_nonnull(strstr(now, "\n#hangeTrackPath="));
	ck_assert_ptr_null(strstr(now, "11111111-2222"));
	ck_assert_ptr_nonnull(strstr(now, "RW 8 VMFS \"a-flat.vmdk\"\n"));
	free(now);
	ck_assert_ok(image_open("a.vmdk", &o, &img, &e), &e);
	ck_assert_ok(view_read(img->states[0]->view, text, 3, 4093, &e), &e);
	ck_assert_mem_eq(text, "abc", 3);
	image_close(img);
	options_free(&o);
}
END_TEST

/* The long content ID always ends with the short one. */
START_TEST(long_content_id)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	char *now, *cid, *id;

	write_text("a.vmdk", "version=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"vmfs\"\n"
			     "RW 8 VMFS \"a-flat.vmdk\"\n"
			     "ddb.longContentID = \"0123456789abcdef01234567fffffffe\"\n");
	write_file("a-flat.vmdk", nothing, 4096);
	img = open_image_file("a.vmdk", true, &o);
	ck_assert_ok(view_write(img->states[0]->view, "abc", 3, 1, &e), &e);
	image_close(img);
	options_free(&o);
	now = read_text("a.vmdk");
	cid = strstr(now, "CID=");
	id = strstr(now, "ID = \"");
	ck_assert(cid && id);
	ck_assert_mem_ne(cid + 4, "fffffffe", 8);
	ck_assert_mem_ne(id + 6, "0123456789abcdef01234567", 24);
	ck_assert_mem_eq(id + 6 + 24, cid + 4, 8);
	ck_assert_int_eq(id[6 + 32], '"');
	free(now);
}
END_TEST

/* A child is refused after its parent was written. */
START_TEST(changed_parent)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;

	vmdk_make("base.vmdk", "", MB);
	vmdk_make("delta.vmdk", "-b base.vmdk -F vmdk", MB);
	img = open_image_file("delta.vmdk", true, &o);
	image_close(img);
	options_free(&o);
	img = open_image_file("base.vmdk", true, &o);
	ck_assert_ok(view_write(img->states[0]->view, "abc", 3, 1, &e), &e);
	image_close(img);
	ck_assert_fails(image_open("delta.vmdk", &o, &img, &e), EINVAL, &e, "was changed after");
	options_free(&o);
}
END_TEST

static const struct {
	const char *lines, *part;
} refusals[] = {
	{"RDONLY 8 FLAT \"f\" 0\n", "is RDONLY"},
	{"RW 8 FLAT \"f\" 0\nRW 8 ZERO\n", "ZERO extent"},
	{"RW 8 FLAT \"f\" 0\nNOACCESS 8 FLAT \"f\" 8\n", "ZERO extent"},
	{"RW 8 FLAT \"f\" 0\nRW 8 FLAT \"f\" 7\n", "share the bytes"},
	{"RW 8 FLAT \"f\" 0\nRW 128 SPARSE \"s\"\n", "in the middle of a grain"},
	{"RW 128 SPARSE \"s\"\nRW 128 SPARSE \"s\"\n", "share the bytes"},
	{"RW 129 SPARSE \"s\"\n", "shorter than its extent line"},
	{"RW 8 FLAT \"f\" 0\nRW 8 FLAT \"f\" 8\n", NULL},
	{"RW 128 FLAT \"f\" 0\nRW 128 SPARSE \"s\"\n", NULL},
};

START_TEST(choice_of_extents)
{
	char text[300];
	struct build_vmdk b;
	struct image_options o;

	build_vmdk_new(&b, 128, 128, 512);
	write_file("s", b.bytes, b.len);
	write_file("f", nothing, 65536);
	snprintf(text, sizeof text,
		"version=1\nCID=1\nparentCID=ffffffff\ncreateType=\"custom\"\n%s",
		refusals[_i].lines);
	write_text("a.vmdk", text);
	if (refusals[_i].part) {
		refuses_writing("a.vmdk", ENOTSUP, refusals[_i].part);
	} else {
		image_close(open_image_file("a.vmdk", true, &o));
		options_free(&o);
	}
	build_vmdk_free(&b);
}
END_TEST

START_TEST(streams)
{
	vmdk_make("a.vmdk", "-o subformat=streamOptimized", MB);
	refuses_writing("a.vmdk", ENOTSUP, "streamOptimized");
}
END_TEST

/* A resize changes only one sector of the descriptor, so a power cut cannot tear it. */
START_TEST(descriptors_keep_their_length)
{
	static const uint64_t sizes[] = {2048 * MB, 10 * MB, 900 * MB};
	unsigned char *before, *after;
	struct err e = ERR_INIT;
	struct image_options o;
	struct image *img;
	size_t len;

	vmdk_make("a.vmdk", "", 100 * MB);
	/* the first change changes the content ID */
	img = open_image_file("a.vmdk", true, &o);
	ck_assert_ok(view_resize(img->states[0]->view, 101 * MB, &e), &e);
	ck_assert_ok(image_finish(img, &e), &e);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		before = vmdk_read_bytes("a.vmdk", &len);
		ck_assert_ok(view_resize(img->states[0]->view, sizes[i], &e), &e);
		ck_assert_ok(image_finish(img, &e), &e);
		after = vmdk_read_bytes("a.vmdk", &len);
		ck_assert_mem_ne(before + 512, after + 512, 512);
		ck_assert_mem_eq(before + 1024, after + 1024, 19 * 512);
		ck_assert_ptr_nonnull(strstr((char *)after + 512, "\n# Ext"));
		free(before);
		free(after);
	}
	image_close(img);
	options_free(&o);
}
END_TEST

START_TEST(power_cuts)
{
	struct power p = {.path = "a.vmdk", .seed = 2 + _i, .ops = 150};

	vmdk_make(p.path, _i ? "-o zeroed_grain=on" : "", 2 * MB);
	power_run(&p);
}
END_TEST

START_TEST(faults)
{
	struct power p = {.path = "a.vmdk", .seed = 4};

	vmdk_make(p.path, "", 1 * MB);
	power_faults(&p);
}
END_TEST

Suite *vmdk_write_suite(void)
{
	TCase *tc = tcase_create("vmdk_write");

	tcase_set_timeout(tc, 60);
	use_temp_dir(tc);
	tcase_add_loop_test(tc, random_operations, 0, COUNT(kinds));
	tcase_add_loop_test(tc, random_operations_on_new_images, 0, COUNT(subformats));
	tcase_add_loop_test(tc, split, 0, 2);
	tcase_add_test(tc, impossible_sizes);
	tcase_add_test(tc, directories_move);
	tcase_add_loop_test(tc, failed_creations, 0, COUNT(refused_creations));
	tcase_add_loop_test(tc, deltas, 0, 3);
	tcase_add_loop_test(tc, extents_of_other_programs, 0, 5);
	tcase_add_test(tc, first_write);
	tcase_add_test(tc, long_content_id);
	tcase_add_test(tc, changed_parent);
	tcase_add_loop_test(tc, choice_of_extents, 0, COUNT(refusals));
	tcase_add_test(tc, streams);
	tcase_add_test(tc, descriptors_keep_their_length);
	tcase_add_loop_test(tc, power_cuts, 0, 2);
	tcase_add_test(tc, faults);
	return suite_of("vmdk_write", tc);
}
