/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_api.c - vdisk.h: paths, bytes, errors, threads. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_test.h"
#include "build/qcow2.h"
#include "common/unit.h"
#include "open/package_test.h"

static struct api_images images;

static void setup(void)
{
	struct build_qcow2 b;

	api_images_make(&images);
	build_qcow2_new(&b, 3, 16, 0);
	build_qcow2_backing(&b, "/dev/null", "raw");
	write_file("outside.qcow2", b.bytes, b.len);
	build_qcow2_free(&b);
}

static void teardown(void)
{
	api_images_free(&images);
}

START_TEST(paths_listed)
{
	struct vdisk_image *image = api_open("top.qcow2", NULL);

	ck_assert_str_eq(vdisk_format(image), "qcow2");
	ck_assert_str_eq(api_paths(image, ""),
		"\"\" partitions/1 partitions/2 snapshots/one%2Fa snapshots/two chain/1 ");
	ck_assert_str_eq(api_paths(image, "snapshots/one%2Fa"),
		"snapshots/one%2Fa snapshots/one%2Fa/partitions/1 "
		"snapshots/one%2Fa/partitions/2 ");
	ck_assert_str_eq(
		api_paths(image, "chain/1"), "chain/1 chain/1/partitions/1 chain/1/partitions/2 ");
	ck_assert_str_eq(api_paths(image, "partitions/2"), "partitions/2 ");
	api_close(image);
}
END_TEST

static int stop_at_second(void *arg, const struct vdisk_entry *entry)
{
	unsigned *n = arg;

	ck_assert_uint_eq(entry->size, *n == 0 ? DISK_LEN : PART1_LEN);
	ck_assert_int_eq(entry->kind, *n == 0 ? VDISK_LIVE : VDISK_PARTITION);
	ck_assert_str_eq(entry->description, *n == 0 ? "dos, 2 partitions" : "");
	ck_assert_ptr_null(entry->error);
	return ++*n == 2 ? 77 : 0;
}

START_TEST(a_list_ended)
{
	struct vdisk_image *image = api_open("top.qcow2", NULL);
	unsigned n = 0;

	ck_assert_int_eq(vdisk_list(image, "", stop_at_second, &n, NULL), 77);
	ck_assert_uint_eq(n, 2);
	api_close(image);
}
END_TEST

static void reads_parts(struct vdisk_image *image, const char *path, const unsigned char *bytes)
{
	char part[100];

	api_reads(image, path, bytes, DISK_LEN);
	snprintf(part, sizeof part, "%s%spartitions/1", path, *path ? "/" : "");
	api_reads(image, part, bytes + PART1, PART1_LEN);
	snprintf(part, sizeof part, "%s%spartitions/2", path, *path ? "/" : "");
	api_reads(image, part, bytes + PART2, PART2_LEN);
}

START_TEST(bytes_of_each_path)
{
	struct vdisk_image *image = api_open("top.qcow2", NULL);

	reads_parts(image, "", images.live);
	reads_parts(image, "snapshots/one%2Fa", images.one);
	reads_parts(image, "snapshots/two", images.two);
	reads_parts(image, "chain/0", images.live);
	reads_parts(image, "chain/0/snapshots/two", images.two);
	reads_parts(image, "chain/1", images.base);
	reads_parts(image, "chain/1-base.qcow2", images.base);
	api_close(image);
}
END_TEST

