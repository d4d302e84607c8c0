/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Repair of qcow2: which errors are fixed and which are not; the contents of the disk do not
 * change. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/qcow2.h"
#include "util/bytes.h"
#include "util/err.h"
#include "common/repair_image.h"
#include "common/unit.h"
#include "view/view.h"

#define PATH "image.qcow2"

static struct build_qcow2 b;
static struct repair_image m;

static void setup(void)
{
	build_qcow2_new(&b, 3, 12, 0);
	build_qcow2_complete(&b);
	repair_image_new(&m, "qcow2", PATH);
}

static void teardown(void)
{
	repair_image_free(&m);
	build_qcow2_free(&b);
}

static void repairs(unsigned repair, const char *text)
{
	repair_image_repairs(&m, b.bytes, b.len, repair, text);
}

static void fixed(unsigned corruptions, unsigned leaks)
{
	repair_image_fixed(&m, corruptions, leaks);
}

static void leaves(const char *text)
{
	repair_image_check(&m, text);
}

START_TEST(nothing)
{
	repairs(CHECK_ALL, "");
	fixed(0, 0);
	leaves("");
}
END_TEST

START_TEST(leaks)
{
	build_qcow2_refcount(&b, AT_L1_COPY, 3);
	build_qcow2_refcount(&b, AT_DATA, 2);
	build_qcow2_l2(&b, 0, build_qcow2_at(&b, AT_DATA));
	repairs(CHECK_LEAKS, "Leaked cluster 6 refcount=3 reference=0\n"
			     "Leaked cluster 7 refcount=2 reference=1\n"
			     "Repairing cluster 6 refcount=3 reference=0\n"
			     "Repairing cluster 7 refcount=2 reference=1\n"
			     "Repairing OFLAG_COPIED data cluster: l2_entry=7000 refcount=1\n");
	fixed(1, 2);
	leaves("");
}
END_TEST

START_TEST(refcount_too_low)
{
	build_qcow2_l2(&b, 2, build_qcow2_at(&b, AT_DATA));
	build_qcow2_refcount(&b, AT_L1_COPY, 1);
	repairs(CHECK_ALL,
		"Leaked cluster 6 refcount=1 reference=0\n"
		"ERROR cluster 7 refcount=1 reference=2\n"
		"Repairing cluster 6 refcount=1 reference=0\n"
		"Repairing cluster 7 refcount=1 reference=2\n"
		"Repairing OFLAG_COPIED data cluster: l2_entry=8000000000007000 refcount=2\n");
	fixed(2, 1);
	leaves("");
}
END_TEST

START_TEST(refcount_too_low_is_not_a_leak)
{
	build_qcow2_l2(&b, 2, build_qcow2_at(&b, AT_DATA));
	repairs(CHECK_LEAKS, "ERROR cluster 7 refcount=1 reference=2\n"
			     "ERROR OFLAG_COPIED data cluster: l2_entry=7000 refcount=1\n");
	fixed(0, 0);
	ck_assert_uint_eq(m.f.report.corruptions, 2);
}
END_TEST

START_TEST(copied)
{
	build_qcow2_l1(&b, 0, build_qcow2_at(&b, AT_L2));
	build_qcow2_l2(&b, 1, build_qcow2_at(&b, AT_DATA + 1));
	repairs(CHECK_ALL,
		"Repairing OFLAG_COPIED L2 cluster: l1_index=0 l1_entry=4000 refcount=1\n"
		"Repairing OFLAG_COPIED data cluster: l2_entry=8000 refcount=1\n");
	fixed(2, 0);
	leaves("");
}
END_TEST

