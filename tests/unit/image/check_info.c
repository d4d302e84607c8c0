/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_info.c - the JSON that describes an image, key by key. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build/qcow2.h"
#include "util/err.h"
#include "image/facts.h"
#include "image/format.h"
#include "image/image.h"
#include "open/open.h"
#include "image/info.h"
#include "io/io.h"
#include "common/unit.h"
#include "build/vdi.h"
#include "view/view.h"

static struct image_options o;
static struct err e;

static void setup(void)
{
	o = options_new();
}

static void teardown(void)
{
	options_free(&o);
}

static struct json_object *info_of(const struct image *img, size_t state)
{
	char *text = info_json(img, img->states[state], &e);
	struct json_object *info;

	ck_assert_msg(text != NULL, "%s", e.text);
	ck_assert_uint_eq(text[strlen(text) - 1], '\n');
	info = json_tokener_parse(text);
	ck_assert_msg(info != NULL, "no JSON: %s", text);
	free(text);
	return info;
}

/* The member at a path of keys with dots between them, or NULL. */
static struct json_object *at(struct json_object *info, const char *path)
{
	char keys[128], *key, *rest = keys;

	ck_assert_uint_lt(strlen(path), sizeof keys);
	strcpy(keys, path);
	while (info && (key = strsep(&rest, ".")))
		info = key[0] >= '0' && key[0] <= '9' ? json_object_array_get_idx(info, atoi(key))
						      : json_object_object_get(info, key);
	return info;
}

static void says(struct json_object *info, const char *path, const char *text)
{
	ck_assert_str_eq(json_object_get_string(at(info, path)), text);
}

static void counts(struct json_object *info, const char *path, uint64_t n)
{
	ck_assert_int_eq(json_object_get_type(at(info, path)), json_type_int);
	ck_assert_uint_eq(json_object_get_uint64(at(info, path)), n);
}

static void lacks(struct json_object *info, const char *path)
{
	ck_assert_ptr_null(at(info, path));
}

START_TEST(raw_image)
{
	struct json_object *info;
	struct image *img;
	char here[256], path[300];

	write_text("disk.img", "0123456789");
	o.format = "raw";
	ck_assert_ok(image_open("./disk.img", &o, &img, &e), &e);
	info = info_of(img, 0);
	ck_assert_ptr_nonnull(getcwd(here, sizeof here));
	snprintf(path, sizeof path, "%s/disk.img", here);
	says(info, "filename", path);
	says(info, "format", "raw");
	counts(info, "virtual-size", 10);
	counts(info, "actual-size", img->io->stored);
	says(info, "dirty-flag", "false");
	lacks(info, "format-specific");
	lacks(info, "snapshots");
	lacks(info, "snapshot");
	lacks(info, "backing-filename");
	json_object_put(info);
	image_close(img);
}
END_TEST

START_TEST(vdi_image)
{
	static const uint32_t map[] = {0, VDI_FREE};
	struct vdi_spec spec = {.block_size = 4096, .map = map, .nblocks = 2};
	struct memory_image v = vdi_image_make(&spec);
	struct json_object *info;
	struct image *img;

	ck_assert_ok(
		image_open_io(io_from_memory(v.file, v.file_len, "mem", &e), &o, &img, &e), &e);
	info = info_of(img, 0);
	says(info, "filename", "mem");
	says(info, "format", "vdi");
	counts(info, "virtual-size", 8192);
	counts(info, "cluster-size", 4096);
	says(info, "format-specific.type", "vdi");
	says(info, "format-specific.data.create-type", "dynamic");
	says(info, "format-specific.data.uuid", "01010101-0101-0101-0101-010101010101");
	json_object_put(info);
	image_close(img);
	memory_image_free(&v);
}
END_TEST

static void write_overlay(const char *name, const char *backing, const char *format)
{
	struct build_qcow2 b;

	build_qcow2_new(&b, 3, 9, 0);
	build_qcow2_backing(&b, backing, format);
	write_file(name, b.bytes, b.len);
	build_qcow2_free(&b);
}

START_TEST(backing_file)
{
	struct json_object *info;
	struct image *img;

	write_text("base.img", "some bytes");
	write_overlay("top.qcow2", "./base.img", "raw");
	ck_assert_ok(image_open("top.qcow2", &o, &img, &e), &e);
	info = info_of(img, 0);
	says(info, "backing-filename", "./base.img");
	says(info, "backing-filename-format", "raw");
	says(info, "full-backing-filename", img->parent->io->name);
	json_object_put(info);
	image_close(img);
	o.nobacking = true;
	ck_assert_ok(image_open("top.qcow2", &o, &img, &e), &e);
	info = info_of(img, 0);
	says(info, "backing-filename", "./base.img");
	lacks(info, "full-backing-filename");
	json_object_put(info);
	image_close(img);
}
END_TEST