START_TEST(paths_of_nothing)
{
	struct vdisk_image *image = api_open("top.qcow2", NULL);

	api_has_no(image, "x", ENOENT, "top.qcow2/x: \"x\" is no path of a disk");
	api_has_no(image, "/", ENOENT, "no path");
	api_has_no(image, "partitions", ENOENT, "no path");
	api_has_no(image, "partitions/", ENOENT, "no path");
	api_has_no(image, "partitions/1/", ENOENT, "no path");
	api_has_no(image, "partitions/01", ENOENT, "no path");
	api_has_no(image, "partitions/-1", ENOENT, "no path");
	api_has_no(image, "partitions/4294967297", ENOENT, "no path");
	api_has_no(image, "partitions/1/partitions/1", ENOENT, "no path");
	api_has_no(image, "partitions/3", ENOENT, "2 partitions, and none is number 3");
	api_has_no(image, "volumes/vg", ENOENT, "0 volumes, and none is \"vg\"");
	api_has_no(image, "snapshots/tow", ENOENT, "no snapshot called \"tow\"");
	api_has_no(image, "snapshots/one/a", ENOENT, "no snapshot called \"one\"");
	api_has_no(image, "snapshots/two/snapshots/two", ENOENT, "no path");
	api_has_no(image, "snapshots/two/chain/1", ENOENT, "no path");
	api_has_no(image, "snapshots/two/partitions/9", ENOENT, "none is number 9");
	api_has_no(image, "chain/2", ENOENT, "the chain has 2 images, and none is \"2\"");
	api_has_no(image, "chain/1-x", ENOENT, "none is \"1-x\"");
	api_has_no(image, "chain/1/snapshots/two", ENOENT, "base.qcow2: it has no snapshot");
	ck_assert_int_eq(vdisk_list(image, "chain/2", NULL, NULL, NULL), -ENOENT);
	ck_assert_int_eq(vdisk_list(image, "partitions/3", NULL, NULL, NULL), -ENOENT);
	api_close(image);
}
END_TEST

static const struct {
	const char *options[3];
	const char *path;
	int code;
	const char *text, *hint;
} refusals[] = {
	{{"wr"}, "top.qcow2", EINVAL, "unknown option \"wr\"", ""},
	{{"nosnapshot"}, "top.qcow2", EINVAL, "unknown option", "did you mean \"nosnapshots\"?"},
	{{"format"}, "top.qcow2", EINVAL, "option \"format\" needs a value: format=...", ""},
	{{"format=vdi"}, "top.qcow2", EINVAL, "top.qcow2", "use format=qcow2"},
	{{"format=x"}, "top.qcow2", ENOTSUP, "\"x\"", ""},
	{{"cache=1"}, "top.qcow2", EINVAL, "cache=1: must be at least 1M", ""},
	{{"cache=x"}, "top.qcow2", EINVAL, "cache=x: expected a size such as 64M", ""},
	{{"luks-memory=1"}, "top.qcow2", EINVAL, "luks-memory=1: must be at least 1K", ""},
	{{"rw", "nobacking"}, "top.qcow2", EINVAL, "nobacking: writing may need", ""},
	{{"rw", "share"}, "top.qcow2", EINVAL, "share: an image that", ""},
	{{"nbd-timeout=0"}, "top.qcow2", EINVAL, "nbd-timeout=0: expected a number", ""},
	{{"nbd-timeout=1x"}, "top.qcow2", EINVAL, "nbd-timeout=1x: expected a number", ""},
	{{NULL}, "ssh:x", ENOTSUP, "\"ssh:\" is a protocol", ""},
	{{NULL}, "outside.qcow2", EACCES, "/dev/null",
		"allow=/dev permits it, if you trust the image"},
	{{"allow=none"}, "top.qcow2", ENOENT, "allow=none: No such file", ""},
	{{"search=top.qcow2"}, "top.qcow2", ENOTDIR, "search=top.qcow2: not a directory", ""},
	{{"passphrase-file=no"}, "top.qcow2", ENOENT, "passphrase file no: No such file", ""},
	{{"luks-header=no"}, "top.qcow2", ENOENT, "no: No such file", ""},
	{{"disk=a.raw"}, "top.qcow2", EINVAL, "top.qcow2: it is one disk", ""},
	{{NULL}, "none", ENOENT, "none: No such file", ""},
	{{NULL}, ".", EINVAL, ".: ", ""},
};

START_TEST(opening_refused)
{
	const char *const *options = refusals[_i].options;
	struct vdisk_image *image;
	struct vdisk_error e;
	int r = vdisk_open(refusals[_i].path, options, NULL, NULL, &image, &e);

	ck_assert_fails(r, refusals[_i].code, &e, refusals[_i].text);
	ck_assert_msg(strstr(e.hint, refusals[_i].hint), "the hint is \"%s\"", e.hint);
}
END_TEST