/* The invalid entry may refer to the cluster that appears to be free, so that is not reused. */
START_TEST(invalid_entry_blocks_repair)
{
	build_qcow2_l2(&b, 2, 0x10);
	build_qcow2_refcount(&b, AT_L1_COPY, 1);
	build_qcow2_l2(&b, 1, build_qcow2_at(&b, AT_DATA + 1));
	write_file(PATH, b.bytes, b.len);
	for (int i = 0; i < 2; i++) {
		struct image *img = repair_image_open(&m, true);

		findings_repaired(&m.f, img, CHECK_ALL,
			"ERROR found l2 entry with reserved bits set: 10\n"
			"Leaked cluster 6 refcount=1 reference=0\n"
			"Leaks are not repaired: an invalid entry may refer to these clusters\n"
			"ERROR OFLAG_COPIED data cluster: l2_entry=8000 refcount=1\n");
		image_close(img);
		fixed(0, 0);
		ck_assert_uint_eq(m.f.report.corruptions, 2);
		ck_assert_uint_eq(m.f.report.leaks, 1);
	}
}
END_TEST

/* Rebuilds refcounts of each width. */
START_TEST(rebuild)
{
	build_qcow2_put32(&b, AT_REFCOUNT_ORDER, _i);
	memset(b.bytes + build_qcow2_at(&b, AT_REFBLOCK), 0, 4096);
	repairs(CHECK_ALL, "ERROR cluster 0 refcount=0 reference=1\n"
			   "ERROR cluster 1 refcount=0 reference=1\n"
			   "ERROR cluster 2 refcount=0 reference=1\n"
			   "ERROR cluster 3 refcount=0 reference=1\n"
			   "ERROR cluster 4 refcount=0 reference=1\n"
			   "ERROR cluster 7 refcount=0 reference=1\n"
			   "ERROR cluster 8 refcount=0 reference=1\n"
			   "Rebuilding refcount structure\n");
	fixed(7, 0);
	leaves("");
}
END_TEST

/* Only the old refcounts, which are kept, protect the cluster to which the invalid entry may
 * refer. */
START_TEST(rebuild_with_invalid_entry)
{
	build_qcow2_l2(&b, 2, build_qcow2_at(&b, AT_L1_COPY) + 512);
	build_qcow2_refcount(&b, AT_SNAPSHOTS, 1);
	write_file(PATH, b.bytes, b.len);
	for (int i = 0; i < 2; i++) {
		struct image *img = repair_image_open(&m, true);
		struct err e = ERR_INIT;

		m.f.report = (struct check_report){.found = NULL};
		ck_assert_ok(image_check(img, CHECK_ALL, &m.f.report, &e), &e);
		image_close(img);
		ck_assert_uint_gt(m.f.report.corruptions, 0);
	}
	leaves("ERROR offset=6200: Data cluster is not properly aligned; L2 entry corrupted.\n"
	       "Leaked cluster 1 refcount=1 reference=0\n"
	       "Leaked cluster 2 refcount=1 reference=0\n"
	       "Leaked cluster 5 refcount=1 reference=0\n"
	       "ERROR OFLAG_COPIED data cluster: l2_entry=6200 refcount=1\n");
}
END_TEST

START_TEST(rebuild_is_not_a_leak)
{
	struct err e = ERR_INIT;
	struct image *img;

	build_qcow2_refcount(&b, AT_REFTABLE, 0);
	write_file(PATH, b.bytes, b.len);
	img = repair_image_open(&m, true);
	m.f.report = (struct check_report){.found = NULL};
	ck_assert_fails(image_check(img, CHECK_LEAKS, &m.f.report, &e), EIO, &e,
		"need to rebuild refcount structures");
	image_close(img);
	leaves("ERROR cluster 1 refcount=0 reference=1\n");
}
END_TEST

START_TEST(missing_refcount_table)
{
	build_qcow2_put32(&b, AT_REFTABLE_CLUSTERS, 0);
	repairs(CHECK_ALL, "ERROR cluster 0 refcount=0 reference=1\n"
			   "ERROR cluster 3 refcount=0 reference=1\n"
			   "ERROR cluster 4 refcount=0 reference=1\n"
			   "ERROR cluster 7 refcount=0 reference=1\n"
			   "ERROR cluster 8 refcount=0 reference=1\n"
			   "Rebuilding refcount structure\n");
	leaves("");
}
END_TEST

