/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_qcow2.c - opening: the header, its extensions, files beside the image. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "build/qcow2.h"
#include "image/format.h"
#include "open/registry.h"
#include "image/info.h"
#include "common/test_image.h"
#include "common/unit.h"
#include "open/open.h"

#define FEATURES  0x6803f857u
#define DATA_FILE 0x44415441u
#define LUKS      0x0537be77u

enum { BIT_DIRTY = 1, BIT_CORRUPT = 2, BIT_DATA_FILE = 4, BIT_COMPRESSION = 8, BIT_EXTENDED = 16 };

static struct subject s;
static struct build_qcow2 b;

static void setup(void)
{
	subject_new(&s, "qcow2");
	build_qcow2_new(&b, 3, 9, 0);
}

static void teardown(void)
{
	subject_free(&s);
	build_qcow2_free(&b);
}

static void rebuild(unsigned version, unsigned cluster_bits, uint64_t incompatible)
{
	build_qcow2_free(&b);
	build_qcow2_new(&b, version, cluster_bits, incompatible);
}

static void opens(void)
{
	subject_opens(&s, b.bytes, b.len);
}

static void refuses(int code, const char *text)
{
	subject_refuses(&s, b.bytes, b.len, code, text);
}

static const struct view *disk(size_t state)
{
	return s.img->states[state]->view;
}

START_TEST(all_cluster_sizes_and_versions_open)
{
	for (unsigned bits = 9; bits <= 21; bits++)
		for (unsigned version = 2; version <= 3; version++) {
			rebuild(version, bits, 0);
			build_qcow2_l2(&b, 0, build_qcow2_at(&b, AT_DATA) | ENTRY_COPIED);
			opens();
			ck_assert_uint_eq(disk(0)->size, build_qcow2_span(&b));
			subject_reads(disk(0), 0, 512, 0x10);
		}
}
END_TEST

/* A header of 104 bytes has no compression type; the byte at its offset belongs to an extension. */
START_TEST(header_of_104_bytes)
{
	b.extensions_end = 104;
	build_qcow2_extension(&b, 0x12345678, "odd", 3);
	build_qcow2_put32(&b, AT_HEADER_LENGTH, 104);
	opens();
}
END_TEST

START_TEST(disk_size_is_rounded_down)
{
	static const uint64_t sizes[][2] = {{0, 0}, {1, 0}, {511, 0}, {512, 512}, {1025, 1024}};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		build_qcow2_put64(&b, AT_SIZE, sizes[i][0]);
		opens();
		ck_assert_uint_eq(disk(0)->size, sizes[i][1]);
	}
}
END_TEST

START_TEST(empty_disk_without_l1_table)
{
	build_qcow2_put64(&b, AT_SIZE, 0);
	build_qcow2_put32(&b, AT_L1_SIZE, 0);
	build_qcow2_put64(&b, AT_L1_POS, 0);
	opens();
	ck_assert_uint_eq(disk(0)->size, 0);
}
END_TEST

