/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "image/format.h"
#include "image/image.h"
#include "open/open.h"
#include "image/info.h"
#include "common/memory_image.h"
#include "common/unit.h"
#include "view/view.h"

#define CLUSTER  4096u
#define L1       CLUSTER
#define TABLE    (2 * CLUSTER)
#define DATA     (3 * CLUSTER)
#define FILE_LEN (12 * CLUSTER)
#define CLUSTERS 20
#define TAIL     1000 /* bytes of an incomplete cluster at the end of the file */

static void put_entry(struct memory_image *m, unsigned guest, uint64_t entry)
{
	put_le(m->file + TABLE + 8 * guest, 8, entry);
}

static void put_cluster(struct memory_image *m, unsigned guest, unsigned stored)
{
	put_entry(m, guest, DATA + stored * CLUSTER);
	memory_image_data(m, DATA + stored * CLUSTER, guest * CLUSTER, CLUSTER);
}

/* 20 clusters: 0, 1, 2 and 9 are allocated, the first three contiguous; 4 to 6 are zero. */
static struct memory_image build(void)
{
	struct memory_image m = memory_image_new("qed", FILE_LEN + TAIL, CLUSTERS * CLUSTER);

	memcpy(m.file, "QED", 4);
	put_le(m.file + 4, 4, CLUSTER);
	put_le(m.file + 8, 4, 1);
	put_le(m.file + 12, 4, 1);
	put_le(m.file + 40, 8, L1);
	put_le(m.file + 48, 8, m.disk_len);
	put_le(m.file + L1, 8, TABLE);
	put_cluster(&m, 0, 1);
	put_cluster(&m, 1, 2);
	put_cluster(&m, 2, 3);
	put_cluster(&m, 9, 0);
	put_entry(&m, 4, 1);
	put_entry(&m, 5, 1);
	put_entry(&m, 6, 1);
	return m;
}

START_TEST(reads_expected_data)
{
	struct memory_image m = build();

	memory_image_reads(&m);
	memory_image_extent(&m, 10, EXTENT_FILE, 3 * CLUSTER - 10);
	memory_image_extent(&m, 4 * CLUSTER, EXTENT_ZERO, 3 * CLUSTER);
	memory_image_extent(&m, 10 * CLUSTER, EXTENT_ZERO, 10 * CLUSTER);
	memory_image_free(&m);
}
END_TEST

static const struct field_case hostile[] = {
	{4, 4, 0, EINVAL, "cluster size 0"},
	{4, 4, 2048, EINVAL, "cluster size 2048"},
	{4, 4, 4097, EINVAL, "cluster size 4097"},
	{4, 4, 1u << 27, EINVAL, "cluster size 134217728"},
	{8, 4, 0, EINVAL, "tables of 0 clusters"},
	{8, 4, 3, EINVAL, "tables of 3 clusters"},
	{8, 4, 32, EINVAL, "tables of 32 clusters"},
	{12, 4, 0, EINVAL, "header of 0 clusters"},
	{12, 4, 1u << 20, EINVAL, "header of 1048576 clusters"},
	{12, 4, 2, EINVAL, "L1 table: offset 0x1000 is in the header"},
	{16, 8, 8, ENOTSUP, "feature: bit 3"},
	{16, 8, UINT64_C(1) << 63, ENOTSUP, "feature: bit 63"},
	{40, 8, L1 + 8, EINVAL, "not a multiple of 4096"},
	{40, 8, FILE_LEN, EINVAL, "pass the end"},
	{40, 8, ~UINT64_C(4095), EINVAL, "pass the end"},
	{48, 8, 513, EINVAL, "disk size: 513"},
	{48, 8, 512u * 512 * 4096 + 512, EINVAL, "513 entries of the L1 table, which has 512"},
	{48, 8, ~UINT64_C(511), EINVAL, "disk size: 18446744073709551104"},
	{16, 8, 1, EINVAL, "backing file name: 0 bytes"},
};

START_TEST(hostile_headers)
{
	struct memory_image m = build();

	put_le(m.file + hostile[_i].pos, hostile[_i].width, hostile[_i].value);
	memory_image_refused(&m, hostile[_i].code, hostile[_i].text);
	memory_image_free(&m);
}
END_TEST

static const struct {
	uint64_t entry;
	int code;
	const char *part;
} bad[] = {
	{2, EUCLEAN, "not at a multiple of 4096"},
	{DATA | 1, EUCLEAN, "not at a multiple of 4096"},
	{L1, EUCLEAN, "where the L1 table is"},
	{FILE_LEN, EIO, "past the end of the file, 0xc000"},
	{~UINT64_C(4095), EIO, "past the end"},
};

