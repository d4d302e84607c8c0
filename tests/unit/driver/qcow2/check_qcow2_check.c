/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The check of qcow2: findings and their wording.  tests/mount compares them with qemu-img. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/qcow2.h"
#include "common/problems.h"
#include "common/test_image.h"
#include "common/unit.h"

#define BITS 12

static struct build_qcow2 b;
static struct subject s;
static struct findings f;

/* A valid image whose disk has two data clusters, in clusters 7 and 8. */
static void setup_with(unsigned version, unsigned bits, uint64_t incompatible)
{
	build_qcow2_new(&b, version, bits, incompatible);
	build_qcow2_complete(&b);
	subject_new(&s, "qcow2");
}

static void setup(void)
{
	setup_with(3, BITS, 0);
}

static void teardown(void)
{
	subject_free(&s);
	build_qcow2_free(&b);
}

static void finds(const char *text)
{
	subject_opens(&s, b.bytes, b.len);
	findings_equal(&f, s.img, text);
}

START_TEST(valid_image)
{
	finds("");
	findings_count(&f, 0, 0);
	ck_assert_uint_eq(f.report.image_end_offset, build_qcow2_at(&b, AT_DATA + 2));
	ck_assert_uint_eq(f.report.total_clusters, 512);
	ck_assert_uint_eq(f.report.allocated_clusters, 2);
	ck_assert_uint_eq(f.report.fragmented_clusters, 0);
	ck_assert_uint_eq(f.report.compressed_clusters, 0);
}
END_TEST

START_TEST(leak)
{
	build_qcow2_refcount(&b, AT_L1_COPY, 3);
	finds("Leaked cluster 6 refcount=3 reference=0\n");
	findings_count(&f, 0, 1);
}
END_TEST

START_TEST(count_too_low)
{
	build_qcow2_l2(&b, 2, build_qcow2_at(&b, AT_DATA));
	build_qcow2_refcount(&b, AT_REFTABLE, 0);
	finds("ERROR cluster 1 refcount=0 reference=1\n"
	      "ERROR cluster 7 refcount=1 reference=2\n"
	      "ERROR OFLAG_COPIED data cluster: l2_entry=7000 refcount=1\n");
	findings_count(&f, 3, 0);
	ck_assert_uint_eq(f.report.fragmented_clusters, 1);
}
END_TEST

START_TEST(copied)
{
	build_qcow2_l1(&b, 0, build_qcow2_at(&b, AT_L2));
	build_qcow2_l2(&b, 1, build_qcow2_at(&b, AT_DATA + 1));
	finds("ERROR OFLAG_COPIED L2 cluster: l1_index=0 l1_entry=4000 refcount=1\n"
	      "ERROR OFLAG_COPIED data cluster: l2_entry=8000 refcount=1\n");
	findings_count(&f, 2, 0);
}
END_TEST

START_TEST(reserved_bits)
{
	build_qcow2_l2(&b, 1, build_qcow2_at(&b, AT_DATA + 1) | ENTRY_COPIED | 2);
	build_qcow2_l1(&b, 0, build_qcow2_at(&b, AT_L2) | ENTRY_COPIED | 1);
	finds("ERROR found L1 entry with reserved bits set: 8000000000004001\n"
	      "ERROR found l2 entry with reserved bits set: 8000000000008002\n");
	findings_count(&f, 2, 0);
}
END_TEST

START_TEST(unaligned)
{
	build_qcow2_l2(&b, 1, (build_qcow2_at(&b, AT_DATA + 1) + 512) | ENTRY_COPIED);
	build_qcow2_l2(&b, 2, (build_qcow2_at(&b, AT_DATA + 1) + 512) | ENTRY_COPIED | ENTRY_ZERO);
	build_qcow2_refcount(&b, AT_DATA + 1, 2);
	finds("ERROR offset=8200: Data cluster is not properly aligned; L2 entry corrupted.\n"
	      "ERROR offset=8200: Preallocated cluster is not properly aligned; L2 entry "
	      "corrupted.\n"
	      "ERROR cluster 9 refcount=0 reference=2\n"
	      "ERROR OFLAG_COPIED data cluster: l2_entry=8000000000008200 refcount=2\n"
	      "ERROR OFLAG_COPIED data cluster: l2_entry=8000000000008201 refcount=2\n");
	findings_count(&f, 5, 0);
}
END_TEST