START_TEST(snapshots)
{
	static const struct build_snapshot first = {.id = "1", .name = "before \"it\""},
					   second = {.id = "2", .name = "caf\xc3\xa9/"};
	struct json_object *info;
	struct build_qcow2 b;
	struct image *img;

	build_qcow2_new(&b, 3, 9, 0);
	build_qcow2_snapshot(&b, &first);
	build_qcow2_snapshot(&b, &second);
	ck_assert_ok(image_open_io(io_from_memory(b.bytes, b.len, "mem", &e), &o, &img, &e), &e);
	img->states[2]->vm_clock = 3000000007;
	img->states[2]->when = (struct timespec){.tv_sec = 1234567890, .tv_nsec = 5};
	info = info_of(img, 0);
	ck_assert_uint_eq(json_object_array_length(at(info, "snapshots")), 2);
	says(info, "snapshots.0.name", "before \"it\"");
	says(info, "snapshots.0.id", "1");
	says(info, "snapshots.1.name", "caf\xc3\xa9/");
	counts(info, "snapshots.1.vm-clock-sec", 3);
	counts(info, "snapshots.1.vm-clock-nsec", 7);
	counts(info, "snapshots.1.date-sec", 1234567890);
	counts(info, "snapshots.1.date-nsec", 5);
	counts(info, "snapshots.1.vm-state-size", 0);
	json_object_put(info);
	info = info_of(img, 2);
	lacks(info, "snapshots");
	says(info, "snapshot.name", "caf\xc3\xa9/");
	json_object_put(info);
	image_close(img);
	build_qcow2_free(&b);
}
END_TEST

/* Names are bytes, JSON is UTF-8: what is not becomes U+FFFD, and control characters are escaped.
 */
START_TEST(names_that_are_no_utf8)
{
	static const struct {
		const char *name, *shown;
	} cases[] = {
		{"a\xff"
		 "b",
			"a\xef\xbf\xbd"
			"b"},
		{"\x80\x81", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd"},
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"tab\tnl\nesc\x1b", "tab\tnl\nesc\x1b"},
		{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
		{"", ""},
	};
	struct build_snapshot snapshot = {.id = "\xfe", .name = cases[_i].name};
	struct json_object *info;
	struct build_qcow2 b;
	struct image *img;

	build_qcow2_new(&b, 3, 9, 0);
	build_qcow2_snapshot(&b, &snapshot);
	ck_assert_ok(image_open_io(io_from_memory(b.bytes, b.len, "m\xe9m", &e), &o, &img, &e), &e);
	info = info_of(img, 0);
	says(info, "snapshots.0.name", cases[_i].shown);
	says(info, "snapshots.0.id", "\xef\xbf\xbd");
	says(info, "filename", "m\xef\xbf\xbdm");
	json_object_put(info);
	image_close(img);
	build_qcow2_free(&b);
}
END_TEST

/* All that a driver can tell. */

static void tell(const struct image *img, struct facts *f)
{
	struct facts *entry;

	(void)img;
	facts_text(f, "text", "first");
	facts_text(f, "text", "last");
	facts_flag(f, "flag", true);
	facts_number(f, "number", UINT64_MAX);
	entry = facts_list(f, "list");
	facts_text(entry, "name", "zero");
	entry = facts_list(f, "list");
	facts_text(entry, "name", "one");
	facts_number(facts_list(entry, "inner"), "n", 7);
	facts_cluster_size(entry, 512);
	facts_dirty(f, true);
}

START_TEST(facts_of_every_kind)
{
	static const struct format told = {.name = "told", .facts = tell};
	struct view disk = {.size = UINT64_MAX >> 1};
	struct state live = {.view = &disk}, *states[] = {&live};
	struct io io = {.name = (char *)"io"};
	struct image img = {.format = &told, .io = &io, .states = states, .nstates = 1};
	struct json_object *info = info_of(&img, 0);

	counts(info, "virtual-size", UINT64_MAX >> 1);
	says(info, "dirty-flag", "true");
	counts(info, "cluster-size", 512);
	says(info, "format-specific.type", "told");
	says(info, "format-specific.data.text", "last");
	says(info, "format-specific.data.flag", "true");
	counts(info, "format-specific.data.number", UINT64_MAX);
	says(info, "format-specific.data.list.0.name", "zero");
	says(info, "format-specific.data.list.1.name", "one");
	counts(info, "format-specific.data.list.1.inner.0.n", 7);
	json_object_put(info);
}
END_TEST

Suite *info_suite(void)
{
	TCase *tc = tcase_create("info");

	use_temp_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, raw_image);
	tcase_add_test(tc, vdi_image);
	tcase_add_test(tc, backing_file);
	tcase_add_test(tc, snapshots);
	tcase_add_loop_test(tc, names_that_are_no_utf8, 0, 8);
	tcase_add_test(tc, facts_of_every_kind);
	return suite_of("info", tc);
}
