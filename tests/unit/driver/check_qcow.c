/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_qcow.c - qcow version 1, and the two-level tables that it shares with QED. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "util/err.h"
#include "image/format.h"
#include "image/image.h"
#include "open/open.h"
#include "luks-make.h"
#include "common/memory_image.h"
#include "io/passphrase.h"
#include "common/unit.h"
#include "view/view.h"

#define CLUSTER    4096u
#define TABLE      CLUSTER       /* the first L2 table, of 512 entries */
#define DATA       (2 * CLUSTER) /* the first data cluster */
#define FILE_LEN   (16 * CLUSTER)
#define CLUSTERS   20
#define COMPRESSED (UINT64_C(1) << 63)

static void put_entry(struct memory_image *m, unsigned guest, uint64_t entry)
{
	put_be(m->file + TABLE + 8 * guest, 8, entry);
}

/* Maps cluster guest of the disk to data cluster number stored. */
static void put_cluster(struct memory_image *m, unsigned guest, unsigned stored)
{
	put_entry(m, guest, DATA + stored * CLUSTER);
	memory_image_data(m, DATA + stored * CLUSTER, guest * CLUSTER, CLUSTER);
}

/* The same, compressed at pos.  Returns the length of the compressed data. */
static size_t put_compressed(struct memory_image *m, unsigned guest, size_t pos)
{
	unsigned char *disk = m->disk + guest * CLUSTER;
	z_stream z = {.next_in = disk, .avail_in = CLUSTER, .next_out = m->file + pos};
	size_t n;

	memset(disk, 0x40 + guest, CLUSTER);
	z.avail_out = m->file_len - pos;
	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, -12, 9, 0), Z_OK);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	n = z.total_out;
	deflateEnd(&z);
	put_entry(m, guest, COMPRESSED | (uint64_t)n << 51 | pos);
	return n;
}

/* 20 clusters: 0, 1, 2, 7 and 19 are allocated, the first three contiguous; 4 and 5 are
 * compressed. */
static struct memory_image build(void)
{
	struct memory_image m = memory_image_new("qcow", FILE_LEN, CLUSTERS * CLUSTER);

	memcpy(m.file, "QFI\xfb\0\0\0\1", 8);
	put_be(m.file + 24, 8, m.disk_len);
	m.file[32] = 12;
	m.file[33] = 9;
	put_be(m.file + 40, 8, 48);
	put_be(m.file + 48, 8, TABLE);
	put_cluster(&m, 0, 1);
	put_cluster(&m, 1, 2);
	put_cluster(&m, 2, 3);
	put_cluster(&m, 7, 0);
	put_cluster(&m, 19, 4);
	put_compressed(&m, 4, DATA + 5 * CLUSTER);
	put_compressed(&m, 5, DATA + 5 * CLUSTER + 512);
	return m;
}

START_TEST(reads_expected_data)
{
	struct memory_image m = build();

	memory_image_reads(&m);
	memory_image_free(&m);
}
END_TEST

static void encrypt_cluster(struct memory_image *m, unsigned guest, unsigned stored)
{
	static const unsigned char key[16] = "passphrase";

	ck_assert_int_eq(luks_encrypt_with("aes", "cbc-plain64", key, sizeof key,
				 m->file + DATA + stored * CLUSTER, CLUSTER, guest * CLUSTER / 512),
		0);
}

/* Encrypts all clusters that are not compressed; the last one is partial. */
START_TEST(encrypted_with_aes)
{
	struct passphrase secret = {.bytes = (unsigned char *)"passphrase", .len = 10};
	struct memory_image m = build();
	struct image_options o = options_new();
	unsigned char *buf = malloc(m.disk_len);
	struct err e = ERR_INIT;
	const struct view *v;
	struct image *img;

	put_be(m.file + 36, 4, 1);
	encrypt_cluster(&m, 0, 1);
	encrypt_cluster(&m, 1, 2);
	encrypt_cluster(&m, 2, 3);
	encrypt_cluster(&m, 7, 0);
	put_cluster(&m, 19, 13); /* the last cluster of the file */
	encrypt_cluster(&m, 19, 13);
	ck_assert_fails(memory_image_open(&m, &o, &img, &e), ENOKEY, &e, "encrypted (AES)");
	o.secrets = &secret;
	m.file_len -= 512 + 1;
	ck_assert_ok(memory_image_open(&m, &o, &img, &e), &e);
	v = img->states[0]->view;
	ck_assert_ok(view_read(v, buf, m.disk_len - 1024, 0, &e), &e);
	ck_assert_int_eq(memcmp(buf, m.disk, m.disk_len - 1024), 0);
	ck_assert_fails(view_read(v, buf, 1, m.disk_len - 1024, &e), EIO, &e, "past the end");
	ck_assert_fails(view_read(v, buf, 1, m.disk_len - 1, &e), EIO, &e, "past the end");
	image_close(img);
	options_free(&o);
	memory_image_free(&m);
	free(buf);
}
END_TEST