START_TEST(beyond_the_end_of_file)
{
	build_qcow2_l2(&b, 2, build_qcow2_at(&b, ALL_CLUSTERS));
	finds("ERROR: counting reference for region exceeding the end of the file by one cluster "
	      "or more: offset 0xf000 size 0x1000\n");
}
END_TEST

/* The last cluster of the file may be partial, if it has a refcount. */
START_TEST(last_cluster)
{
	build_qcow2_l2(&b, 2, build_qcow2_at(&b, ALL_CLUSTERS - 1) | ENTRY_COPIED);
	build_qcow2_refcount(&b, ALL_CLUSTERS - 1, 1);
	b.len -= 4096 - 512;
	finds("");
	ck_assert_uint_eq(f.report.image_end_offset, build_qcow2_at(&b, ALL_CLUSTERS));
}
END_TEST

START_TEST(compressed)
{
	uint64_t pos = build_qcow2_at(&b, AT_DATA + 3) - 100;

	build_qcow2_l2(&b, 2, build_qcow2_compressed(&b, pos, 300));
	build_qcow2_l2(&b, 3, build_qcow2_compressed(&b, pos + 300, 300) | ENTRY_COPIED);
	build_qcow2_refcount(&b, AT_DATA + 2, 1);
	build_qcow2_refcount(&b, AT_DATA + 3, 2);
	finds("ERROR: coffset=0xa0c8: copied flag must never be set for compressed clusters\n");
	ck_assert_uint_eq(f.report.compressed_clusters, 2);
	ck_assert_uint_eq(f.report.fragmented_clusters, 2);
	ck_assert_uint_eq(f.report.allocated_clusters, 4);
}
END_TEST

static void take_snapshot(unsigned extra_len)
{
	struct build_snapshot snap = {
		.id = "1",
		.name = "one",
		.l1_pos = build_qcow2_at(&b, AT_L1_COPY),
		.l1_size = 1,
		.extra_len = extra_len,
		.disk_size = build_qcow2_span(&b),
	};

	build_qcow2_snapshot(&b, &snap);
	build_qcow2_refcount(&b, AT_SNAPSHOTS, 1);
	build_qcow2_refcount(&b, AT_L1_COPY, 1);
	build_qcow2_refcount(&b, AT_L2, 2);
	build_qcow2_refcount(&b, AT_DATA, 2);
	build_qcow2_refcount(&b, AT_DATA + 1, 2);
	build_qcow2_put64(&b, snap.l1_pos, build_qcow2_at(&b, AT_L2));
	build_qcow2_l1(&b, 0, build_qcow2_at(&b, AT_L2));
	build_qcow2_l2(&b, 0, build_qcow2_at(&b, AT_DATA));
	build_qcow2_l2(&b, 1, build_qcow2_at(&b, AT_DATA + 1));
}

START_TEST(snapshot)
{
	take_snapshot(16);
	finds("");
	ck_assert_uint_eq(f.report.allocated_clusters, 2);
}
END_TEST

/* An error in a table counts once for each reference to it. */
START_TEST(shared_table)
{
	take_snapshot(16);
	build_qcow2_l2(&b, 2, 4);
	build_qcow2_refcount(&b, AT_DATA, 1);
	finds("ERROR found l2 entry with reserved bits set: 4\n"
	      "ERROR cluster 7 refcount=1 reference=2\n"
	      "ERROR OFLAG_COPIED data cluster: l2_entry=7000 refcount=1\n");
	findings_count(&f, 4, 0);
}
END_TEST