START_TEST(misplaced_refcount_blocks)
{
	uint64_t table = build_qcow2_at(&b, AT_REFTABLE);

	build_qcow2_put64(&b, table + 8, 0x2200);
	build_qcow2_put64(&b, table + 16, 0x400000);
	build_qcow2_put64(&b, table + 24, 1);
	build_qcow2_put64(&b, table + 32, build_qcow2_at(&b, AT_REFBLOCK));
	repairs(CHECK_ALL,
		"ERROR refcount block 1 is not cluster aligned; refcount table entry corrupted\n"
		"ERROR refcount block 2 is outside image\n"
		"ERROR refcount table entry 3 has reserved bits set\n"
		"ERROR refcount block 4 refcount=2\n"
		"ERROR cluster 2 refcount=1 reference=2\n"
		"Rebuilding refcount structure\n");
	fixed(5, 0);
	leaves("");
}
END_TEST

static uint64_t incompatible(void)
{
	unsigned char raw[8];
	FILE *file = fopen(PATH, "rb");

	ck_assert(file);
	ck_assert_int_eq(fseek(file, AT_INCOMPATIBLE, SEEK_SET), 0);
	ck_assert_uint_eq(fread(raw, 1, sizeof raw, file), sizeof raw);
	fclose(file);
	return load_be64(raw);
}

START_TEST(dirty_flags_are_cleared)
{
	build_qcow2_put64(&b, AT_INCOMPATIBLE, 3);
	repairs(CHECK_LEAKS, "");
	ck_assert_uint_eq(incompatible(), 0);
}
END_TEST

START_TEST(dirty_flags_are_kept)
{
	build_qcow2_put64(&b, AT_INCOMPATIBLE, 3);
	build_qcow2_l2(&b, 2, 0x10);
	write_file(PATH, b.bytes, b.len);
	for (int i = 0; i < 2; i++) {
		struct image *img = repair_image_open(&m, true);

		findings_repaired(
			&m.f, img, CHECK_ALL, "ERROR found l2 entry with reserved bits set: 10\n");
		image_close(img);
		ck_assert_uint_eq(incompatible(), 3);
	}
}
END_TEST

START_TEST(unaligned_zero_cluster)
{
	struct image *img;

	build_qcow2_l2(&b, 2, (build_qcow2_at(&b, AT_DATA + 4) + 512) | ENTRY_COPIED | ENTRY_ZERO);
	build_qcow2_refcount(&b, AT_DATA + 4, 1);
	build_qcow2_refcount(&b, AT_DATA + 5, 1);
	write_file(PATH, b.bytes, b.len);
	img = repair_image_open(&m, true);
	findings_repaired(&m.f, img, CHECK_ALL,
		"ERROR offset=b200: Preallocated cluster is not properly aligned; L2 entry "
		"corrupted.\n"
		"Repairing offset=b200: Preallocated cluster is not properly aligned; L2 entry "
		"corrupted.\n"
		"Repairing cluster 11 refcount=1 reference=0\n"
		"Repairing cluster 12 refcount=1 reference=0\n");
	image_close(img);
	fixed(1, 0);
	leaves("");
}
END_TEST

Suite *qcow2_repair_suite(void)
{
	TCase *tc = tcase_create("qcow2 repair");
	Suite *suite = suite_of("qcow2_repair", tc);

	use_temp_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing);
	tcase_add_test(tc, leaks);
	tcase_add_test(tc, refcount_too_low);
	tcase_add_test(tc, refcount_too_low_is_not_a_leak);
	tcase_add_test(tc, copied);
	tcase_add_test(tc, invalid_entry_blocks_repair);
	tcase_add_loop_test(tc, rebuild, 0, 7);
	tcase_add_test(tc, rebuild_with_invalid_entry);
	tcase_add_test(tc, rebuild_is_not_a_leak);
	tcase_add_test(tc, missing_refcount_table);
	tcase_add_test(tc, misplaced_refcount_blocks);
	tcase_add_test(tc, dirty_flags_are_cleared);
	tcase_add_test(tc, dirty_flags_are_kept);
	tcase_add_test(tc, unaligned_zero_cluster);
	return suite;
}