static const struct field_case field_cases[] = {
	{0, 4, 0x51464900, EINVAL, "not a qcow2 image"},
	{AT_VERSION, 4, 0, ENOTSUP, "unsupported version 0"},
	{AT_VERSION, 4, 1, ENOTSUP, "qcow version 1"},
	{AT_VERSION, 4, 4, ENOTSUP, "unsupported version 4"},
	{AT_VERSION, 4, UINT32_MAX, ENOTSUP, "unsupported version 4294967295"},
	{AT_CLUSTER_BITS, 4, 0, EINVAL, "cluster_bits: 0 is outside 9..21"},
	{AT_CLUSTER_BITS, 4, 8, EINVAL, "cluster_bits: 8"},
	{AT_CLUSTER_BITS, 4, 22, EINVAL, "cluster_bits: 22"},
	{AT_CLUSTER_BITS, 4, 31, EINVAL, "cluster_bits: 31"},
	{AT_CLUSTER_BITS, 4, 63, EINVAL, "cluster_bits: 63"},
	{AT_CLUSTER_BITS, 4, UINT32_MAX, EINVAL, "cluster_bits: 4294967295"},
	{AT_SIZE, 8, INT64_MAX, EINVAL, "L1 table: 1 entries"},
	{AT_SIZE, 8, (uint64_t)INT64_MAX + 1, EINVAL, "disk size"},
	{AT_SIZE, 8, UINT64_MAX, EINVAL, "disk size"},
	{AT_SIZE, 8, 64 * 512 + 1, EINVAL, "2 needed"},
	{AT_CRYPT_METHOD, 4, 1, ENOKEY, "encrypted (AES)"},
	{AT_CRYPT_METHOD, 4, 2, EINVAL, "the LUKS header is missing"},
	{AT_CRYPT_METHOD, 4, 99, ENOTSUP, "encryption method 99"},
	{AT_L1_SIZE, 4, 0, EINVAL, "L1 table: 0 entries"},
	{AT_L1_SIZE, 4, 0x7fffffff, EFBIG, "L1 table"},
	{AT_L1_SIZE, 4, UINT32_MAX, EFBIG, "L1 table"},
	{AT_L1_SIZE, 4, 4194304, EINVAL, "pass the end of the file"},
	{AT_L1_SIZE, 4, 4194305, EFBIG, "L1 table"},
	{AT_L1_POS, 8, 0, EINVAL, "in the header"},
	{AT_L1_POS, 8, 0x1234567890abcdef, EINVAL, "not a multiple"},
	{AT_L1_POS, 8, 0x7fffffffffff0000, EINVAL, "pass the end of the file"},
	{AT_L1_POS, 8, 0xfffffffffffffe00, EINVAL, "pass the end of the file"},
	{AT_NSNAPSHOTS, 4, 65537, EFBIG, "snapshot table invalid"},
	{AT_NSNAPSHOTS, 4, UINT32_MAX, EFBIG, "snapshot table invalid"},
	{AT_SNAPSHOTS_POS, 8, 1, EINVAL, "snapshot table invalid"},
	{AT_BACKING_POS, 8, UINT64_MAX, EINVAL, "backing file name out of range"},
	{AT_BACKING_POS, 8, 513, EINVAL, "backing file name out of range"},
	{AT_BACKING_POS, 8, 256, EINVAL, "backing file name: 0 bytes"},
	{AT_HEADER_LENGTH, 4, 0, EINVAL, "header length: 0"},
	{AT_HEADER_LENGTH, 4, 100, EINVAL, "header length: 100"},
	{AT_HEADER_LENGTH, 4, 520, EINVAL, "header length: 520"},
	{AT_HEADER_LENGTH, 4, UINT32_MAX, EINVAL, "header length"},
	{AT_REFCOUNT_ORDER, 4, 7, EINVAL, "refcount order: 7"},
	{AT_REFCOUNT_ORDER, 4, UINT32_MAX, EINVAL, "refcount order"},
	{AT_COMPRESSION, 1, 1, EINVAL, "bit 3 must be set"},
	{AT_COMPRESSION, 1, 7, ENOTSUP, "compression type 7"},
	{AT_INCOMPATIBLE, 8, BIT_COMPRESSION, EINVAL, "bit 3 must be clear"},
	{AT_INCOMPATIBLE, 8, BIT_DATA_FILE, EINVAL, "data file is missing"},
	{AT_INCOMPATIBLE, 8, BIT_EXTENDED, EINVAL, "cluster_bits: 9 is less than 14"},
	{AT_INCOMPATIBLE, 8, UINT64_C(1) << 62, ENOTSUP, "feature: bit 62"},
};

START_TEST(hostile_header_values_are_refused)
{
	const struct field_case *c = &field_cases[_i];

	build_qcow2_field(&b, c->pos, c->width, c->value);
	refuses(c->code, c->text);
}
END_TEST