START_TEST(bad_snapshots)
{
	size_t entry = build_qcow2_at(&b, AT_SNAPSHOTS);

	take_snapshot(8);
	build_qcow2_put64(&b, entry, build_qcow2_at(&b, AT_L1_COPY) + 8);
	build_qcow2_refcount(&b, AT_L1_COPY, 0);
	build_qcow2_refcount(&b, AT_L2, 1);
	build_qcow2_refcount(&b, AT_DATA, 1);
	build_qcow2_refcount(&b, AT_DATA + 1, 1);
	build_qcow2_l1(&b, 0, build_qcow2_at(&b, AT_L2) | ENTRY_COPIED);
	build_qcow2_l2(&b, 0, build_qcow2_at(&b, AT_DATA) | ENTRY_COPIED);
	build_qcow2_l2(&b, 1, build_qcow2_at(&b, AT_DATA + 1) | ENTRY_COPIED);
	finds("ERROR snapshot 1 (one) l1_offset=0x6008: L1 table is not cluster aligned; snapshot "
	      "table entry corrupted\n"
	      "ERROR snapshot table entry 0 is incomplete\n");
	findings_count(&f, 2, 0);
}
END_TEST

START_TEST(refcount_table)
{
	uint64_t table = build_qcow2_at(&b, AT_REFTABLE);

	build_qcow2_put64(&b, table + 8, build_qcow2_at(&b, AT_REFBLOCK));
	build_qcow2_put64(&b, table + 16, 0x400200);
	build_qcow2_put64(&b, table + 24, 0x400000);
	build_qcow2_put64(&b, table + 32, 1);
	finds("ERROR refcount block 1 refcount=2\n"
	      "ERROR refcount block 2 is not cluster aligned; refcount table entry corrupted\n"
	      "ERROR refcount block 3 is outside image\n"
	      "ERROR refcount table entry 4 has reserved bits set\n"
	      "ERROR cluster 2 refcount=1 reference=2\n");
	findings_count(&f, 5, 0);
}
END_TEST

START_TEST(unreadable_block)
{
	build_qcow2_put64(&b, build_qcow2_at(&b, AT_REFTABLE), 0x2200);
	subject_opens(&s, b.bytes, b.len);
	findings_equal(&f, s.img,
		"ERROR refcount block 0 is not cluster aligned; refcount table entry corrupted\n"
		"Can't get refcount for cluster 0: Input/output error\n");
	ck_assert_uint_eq(f.report.check_errors, ALL_CLUSTERS);
}
END_TEST

START_TEST(no_refcount_table)
{
	build_qcow2_put32(&b, AT_REFTABLE_CLUSTERS, 0x10000);
	subject_opens(&s, b.bytes, b.len);
	findings_fail(s.img, EINVAL, "refcount table: 65536 clusters");
}
END_TEST

/* One image for each width of refcounts: those of clusters 7 and 8 have all bits set but the
 * lowest. */
START_TEST(widths)
{
	static const uint64_t most[] = {1, 3, 15, 255, 65535, UINT32_MAX, UINT64_MAX};
	size_t block = build_qcow2_at(&b, AT_REFBLOCK), bits = (size_t)1 << _i;
	char expected[128];

	build_qcow2_put32(&b, AT_REFCOUNT_ORDER, _i);
	memset(b.bytes + block, 0, 4096);
	for (unsigned i = 0; i < AT_DATA + 2; i++) {
		size_t bit = i * bits;
		bool used = i != AT_SNAPSHOTS && i != AT_L1_COPY;

		if (bits < 8)
			b.bytes[block + bit / 8] |= used << bit % 8;
		else
			b.bytes[block + bit / 8 + bits / 8 - 1] = used;
	}
	finds("");
	if (bits < 8)
		b.bytes[block + AT_L1_COPY * bits / 8] |= most[_i] << AT_L1_COPY * bits % 8;
	else
		memset(b.bytes + block + AT_L1_COPY * bits / 8, 255, bits / 8);
	snprintf(expected, sizeof expected, "Leaked cluster 6 refcount=%ju reference=0\n",
		(uintmax_t)most[_i]);
	finds(expected);
}
END_TEST