START_TEST(contiguous_clusters_are_one_extent)
{
	struct memory_image m = build();

	memory_image_extent(&m, 10, EXTENT_FILE, 3 * CLUSTER - 10);
	memory_image_extent(&m, 3 * CLUSTER, EXTENT_ZERO, CLUSTER);
	memory_image_extent(&m, 4 * CLUSTER + 1, EXTENT_GENERATED, CLUSTER - 1);
	memory_image_extent(&m, 8 * CLUSTER, EXTENT_ZERO, 11 * CLUSTER);
	/* no L2 table: the extent ends with the page of the L1 table */
	put_be(m.file + 48, 8, 0);
	memory_image_extent(&m, 5, EXTENT_ZERO, m.disk_len - 5);
	memory_image_free(&m);
}
END_TEST

static const struct field_case hostile[] = {
	{0, 4, 0x514649fa, EINVAL, "not a disk image"},
	{4, 4, 0, ENOTSUP, "version 0"},
	{8, 8, FILE_LEN - 3, EINVAL, "backing file name: 0 bytes"},
	{24, 8, 1, EINVAL, "disk size: 1 is outside"},
	{24, 8, UINT64_MAX, EINVAL, "disk size: 18446744073709551615"},
	{24, 8, INT64_MAX, EINVAL, "L1 table: 4398046511104 entries"},
	{32, 1, 8, EINVAL, "cluster_bits: 8"},
	{32, 1, 17, EINVAL, "cluster_bits: 17"},
	{33, 1, 5, EINVAL, "l2_bits: 5"},
	{33, 1, 14, EINVAL, "l2_bits: 14"},
	{36, 4, 1, ENOKEY, "encrypted"},
	{36, 4, 2, ENOTSUP, "encryption method 2"},
	{40, 8, 47, EINVAL, "L1 table: offset 47 is in the header"},
	{40, 8, FILE_LEN - 7, EINVAL, "L1 table: 1 entries at 0xfff9"},
	{40, 8, UINT64_MAX - 7, EINVAL, "pass the end"},
};

START_TEST(hostile_headers)
{
	struct memory_image m = build();

	put_be(m.file + hostile[_i].pos, hostile[_i].width, hostile[_i].value);
	memory_image_refused(&m, hostile[_i].code, hostile[_i].text);
	memory_image_free(&m);
}
END_TEST

/* Invalid L2 entries of cluster 1, and invalid L1 entries of its table. */
static const struct {
	uint64_t entry;
	int code;
	const char *part;
} bad[] = {
	{DATA + 8, EUCLEAN, "data cluster at 0x2008, not at a multiple of 512"},
	{FILE_LEN, EIO, "past the end of the file"},
	{(COMPRESSED - 1) & ~UINT64_C(511), EIO, "past the end of the file"},
	{COMPRESSED | DATA, EUCLEAN, "a compressed cluster of no bytes"},
	{COMPRESSED | UINT64_C(9) << 51 | 40, EUCLEAN, "where the header is"},
	{COMPRESSED | UINT64_C(9) << 51 | 50, EUCLEAN, "where the L1 table is"},
	{COMPRESSED | UINT64_C(9) << 51 | (FILE_LEN - 8), EIO, "the file ends at 65536"},
	{COMPRESSED | UINT64_C(3) << 51 | (DATA + 5 * CLUSTER), EUCLEAN, "compressed cluster at"},
};

START_TEST(bad_entries)
{
	struct memory_image m = build();

	put_entry(&m, 1, bad[_i].entry);
	memory_image_damaged(&m, CLUSTER, CLUSTER, bad[_i].code, bad[_i].part);
	memory_image_free(&m);
}
END_TEST

static const struct {
	uint64_t pos;
	int code;
	const char *part;
} bad_tables[] = {
	{40, EUCLEAN, "L1 entry 0: L2 table at 0x28, where the header is"},
	{55, EUCLEAN, "where the L1 table is"},
	{FILE_LEN, EIO, "past the end"},
	{FILE_LEN - CLUSTER + 1, EIO, "passes the end"},
	{UINT64_MAX, EIO, "past the end"},
};