START_TEST(bad_entries)
{
	struct memory_image m = build();

	put_entry(&m, 1, bad[_i].entry);
	memory_image_damaged(&m, CLUSTER, CLUSTER, bad[_i].code, bad[_i].part);
	put_entry(&m, 1, DATA);
	put_le(m.file + L1, 8, bad[_i].entry);
	memory_image_damaged(&m, 0, m.disk_len, bad[_i].code, bad[_i].part);
	memory_image_free(&m);
}
END_TEST

/* With the largest clusters and tables, too large sizes are refused; nothing overflows. */
START_TEST(largest_geometry)
{
	struct memory_image m = build();

	put_le(m.file + 4, 4, 1u << 26);
	put_le(m.file + 8, 4, 16);
	put_le(m.file + 40, 8, UINT64_C(1) << 26);
	put_le(m.file + 48, 8, INT64_MAX & ~511);
	memory_image_refused(&m, EINVAL, "L1 table: 1073741824 bytes at 0x4000000");
	memory_image_free(&m);
}
END_TEST

/* The NEED_CHECK flag, which a crash leaves, does not prevent reading. */
START_TEST(need_check)
{
	struct memory_image m = build();
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;
	char *info;

	put_le(m.file + 16, 8, 2);
	memory_image_reads(&m);
	ck_assert_ok(memory_image_open(&m, &o, &img, &e), &e);
	info = info_json(img, img->states[0], &e);
	ck_assert_ptr_nonnull(strstr(info, "\"dirty-flag\": true"));
	ck_assert_ptr_nonnull(strstr(info, "\"cluster-size\": 4096"));
	free(info);
	image_close(img);
	options_free(&o);
	memory_image_free(&m);
}
END_TEST

START_TEST(every_read_fails_once)
{
	struct memory_image m = build();

	memory_image_faults(&m, 6);
	memory_image_free(&m);
}
END_TEST

static void write_child(const char *name, const char *parent, unsigned features)
{
	struct memory_image m = build();

	put_le(m.file + 16, 8, features);
	put_le(m.file + 56, 4, 64);
	put_le(m.file + 60, 4, strlen(parent));
	memcpy(m.file + 64, parent, strlen(parent));
	write_file(name, m.file, m.file_len);
	memory_image_free(&m);
}

/* With the flag, the backing file is raw; without it, its format is probed. */
START_TEST(parents)
{
	struct memory_image m = build();
	struct image_options o = options_new();
	unsigned char buf[16];
	struct err e = ERR_INIT;
	struct image *img;
	bool raw = _i;

	write_file("base", m.file, m.file_len);
	write_child("x.qed", "base", raw ? 5 : 1);
	ck_assert_ok(image_open("x.qed", &o, &img, &e), &e);
	ck_assert_str_eq(img->parent->format->name, raw ? "raw" : "qed");
	ck_assert_ok(view_read(img->states[0]->view, buf, sizeof buf, 3 * CLUSTER, &e), &e);
	ck_assert_mem_eq(buf, (raw ? m.file : m.disk) + 3 * CLUSTER, sizeof buf);
	ck_assert_ok(view_read(img->states[0]->view, buf, sizeof buf, 5 * CLUSTER, &e), &e);
	ck_assert_uint_eq(buf[0], 0); /* a zero cluster hides the backing file */
	image_close(img);
	options_free(&o);
	memory_image_free(&m);
}
END_TEST

START_TEST(names_of_parents)
{
	static const struct {
		uint32_t pos, len;
		const char *part;
	} names[] = {
		{64, 0, "0 bytes are not 1..1023"},
		{64, 1024, "1024 bytes are not"},
		{CLUSTER - 4, 5, "not inside the header"},
		{UINT32_MAX, 5, "not inside the header"},
		{64, 5, "a NUL in it"},
	};
	struct memory_image m = build();

	put_le(m.file + 16, 8, 1);
	put_le(m.file + 56, 4, names[_i].pos);
	put_le(m.file + 60, 4, names[_i].len);
	memory_image_refused(&m, EINVAL, names[_i].part);
	memory_image_free(&m);
}
END_TEST

Suite *qed_suite(void)
{
	TCase *tc = tcase_create("qed");

	use_temp_dir(tc);
	tcase_add_test(tc, reads_expected_data);
	tcase_add_loop_test(tc, hostile_headers, 0, COUNT(hostile));
	tcase_add_loop_test(tc, bad_entries, 0, COUNT(bad));
	tcase_add_test(tc, largest_geometry);
	tcase_add_test(tc, need_check);
	tcase_add_test(tc, every_read_fails_once);
	tcase_add_loop_test(tc, parents, 0, 2);
	tcase_add_loop_test(tc, names_of_parents, 0, 5);
	return suite_of("qed", tc);
}
