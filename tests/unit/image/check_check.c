/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks of formats that have one or two tables and no refcounts. */
#include <errno.h>
#include <string.h>

#include "common/problems.h"
#include "common/test_image.h"
#include "common/unit.h"

#define CLUSTER 4096u

static struct subject s;
static struct findings f;
static unsigned char file[16 * CLUSTER];

static void setup(const char *format)
{
	memset(file, 0, sizeof file);
	subject_new(&s, format);
}

static void teardown(void)
{
	subject_free(&s);
}

static void finds(size_t len, const char *text)
{
	subject_opens(&s, file, len);
	findings_equal(&f, s.img, text);
}

/* QED: header in cluster 0, L1 table in 1 and 2, an L2 table in 3 and 4, data in 5 and 6. */

#define L1 (1 * CLUSTER)
#define L2 (3 * CLUSTER)

static void setup_qed(void)
{
	setup("qed");
	memcpy(file, "QED", 4);
	put_le(file + 4, 4, CLUSTER);
	put_le(file + 8, 4, 2);
	put_le(file + 12, 4, 1);
	put_le(file + 40, 8, L1);
	put_le(file + 48, 8, 1 << 20);
	put_le(file + L1, 8, L2);
	put_le(file + L2, 8, 5 * CLUSTER);
	put_le(file + L2 + 8, 8, 6 * CLUSTER);
	put_le(file + L2 + 16, 8, 1);
}

START_TEST(qed_valid)
{
	finds(7 * CLUSTER + 100, "");
	findings_count(&f, 0, 0);
	ck_assert_uint_eq(f.report.total_clusters, 256);
	ck_assert_uint_eq(f.report.allocated_clusters, 2);
	ck_assert_uint_eq(f.report.fragmented_clusters, 0);
}
END_TEST

START_TEST(qed_leak)
{
	put_le(file + L2, 8, 0);
	put_le(file + L2 + 24, 8, 5 * CLUSTER);
	finds(8 * CLUSTER, "Leaked cluster 7\n");
	findings_count(&f, 0, 1);
	ck_assert_uint_eq(f.report.fragmented_clusters, 1);
}
END_TEST

START_TEST(qed_outside_of_file)
{
	put_le(file + L1 + 8, 8, 6 * CLUSTER);
	put_le(file + L2, 8, 5 * CLUSTER + 512);
	put_le(file + L2 + 8 * 600, 8, 0);
	put_le(file + L2 + 8 * 601, 8, 7 * CLUSTER);
	finds(7 * CLUSTER, "ERROR L2 table entry 0, 0x5200, points outside of the file\n"
			   "ERROR L2 table entry 601, 0x7000, points outside of the file\n"
			   "ERROR L1 table entry 1, 0x6000, points outside of the file\n"
			   "Leaked cluster 5\n");
	findings_count(&f, 3, 1);
}
END_TEST

START_TEST(qed_shared_clusters)
{
	put_le(file + L2, 8, 6 * CLUSTER);
	put_le(file + L2 + 8 * 30, 8, L1);
	put_le(file + L1 + 8, 8, L2);
	finds(6 * CLUSTER + CLUSTER, "ERROR L2 table: cluster 6 is in use twice\n"
				     "ERROR L2 table: cluster 1 is in use twice\n"
				     "ERROR L1 table: cluster 3 is in use twice\n"
				     "ERROR L1 table: cluster 4 is in use twice\n"
				     "Leaked cluster 5\n");
	findings_count(&f, 4, 1);
}
END_TEST

/* Parallels: a BAT of 4 entries, clusters of 8 sectors from position 4096. */

static void setup_parallels(void)
{
	setup("parallels");
	memcpy(file, "WithoutFreeSpace", 16);
	put_le(file + 16, 4, 2);
	put_le(file + 28, 4, 8);
	put_le(file + 32, 4, 4);
	put_le(file + 36, 4, 32);
	put_le(file + 48, 4, 8);
	put_le(file + 64, 4, 8);
	put_le(file + 68, 4, 16);
}

