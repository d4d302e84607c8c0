/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_info.c - info.json, key by key. */
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

/* Returns the member at a path of keys separated by dots, or NULL. */
static struct json_object *member(struct json_object *info, const char *path)
{
	char keys[128], *key, *rest = keys;

	ck_assert_uint_lt(strlen(path), sizeof keys);
	strcpy(keys, path);
	while (info && (key = strsep(&rest, ".")))
		info = key[0] >= '0' && key[0] <= '9' ? json_object_array_get_idx(info, atoi(key))
						      : json_object_object_get(info, key);
	return info;
}

static void has_text(struct json_object *info, const char *path, const char *text)
{
	ck_assert_str_eq(json_object_get_string(member(info, path)), text);
}

static void has_number(struct json_object *info, const char *path, uint64_t n)
{
	ck_assert_int_eq(json_object_get_type(member(info, path)), json_type_int);
	ck_assert_uint_eq(json_object_get_uint64(member(info, path)), n);
}

static void has_no(struct json_object *info, const char *path)
{
	ck_assert_ptr_null(member(info, path));
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
	has_text(info, "filename", path);
	has_text(info, "format", "raw");
	has_number(info, "virtual-size", 10);
	has_number(info, "actual-size", img->io->stored);
	has_text(info, "dirty-flag", "false");
	has_no(info, "format-specific");
	has_no(info, "snapshots");
	has_no(info, "snapshot");
	has_no(info, "backing-filename");
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
	has_text(info, "filename", "mem");
	has_text(info, "format", "vdi");
	has_number(info, "virtual-size", 8192);
	has_number(info, "cluster-size", 4096);
	has_text(info, "format-specific.type", "vdi");
	has_text(info, "format-specific.data.create-type", "dynamic");
	has_text(info, "format-specific.data.uuid", "01010101-0101-0101-0101-010101010101");
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
	has_text(info, "backing-filename", "./base.img");
	has_text(info, "backing-filename-format", "raw");
	has_text(info, "full-backing-filename", img->parent->io->name);
	json_object_put(info);
	image_close(img);
	o.nobacking = true;
	ck_assert_ok(image_open("top.qcow2", &o, &img, &e), &e);
	info = info_of(img, 0);
	has_text(info, "backing-filename", "./base.img");
	has_no(info, "full-backing-filename");
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
	ck_assert_uint_eq(json_object_array_length(member(info, "snapshots")), 2);
	has_text(info, "snapshots.0.name", "before \"it\"");
	has_text(info, "snapshots.0.id", "1");
	has_text(info, "snapshots.1.name", "caf\xc3\xa9/");
	has_number(info, "snapshots.1.vm-clock-sec", 3);
	has_number(info, "snapshots.1.vm-clock-nsec", 7);
	has_number(info, "snapshots.1.date-sec", 1234567890);
	has_number(info, "snapshots.1.date-nsec", 5);
	has_number(info, "snapshots.1.vm-state-size", 0);
	json_object_put(info);
	info = info_of(img, 2);
	has_no(info, "snapshots");
	has_text(info, "snapshot.name", "caf\xc3\xa9/");
	json_object_put(info);
	image_close(img);
	build_qcow2_free(&b);
}
END_TEST

/* JSON is UTF-8: invalid bytes of a name become U+FFFD, control characters are escaped. */
START_TEST(names_with_invalid_utf8)
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
	has_text(info, "snapshots.0.name", cases[_i].shown);
	has_text(info, "snapshots.0.id", "\xef\xbf\xbd");
	has_text(info, "filename", "m\xef\xbf\xbdm");
	json_object_put(info);
	image_close(img);
	build_qcow2_free(&b);
}
END_TEST

/* All kinds of facts that a driver can set. */

static void set_facts(const struct image *img, struct facts *f)
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
	static const struct format with_facts = {.name = "told", .facts = set_facts};
	struct view disk = {.size = UINT64_MAX >> 1};
	struct state live = {.view = &disk}, *states[] = {&live};
	struct io io = {.name = (char *)"io"};
	struct image img = {.format = &with_facts, .io = &io, .states = states, .nstates = 1};
	struct json_object *info = info_of(&img, 0);

	has_number(info, "virtual-size", UINT64_MAX >> 1);
	has_text(info, "dirty-flag", "true");
	has_number(info, "cluster-size", 512);
	has_text(info, "format-specific.type", "told");
	has_text(info, "format-specific.data.text", "last");
	has_text(info, "format-specific.data.flag", "true");
	has_number(info, "format-specific.data.number", UINT64_MAX);
	has_text(info, "format-specific.data.list.0.name", "zero");
	has_text(info, "format-specific.data.list.1.name", "one");
	has_number(info, "format-specific.data.list.1.inner.0.n", 7);
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
	tcase_add_loop_test(tc, names_with_invalid_utf8, 0, 8);
	tcase_add_test(tc, facts_of_every_kind);
	return suite_of("info", tc);
}