START_TEST(truncated_files_are_refused)
{
	static const struct {
		size_t len;
		int code;
		const char *text;
	} cuts[] = {
		{0, EINVAL, "not a qcow2 image"},
		{4, ENOTSUP, "unsupported version 0"},
		{24, EINVAL, "header truncated"},
		{103, EINVAL, "header truncated: the file has 103 bytes, not 104"},
		{112, EINVAL, "pass the end of the file"},
	};

	for (size_t i = 0; i < COUNT(cuts); i++)
		subject_refuses(&s, b.bytes, cuts[i].len, cuts[i].code, cuts[i].text);
}
END_TEST

/* Damage that affects only writers does not prevent reading. */
START_TEST(bad_refcounts_are_ignored)
{
	static const struct field_case bad[] = {
		{AT_REFTABLE_POS, 8, 0, 0, NULL},
		{AT_REFTABLE_POS, 8, 513, 0, NULL},
		{AT_REFTABLE_POS, 8, 0xffffffffffff0000, 0, NULL},
		{AT_REFTABLE_CLUSTERS, 4, 0, 0, NULL},
		{AT_REFTABLE_CLUSTERS, 4, UINT32_MAX, 0, NULL},
		{AT_INCOMPATIBLE, 8, BIT_DIRTY | BIT_CORRUPT, 0, NULL},
	};

	build_qcow2_l2(&b, 1, build_qcow2_at(&b, AT_DATA + 1));
	for (size_t i = 0; i < COUNT(bad); i++) {
		build_qcow2_field(&b, bad[i].pos, bad[i].width, bad[i].value);
		opens();
		subject_reads(disk(0), 512, 512, 0x11);
	}
}
END_TEST

START_TEST(unknown_compatible_features_are_ignored)
{
	build_qcow2_put64(&b, AT_COMPATIBLE, UINT64_MAX);
	build_qcow2_put64(&b, AT_AUTOCLEAR, UINT64_MAX);
	build_qcow2_extension(&b, 0x12345678, "what is this", 12);
	opens();
}
END_TEST

START_TEST(unknown_features_are_named)
{
	unsigned char table[2 * 48] = "";

	memcpy(table, "\0\x3fodd\n\x1bname", 11);
	memcpy(table + 48, "\1\x3ewrong set", 12);
	build_qcow2_put64(&b, AT_INCOMPATIBLE, UINT64_C(3) << 62);
	build_qcow2_extension(&b, FEATURES, table, sizeof table);
	refuses(ENOTSUP, "feature: odd??name (bit 63), bit 62");
	b.bytes[b.extensions_end - sizeof table - 4] = 0xff; /* length of the feature name table */
	refuses(ENOTSUP, "feature: bit 62, bit 63");
}
END_TEST

START_TEST(broken_extensions_are_refused)
{
	static const uint32_t lengths[] = {393, 0x7fffffff, 0xfffffff8, 0xffffffff};

	for (size_t i = 0; i < COUNT(lengths); i++) {
		build_qcow2_put32(&b, 112, 0x12345678);
		build_qcow2_put32(&b, 116, lengths[i]);
		refuses(EINVAL, "header extension at 0x70");
	}
	build_qcow2_put32(&b, 116, 392); /* the rest of the cluster */
	opens();
}
END_TEST

START_TEST(luks_header_in_a_plain_image_is_refused)
{
	build_qcow2_extension(&b, LUKS, "0123456789abcdef", 16);
	refuses(EINVAL, "LUKS");
}
END_TEST

START_TEST(backing_file_name)
{
	s.o.nobacking = true;
	build_qcow2_backing(&b, "base.img", "raw");
	opens();
	ck_assert_str_eq(s.img->parent_name, "base.img");
	ck_assert_str_eq(s.img->parent_format, "raw");
	subject_fails(disk(0), 0, EIO, "left closed");
}
END_TEST

START_TEST(backing_file_without_format)
{
	s.o.nobacking = true;
	build_qcow2_backing(&b, "base.img", "");
	opens();
	ck_assert_str_eq(s.img->parent_name, "base.img");
	ck_assert_ptr_null(s.img->parent_format);
}
END_TEST