START_TEST(overflow)
{
	build_qcow2_put32(&b, AT_REFCOUNT_ORDER, 0);
	memset(b.bytes + build_qcow2_at(&b, AT_REFBLOCK), 0, 4096);
	build_qcow2_put(&b, build_qcow2_at(&b, AT_REFBLOCK), "\x9f\x01", 2);
	build_qcow2_l2(&b, 2, build_qcow2_at(&b, AT_DATA));
	finds("ERROR: overflow cluster offset=0x7000\n"
	      "ERROR OFLAG_COPIED data cluster: l2_entry=7000 refcount=1\n");
	findings_count(&f, 2, 0);
}
END_TEST

static void setup_extended(void)
{
	setup_with(3, 14, 16);
}

START_TEST(subclusters)
{
	build_qcow2_bitmap(&b, 0, 0, 0xffffffff);
	build_qcow2_bitmap(&b, 1, 1, 3);
	build_qcow2_bitmap(&b, 2, 0xffffffff, 0);
	build_qcow2_bitmap(&b, 3, 0, 1);
	build_qcow2_l2(&b, 4, build_qcow2_compressed(&b, build_qcow2_at(&b, AT_DATA), 512));
	build_qcow2_bitmap(&b, 4, 1, 0);
	finds("ERROR offset=20000: Allocated cluster has corrupted subcluster allocation bitmap\n"
	      "ERROR: Unallocated cluster has non-zero subcluster allocation map\n"
	      "ERROR compressed cluster 4 with non-zero subcluster allocation bitmap, "
	      "entry=0x400000000001c000\n");
	findings_count(&f, 3, 0);
}
END_TEST

/* L1 tables of overlapping bytes, each with references to the same L2 tables, are more work than a
 * valid file of this size can contain: the check stops. */
START_TEST(too_many_references)
{
	struct build_qcow2 large;
	uint64_t n = (1u << 21) / 512;

	build_qcow2_new(&large, 3, 21, 0);
	build_qcow2_put32(&large, AT_L1_SIZE, n);
	for (uint64_t i = 0; i < n; i++)
		build_qcow2_l1(
			&large, i, (build_qcow2_at(&large, AT_DATA) + 512 * i) | ENTRY_COPIED);
	memset(large.bytes + build_qcow2_at(&large, AT_DATA), 0, 2u << 21);
	subject_opens(&s, large.bytes, large.len);
	findings_fail(s.img, EUCLEAN, "its tables overlap");
	build_qcow2_free(&large);
}
END_TEST

Suite *qcow2_check_suite(void)
{
	TCase *tc = tcase_create("qcow2 check"), *extended = tcase_create("extended");
	Suite *suite = suite_of("qcow2_check", tc);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, valid_image);
	tcase_add_test(tc, leak);
	tcase_add_test(tc, count_too_low);
	tcase_add_test(tc, copied);
	tcase_add_test(tc, reserved_bits);
	tcase_add_test(tc, unaligned);
	tcase_add_test(tc, beyond_the_end_of_file);
	tcase_add_test(tc, last_cluster);
	tcase_add_test(tc, compressed);
	tcase_add_test(tc, snapshot);
	tcase_add_test(tc, shared_table);
	tcase_add_test(tc, bad_snapshots);
	tcase_add_test(tc, refcount_table);
	tcase_add_test(tc, unreadable_block);
	tcase_add_test(tc, no_refcount_table);
	tcase_add_loop_test(tc, widths, 0, 7);
	tcase_add_test(tc, overflow);
	tcase_add_test(tc, too_many_references);
	tcase_add_checked_fixture(extended, setup_extended, teardown);
	tcase_add_test(extended, subclusters);
	suite_add_tcase(suite, extended);
	return suite;
}