START_TEST(an_error_left_as_it_was)
{
	struct vdisk_error e = {.code = 99};
	struct vdisk_image *image;
	struct vdisk_disk *disk;
	char *json;

	ck_assert_int_eq(vdisk_open("top.qcow2", NULL, NULL, NULL, &image, &e), 0);
	ck_assert_int_eq(vdisk_disk_open(image, "", &disk, &e), 0);
	ck_assert_int_eq(vdisk_info(image, "snapshots/two", &json, &e), 0);
	ck_assert_ptr_nonnull(strstr(json, "\"virtual-size\": 8388608"));
	free(json);
	vdisk_disk_close(disk);
	ck_assert_int_eq(vdisk_close(image, &e), 0);
	ck_assert_int_eq(e.code, 99);
}
END_TEST

START_TEST(an_image_in_use)
{
	struct vdisk_image *image = api_open("top.qcow2", NULL);
	struct vdisk_disk *disk = api_disk(image, "partitions/1"), *other = api_disk(image, "");
	struct vdisk_error e;

	ck_assert_fails(vdisk_close(image, &e), EBUSY, &e, "top.qcow2: 2 of its disks are open");
	vdisk_disk_close(other);
	ck_assert_fails(vdisk_close(image, &e), EBUSY, &e, "1 of its disks");
	vdisk_disk_close(disk);
	api_close(image);
	vdisk_disk_close(NULL);
	api_close(NULL);
}
END_TEST

/* Requests at and past the end, and properties. */
START_TEST(ranges)
{
	struct vdisk_image *image = api_open("top.qcow2", NULL);
	struct vdisk_disk *disk = api_disk(image, "partitions/2");
	enum vdisk_extent_kind kind;
	struct vdisk_error e;
	uint64_t n;
	char buf[2];

	ck_assert_uint_eq(vdisk_disk_size(disk), PART2_LEN);
	ck_assert_uint_eq(vdisk_disk_sector_size(disk), 512);
	ck_assert_uint_eq(vdisk_disk_preferred(disk), 65536);
	ck_assert(!vdisk_disk_is_writable(disk));
	ck_assert_int_eq(vdisk_read(disk, buf, 0, PART2_LEN, &e), 0);
	ck_assert_int_eq(vdisk_read(disk, buf, 1, PART2_LEN - 1, &e), 0);
	ck_assert_fails(vdisk_read(disk, buf, 2, PART2_LEN - 1, &e), EINVAL, &e,
		"top.qcow2/partitions/2: 2 bytes at 1048575 pass the end");
	ck_assert_fails(vdisk_read(disk, buf, 2, UINT64_MAX, &e), EINVAL, &e, "pass the end");
	ck_assert_fails(vdisk_extent(disk, 2, PART2_LEN - 1, &kind, &n, &e), EINVAL, &e, "not in");
	ck_assert_fails(vdisk_extent(disk, 0, 0, &kind, &n, &e), EINVAL, &e, "0 bytes");
	ck_assert_fails(vdisk_write(disk, buf, 1, 0, &e), EROFS, &e,
		"top.qcow2/partitions/2: it can only be read");
	ck_assert_int_eq(vdisk_zero(disk, 1, 0, 0, NULL), -EROFS);
	ck_assert_int_eq(vdisk_discard(disk, 1, 0, NULL), -EROFS);
	ck_assert_int_eq(vdisk_flush(disk, NULL), 0);
	vdisk_disk_close(disk);
	api_close(image);
}
END_TEST

/* A package with several disks, of which the option chooses one. */
START_TEST(disks_of_a_package)
{
	struct package_test w;
	struct vdisk_image *image;
	struct vdisk_error e;

	package_test_begin(&w);
	add_descriptor(&w, RAW, "", LIST("a.raw", "b.raw"));
	add_disk(&w, "a.raw");
	w.disk[0]++;
	add_disk(&w, "b.raw");
	tar_build_write(&w.tar, "x.ova");
	ck_assert_fails(vdisk_open("x.ova", NULL, NULL, NULL, &image, &e), ENOTSUP, &e,
		"2 disks, of which only one can be opened at a time: a.raw, b.raw");
	ck_assert_ptr_nonnull(strstr(e.hint, "disk=NAME opens one of them"));
	image = api_open("x.ova", "disk=b.raw", NULL);
	ck_assert_str_eq(vdisk_format(image), "raw");
	api_reads(image, "", w.disk, sizeof w.disk);
	api_close(image);
	package_test_end(&w);
}
END_TEST