START_TEST(bad_table)
{
	struct memory_image m = build();

	put_be(m.file + 48, 8, bad_tables[_i].pos);
	memory_image_damaged(&m, 0, m.disk_len, bad_tables[_i].code, bad_tables[_i].part);
	memory_image_free(&m);
}
END_TEST

START_TEST(every_read_fails_once)
{
	struct memory_image m = build();

	memory_image_faults(&m, 8);
	memory_image_free(&m);
}
END_TEST

/* Backing files; their formats are not recorded. */

static void write_child(const char *name, const char *parent)
{
	struct memory_image m = build();
	size_t pos = FILE_LEN - CLUSTER;

	put_be(m.file + 8, 8, pos);
	put_be(m.file + 16, 4, strlen(parent));
	memcpy(m.file + pos, parent, strlen(parent));
	write_file(name, m.file, m.file_len);
	memory_image_free(&m);
}

START_TEST(on_a_raw_parent)
{
	struct image_options o = options_new();
	unsigned char base[10 * CLUSTER + 100], buf[CLUSTER], zeroes[CLUSTER] = {0};
	struct err e = ERR_INIT;
	struct image *img;
	struct view *v;

	fill_pattern(base, sizeof base, 77);
	write_file("base", base, sizeof base);
	write_child("x.qcow", "base");
	ck_assert_ok(image_open("x.qcow", &o, &img, &e), &e);
	ck_assert_str_eq(img->parent->format->name, "raw");
	v = img->states[0]->view;
	ck_assert_ok(view_read(v, buf, CLUSTER, 3 * CLUSTER, &e), &e);
	ck_assert_mem_eq(buf, base + 3 * CLUSTER, CLUSTER);
	ck_assert_ok(view_read(v, buf, CLUSTER, 10 * CLUSTER, &e), &e);
	ck_assert_mem_eq(buf, base + 10 * CLUSTER, 100);
	ck_assert_mem_eq(buf + 100, zeroes, CLUSTER - 100);
	image_close(img);
	options_free(&o);
}
END_TEST

/* The format of the backing file is probed; then it must not have a backing file itself, unless
 * the user specifies its format. */
START_TEST(on_a_parent_with_a_parent)
{
	static const char *const formats[] = {"qcow", NULL};
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	write_file("base", "x", 1);
	write_child("y.qcow", "base");
	write_child("x.qcow", "y.qcow");
	ck_assert_fails(image_open("x.qcow", &o, &img, &e), EACCES, &e, "does not record");
	ck_assert_ptr_nonnull(strstr(hint_of(&e), "use -o parent_format=qcow"));
	o.parent_formats = formats;
	ck_assert_ok(image_open("x.qcow", &o, &img, &e), &e);
	ck_assert_uint_eq(image_depth(img), 3);
	image_close(img);
	options_free(&o);
}
END_TEST

START_TEST(names_of_parents)
{
	static const struct {
		uint64_t pos;
		uint32_t len;
		const char *part;
	} names[] = {
		{FILE_LEN - 100, 0, "0 bytes are not 1..1023"},
		{FILE_LEN - 2000, 1024, "1024 bytes are not"},
		{FILE_LEN - 100, 101, "passes the end"},
		{UINT64_MAX, 1, "passes the end"},
		{FILE_LEN - 100, 5, "a NUL in it"},
	};
	struct memory_image m = build();

	put_be(m.file + 8, 8, names[_i].pos);
	put_be(m.file + 16, 4, names[_i].len);
	memory_image_refused(&m, EINVAL, names[_i].part);
	memory_image_free(&m);
}
END_TEST

Suite *qcow_suite(void)
{
	TCase *tc = tcase_create("qcow");

	use_temp_dir(tc);
	tcase_add_test(tc, reads_expected_data);
	tcase_add_test(tc, encrypted_with_aes);
	tcase_add_test(tc, contiguous_clusters_are_one_extent);
	tcase_add_loop_test(tc, hostile_headers, 0, COUNT(hostile));
	tcase_add_loop_test(tc, bad_entries, 0, COUNT(bad));
	tcase_add_loop_test(tc, bad_table, 0, COUNT(bad_tables));
	tcase_add_test(tc, every_read_fails_once);
	tcase_add_test(tc, on_a_raw_parent);
	tcase_add_test(tc, on_a_parent_with_a_parent);
	tcase_add_loop_test(tc, names_of_parents, 0, 5);
	return suite_of("qcow", tc);
}