START_TEST(parallels_valid)
{
	finds(3 * CLUSTER, "");
	findings_count(&f, 0, 0);
	ck_assert_uint_eq(f.report.image_end_offset, 3 * CLUSTER);
	ck_assert_uint_eq(f.report.total_clusters, 4);
	ck_assert_uint_eq(f.report.allocated_clusters, 2);
}
END_TEST

START_TEST(parallels_bad)
{
	put_le(file + 44, 4, 0x746f6e59);
	put_le(file + 64, 4, 4);
	put_le(file + 72, 4, 16);
	put_le(file + 76, 4, 80);
	finds(4 * CLUSTER, "ERROR image was not closed correctly\n"
			   "ERROR cluster 0 lies before the data\n"
			   "ERROR cluster 3 is outside image\n"
			   "ERROR: two parts of the disk share 4096 bytes at 0x2000 of memory\n");
	findings_count(&f, 4, 0);
}
END_TEST

START_TEST(parallels_tail)
{
	finds(5 * CLUSTER + 1, "ERROR space leaked at the end of the image 8193\n");
	findings_count(&f, 0, 3);
}
END_TEST

/* qcow: L1 table at 48, one L2 table in cluster 1, clusters of 4 KiB. */

static void setup_qcow(void)
{
	setup("qcow");
	memcpy(file, "QFI\xfb", 4);
	put_be(file + 4, 4, 1);
	put_be(file + 24, 8, 512 * CLUSTER);
	file[32] = 12;
	file[33] = 9;
	put_be(file + 40, 8, 48);
	put_be(file + 48, 8, CLUSTER);
	put_be(file + CLUSTER, 8, 2 * CLUSTER);
	put_be(file + CLUSTER + 8, 8, 3 * CLUSTER);
}

START_TEST(map_valid)
{
	finds(4 * CLUSTER, "");
	findings_count(&f, 0, 0);
}
END_TEST

START_TEST(map_damage)
{
	put_be(file + CLUSTER + 16, 8, 4 * CLUSTER);
	subject_opens(&s, file, 4 * CLUSTER);
	findings_equal(&f, s.img,
		"ERROR: guest offset 0x2000: L2 table at 0x1000, entry 2: data cluster at 0x4000, "
		"past the end of the file, 0x4000\n");
	findings_count(&f, 1, 0);
}
END_TEST

/* Clusters in any order; some share all or a part of their bytes with another. */
START_TEST(map_shared)
{
	put_be(file + CLUSTER + 16, 8, 5 * CLUSTER);
	put_be(file + CLUSTER + 32, 8, 3 * CLUSTER + 512);
	put_be(file + CLUSTER + 48, 8, 2 * CLUSTER);
	finds(6 * CLUSTER, "ERROR: two parts of the disk share 4096 bytes at 0x2000 of memory\n"
			   "ERROR: two parts of the disk share 3584 bytes at 0x3200 of memory\n");
	findings_count(&f, 2, 0);
}
END_TEST

START_TEST(no_check)
{
	subject_new(&s, "raw");
	subject_opens(&s, file, sizeof file);
	findings_fail(s.img, ENOTSUP, "cannot be checked");
	subject_free(&s);
}
END_TEST

Suite *check_suite(void)
{
	TCase *qed = tcase_create("qed"), *parallels = tcase_create("parallels");
	TCase *map = tcase_create("map"), *raw = tcase_create("raw");
	Suite *suite = suite_of("check", qed);

	tcase_add_checked_fixture(qed, setup_qed, teardown);
	tcase_add_test(qed, qed_valid);
	tcase_add_test(qed, qed_leak);
	tcase_add_test(qed, qed_outside_of_file);
	tcase_add_test(qed, qed_shared_clusters);
	tcase_add_checked_fixture(parallels, setup_parallels, teardown);
	tcase_add_test(parallels, parallels_valid);
	tcase_add_test(parallels, parallels_bad);
	tcase_add_test(parallels, parallels_tail);
	suite_add_tcase(suite, parallels);
	tcase_add_checked_fixture(map, setup_qcow, teardown);
	tcase_add_test(map, map_valid);
	tcase_add_test(map, map_damage);
	tcase_add_test(map, map_shared);
	suite_add_tcase(suite, map);
	tcase_add_test(raw, no_check);
	suite_add_tcase(suite, raw);
	return suite;
}