START_TEST(extensions_in_version_2)
{
	rebuild(2, 9, 0);
	s.o.nobacking = true;
	build_qcow2_backing(&b, "base.img", NULL);
	opens();
	ck_assert_str_eq(s.img->parent_name, "base.img");
	ck_assert_ptr_null(s.img->parent_format);
}
END_TEST

START_TEST(bad_names_are_refused)
{
	build_qcow2_backing(&b, "base.img", "sixteen bytes ok");
	refuses(EINVAL, "backing format: 16 bytes");
	rebuild(3, 9, 0);
	build_qcow2_backing(&b, "base.img", "raw");
	b.bytes[b.extensions_end + 4] = '\0';
	refuses(EINVAL, "backing file name: has a NUL");
	rebuild(3, 12, 0);
	build_qcow2_backing(&b, "base.img", "raw");
	build_qcow2_put32(&b, AT_BACKING_LEN, 1024);
	refuses(EINVAL, "backing file name: 1024 bytes");
}
END_TEST

/* A truncated name would be that of another file. */
START_TEST(truncated_name_is_refused)
{
	build_qcow2_put64(&b, AT_SIZE, 0);
	build_qcow2_put32(&b, AT_L1_SIZE, 0);
	build_qcow2_backing(&b, "base.img", "raw");
	subject_refuses(&s, b.bytes, b.extensions_end + 4, EINVAL, "passes the end of the file");
}
END_TEST

/* External data files. */

static int open_file(void)
{
	write_file("i.qcow2", b.bytes, b.len);
	return image_open("i.qcow2", &s.o, &s.img, &s.e);
}

START_TEST(unallocated_clusters_read_the_backing_file)
{
	unsigned char base[700];

	memset(base, 0xbb, sizeof base);
	write_file("other", base, sizeof base);
	build_qcow2_backing(&b, "other", "raw");
	build_qcow2_l2(&b, 2, ENTRY_ZERO);
	ck_assert_ok(open_file(), &s.e);
	subject_reads(disk(0), 0, 700, 0xbb);
	subject_reads(disk(0), 700, disk(0)->size - 700, 0);
}
END_TEST

START_TEST(external_data_file)
{
	unsigned char data[2048];

	rebuild(3, 9, BIT_DATA_FILE);
	memset(data, 0xdd, sizeof data);
	write_file("other", data, sizeof data);
	build_qcow2_extension(&b, DATA_FILE, "other", 5);
	build_qcow2_l2(&b, 0, ENTRY_COPIED);
	build_qcow2_l2(&b, 1, ENTRY_COPIED | 512);
	build_qcow2_l2(&b, 2, ENTRY_COPIED | ENTRY_ZERO);
	build_qcow2_l2(&b, 3, ENTRY_COPIED | 512);
	build_qcow2_l2(&b, 4, ENTRY_COPIED | 2048);
	build_qcow2_l2(&b, 5, build_qcow2_compressed(&b, 512, 100));
	ck_assert_ok(open_file(), &s.e);
	subject_maps(disk(0), 0, EXTENT_FILE, 1024);
	subject_reads(disk(0), 0, 1024, 0xdd);
	subject_reads(disk(0), 1024, 512, 0);
	subject_fails(disk(0), 1536, EUCLEAN, "0x200 of the data file");
	subject_fails(disk(0), 2048, EIO, "past the end");
	subject_fails(disk(0), 2560, EUCLEAN, "compressed");
	subject_reads(disk(0), 3072, 512, 0);
}
END_TEST

START_TEST(snapshots_with_an_external_data_file)
{
	struct build_snapshot snap = {.id = "1", .name = "first"};

	rebuild(3, 9, BIT_DATA_FILE);
	write_file("other", "", 0);
	build_qcow2_extension(&b, DATA_FILE, "other", 5);
	build_qcow2_snapshot(&b, &snap);
	ck_assert_ok(open_file(), &s.e);
	subject_fails(disk(1), 0, EIO, "external data file");
}
END_TEST