static void keep_warning(void *arg, const char *text)
{
	char *kept = arg;

	strncat(kept, text, 499 - strlen(kept));
}

/* Each image has its own receiver of warnings. */
START_TEST(warnings)
{
	char of_top[500] = "", of_base[500] = "", of_other[500] = "";
	struct vdisk_image *top, *base, *other;
	FILE *f = fopen("base.qcow2", "r+");

	make_image("raw", "other.raw", 512, NULL, NULL);
	ck_assert(fseek(f, 79, SEEK_SET) == 0 && putc(2, f) == 2 && fclose(f) == 0);
	ck_assert_int_eq(vdisk_open("top.qcow2", NULL, keep_warning, of_top, &top, NULL), 0);
	ck_assert_int_eq(vdisk_open("other.raw", NULL, keep_warning, of_other, &other, NULL), 0);
	ck_assert_int_eq(vdisk_open("base.qcow2", NULL, keep_warning, of_base, &base, NULL), 0);
	ck_assert_ptr_nonnull(strstr(of_top, "base.qcow2: marked corrupt"));
	ck_assert_ptr_nonnull(strstr(of_base, "base.qcow2: marked corrupt"));
	ck_assert_str_eq(of_other, "");
	api_close(top);
	api_close(base);
	api_close(other);
}
END_TEST

struct reader {
	pthread_t thread;
	struct vdisk_image *image;
	uint64_t random;
	unsigned bad;
};

/* Reads random pieces of disks that it opens itself. */
static void *read_disks(void *arg)
{
	struct reader *r = arg;
	const struct {
		const char *path;
		const unsigned char *bytes;
		size_t len;
	} disks[] = {
		{"", images.live, DISK_LEN},
		{"snapshots/two", images.two, DISK_LEN},
		{"chain/1/partitions/1", images.base + PART1, PART1_LEN},
		{"snapshots/one%2Fa/partitions/1", images.one + PART1, PART1_LEN},
	};
	unsigned char buf[10000];

	for (unsigned i = 0; i < 400; i++) {
		size_t k = next_random(&r->random) % COUNT(disks);
		size_t off = next_random(&r->random) % disks[k].len;
		size_t len = next_random(&r->random) % sizeof buf;
		struct vdisk_disk *disk;

		if (len > disks[k].len - off)
			len = disks[k].len - off;
		r->bad += vdisk_disk_open(r->image, disks[k].path, &disk, NULL) != 0 ||
			  vdisk_read(disk, buf, len, off, NULL) != 0 ||
			  memcmp(buf, disks[k].bytes + off, len) != 0;
		vdisk_disk_close(disk);
	}
	return NULL;
}

/* Eight threads, two images of the same files, with a cache that evicts. */
START_TEST(threads_that_read)
{
	struct vdisk_image *of[2] = {
		api_open("top.qcow2", "cache=1M", NULL), api_open("top.qcow2", NULL)};
	struct reader readers[8];

	for (size_t i = 0; i < COUNT(readers); i++) {
		readers[i] = (struct reader){.image = of[i % 2], .random = i + 1};
		ck_assert_int_eq(
			pthread_create(&readers[i].thread, NULL, read_disks, &readers[i]), 0);
	}
	for (size_t i = 0; i < COUNT(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		ck_assert_uint_eq(readers[i].bad, 0);
	}
	api_close(of[0]);
	api_close(of[1]);
}
END_TEST

Suite *api_suite(void)
{
	TCase *tc = tcase_create("api");

	use_temp_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, paths_listed);
	tcase_add_test(tc, a_list_ended);
	tcase_add_test(tc, bytes_of_each_path);
	tcase_add_test(tc, paths_of_nothing);
	tcase_add_loop_test(tc, opening_refused, 0, COUNT(refusals));
	tcase_add_test(tc, an_error_left_as_it_was);
	tcase_add_test(tc, an_image_in_use);
	tcase_add_test(tc, ranges);
	tcase_add_test(tc, disks_of_a_package);
	tcase_add_test(tc, warnings);
	tcase_add_test(tc, threads_that_read);
	return suite_of("api", tc);
}