START_TEST(data_file_is_the_image)
{
	rebuild(3, 9, BIT_DATA_FILE);
	build_qcow2_extension(&b, DATA_FILE, "i.qcow2", 7);
	ck_assert_fails(open_file(), ELOOP, &s.e, "the data file is the image itself");
}
END_TEST

START_TEST(info_has_the_keys_of_qemu)
{
	char *json;

	rebuild(3, 14, BIT_DIRTY | BIT_EXTENDED);
	build_qcow2_put64(&b, AT_COMPATIBLE, 1);
	opens();
	json = info_json(s.img, s.img->states[0], &s.e);
	ck_assert_ptr_nonnull(json);
	ck_assert_ptr_nonnull(strstr(json, "\"cluster-size\": 16384"));
	ck_assert_ptr_nonnull(strstr(json, "\"dirty-flag\": true"));
	ck_assert_ptr_nonnull(strstr(json, "\"compat\": \"1.1\""));
	ck_assert_ptr_nonnull(strstr(json, "\"compression-type\": \"zlib\""));
	ck_assert_ptr_nonnull(strstr(json, "\"lazy-refcounts\": true"));
	ck_assert_ptr_nonnull(strstr(json, "\"refcount-bits\": 16"));
	ck_assert_ptr_nonnull(strstr(json, "\"extended-l2\": true"));
	free(json);
}
END_TEST

START_TEST(unknown_versions_are_not_raw)
{
	struct peek p = {.head = b.bytes, .nhead = b.len, .size = b.len, .name = "x"};

	ck_assert_str_eq(registry_probe(&p)->name, "qcow2");
	build_qcow2_put32(&b, AT_VERSION, 4);
	ck_assert_str_eq(registry_probe(&p)->name, "qcow2");
	p.nhead = 4;
	ck_assert_str_eq(registry_probe(&p)->name, "qcow2");
}
END_TEST

static void add_header_tests(TCase *tc)
{
	tcase_add_test(tc, all_cluster_sizes_and_versions_open);
	tcase_add_test(tc, header_of_104_bytes);
	tcase_add_test(tc, disk_size_is_rounded_down);
	tcase_add_test(tc, empty_disk_without_l1_table);
	tcase_add_loop_test(tc, hostile_header_values_are_refused, 0, COUNT(field_cases));
	tcase_add_test(tc, truncated_files_are_refused);
	tcase_add_test(tc, bad_refcounts_are_ignored);
	tcase_add_test(tc, unknown_compatible_features_are_ignored);
	tcase_add_test(tc, unknown_features_are_named);
	tcase_add_test(tc, broken_extensions_are_refused);
	tcase_add_test(tc, luks_header_in_a_plain_image_is_refused);
	tcase_add_test(tc, backing_file_name);
	tcase_add_test(tc, backing_file_without_format);
	tcase_add_test(tc, extensions_in_version_2);
	tcase_add_test(tc, bad_names_are_refused);
	tcase_add_test(tc, truncated_name_is_refused);
	tcase_add_test(tc, info_has_the_keys_of_qemu);
	tcase_add_test(tc, unknown_versions_are_not_raw);
}

Suite *qcow2_suite(void)
{
	Suite *suite = suite_create("qcow2");
	TCase *header = tcase_create("header"), *files = tcase_create("files");

	tcase_add_checked_fixture(header, setup, teardown);
	add_header_tests(header);
	suite_add_tcase(suite, header);
	use_temp_dir(files);
	tcase_add_checked_fixture(files, setup, teardown);
	tcase_add_test(files, unallocated_clusters_read_the_backing_file);
	tcase_add_test(files, external_data_file);
	tcase_add_test(files, snapshots_with_an_external_data_file);
	tcase_add_test(files, data_file_is_the_image);
	suite_add_tcase(suite, files);
	return suite;
}
