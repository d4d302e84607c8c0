/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_qcow2_map.c - L1 and L2 entries: valid, unusual and damaged. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>
#include <zstd.h>

#include "build/qcow2.h"
#include "util/bytes.h"
#include "common/test_image.h"
#include "common/unit.h"

#define CLUSTER       512u
#define ENTRIES       64u /* entries of an L2 table of a 512-byte cluster */
#define EXTENDED_BITS 14
#define SUBCLUSTER    512u /* of such a cluster */

enum { BIT_COMPRESSION = 8, BIT_EXTENDED = 16 };

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

static const struct view *disk(void)
{
	return s.img->states[0]->view;
}

static uint64_t data_at(unsigned i)
{
	return build_qcow2_at(&b, AT_DATA + i);
}

static void reads(unsigned cluster, unsigned char byte)
{
	subject_reads(disk(), build_qcow2_at(&b, cluster), 1u << b.cluster_bits, byte);
}

static void fails(unsigned cluster, int code, const char *text)
{
	subject_fails(disk(), build_qcow2_at(&b, cluster), code, text);
}

START_TEST(all_kinds_of_clusters)
{
	build_qcow2_l2(&b, 0, data_at(0) | ENTRY_COPIED);
	build_qcow2_l2(&b, 1, data_at(1));
	build_qcow2_l2(&b, 2, ENTRY_ZERO);
	build_qcow2_l2(&b, 3, data_at(2) | ENTRY_ZERO | ENTRY_COPIED);
	opens();
	reads(0, 0x10);
	reads(1, 0x11);
	reads(2, 0);
	reads(3, 0);
	reads(4, 0);
	subject_reads(disk(), 500, 12, 0x10);
}
END_TEST

START_TEST(invalid_entries_fail)
{
	build_qcow2_l2(&b, 0, data_at(0) | 0x100);
	build_qcow2_l2(&b, 1, data_at(0) | UINT64_C(1) << 56);
	build_qcow2_l2(&b, 2, ENTRY_COPIED);
	build_qcow2_l2(&b, 3, b.len);
	build_qcow2_l2(&b, 4, UINT64_C(0x00fffffffffffe00));
	build_qcow2_l2(&b, 5, data_at(1));
	opens();
	fails(0, EUCLEAN, "guest offset 0x0: L2 table at 0x800, entry 0: reserved bits");
	fails(1, EUCLEAN, "entry 1: reserved bits");
	fails(2, EUCLEAN, "where the header is");
	fails(3, EIO, "past the end");
	fails(4, EIO, "past the end");
	reads(5, 0x11);
}
END_TEST

START_TEST(data_is_aligned_to_clusters)
{
	rebuild(3, 12, 0);
	build_qcow2_l2(&b, 0, data_at(0) + 512);
	build_qcow2_l2(&b, 1, (data_at(0) + 512) | ENTRY_ZERO);
	opens();
	fails(0, EUCLEAN, "data cluster at 0x7200, not at a multiple of 4096");
	fails(1, EUCLEAN, "not at a multiple of 4096");
}
END_TEST

START_TEST(version_2_has_no_zero_clusters)
{
	rebuild(2, 9, 0);
	build_qcow2_l2(&b, 0, data_at(0) | ENTRY_ZERO);
	opens();
	fails(0, EUCLEAN, "reserved bits");
}
END_TEST

START_TEST(metadata_is_never_read_as_data)
{
	static const struct {
		unsigned cluster;
		const char *text;
	} targets[] = {
		{AT_REFTABLE, "refcount table"},
		{AT_REFBLOCK, "refcount block"},
		{AT_L1, "L1 table"},
		{AT_SNAPSHOTS, "snapshot table"},
	};
	struct build_snapshot snap = {.id = "1", .name = "x", .extra_len = 16};

	build_qcow2_snapshot(&b, &snap);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t pos = build_qcow2_at(&b, targets[i].cluster);

		build_qcow2_l2(&b, 2 * i, pos);
		build_qcow2_l2(&b, 2 * i + 1, build_qcow2_compressed(&b, pos + 10, 20));
	}
	opens();
	for (unsigned i = 0; i < 4; i++) {
		fails(2 * i, EUCLEAN, targets[i].text);
		fails(2 * i + 1, EUCLEAN, targets[i].text);
	}
}
END_TEST

/* A run of contiguous clusters ends where metadata begins. */
START_TEST(run_ends_before_metadata)
{
	build_qcow2_put64(&b, AT_REFTABLE_POS, data_at(2));
	for (unsigned i = 0; i < 4; i++)
		build_qcow2_l2(&b, i, data_at(i));
	opens();
	subject_maps(disk(), 0, EXTENT_FILE, 2 * CLUSTER);
	fails(2, EUCLEAN, "refcount table");
	reads(3, 0x13);
}
END_TEST

START_TEST(contiguous_clusters_are_one_extent)
{
	for (unsigned i = 0; i < 4; i++)
		build_qcow2_l2(&b, i, data_at(i) | (i % 2 ? ENTRY_COPIED : 0));
	build_qcow2_l2(&b, 4, data_at(6));
	build_qcow2_l2(&b, 5, ENTRY_ZERO);
	build_qcow2_l2(&b, 6, data_at(7) | ENTRY_ZERO);
	opens();
	subject_maps(disk(), 0, EXTENT_FILE, 4 * CLUSTER);
	subject_maps(disk(), 700, EXTENT_FILE, 4 * CLUSTER - 700);
	subject_maps(disk(), 4 * CLUSTER, EXTENT_FILE, CLUSTER);
	subject_maps(disk(), 5 * CLUSTER, EXTENT_ZERO, 2 * CLUSTER);
	subject_maps(disk(), 7 * CLUSTER, EXTENT_ZERO, (ENTRIES - 7) * CLUSTER);
	ck_assert_uint_eq(subject_extent(disk(), 700).pos, data_at(0) + 700);
}
END_TEST

/* With small clusters, other tables follow in the same page. */
START_TEST(run_ends_with_its_table)
{
	build_qcow2_put64(&b, AT_SIZE, 2 * build_qcow2_span(&b));
	build_qcow2_put32(&b, AT_L1_SIZE, 2);
	build_qcow2_l2(&b, ENTRIES - 1, data_at(0));
	build_qcow2_l2(&b, ENTRIES, data_at(1));
	opens();
	subject_maps(disk(), build_qcow2_span(&b) - CLUSTER, EXTENT_FILE, CLUSTER);
	reads(ENTRIES, 0);
}
END_TEST

/* An invalid entry does not affect valid entries in the same run. */
START_TEST(run_ends_before_an_invalid_entry)
{
	build_qcow2_l2(&b, 0, data_at(0));
	build_qcow2_l2(&b, 1, data_at(1) | 2);
	opens();
	subject_maps(disk(), 0, EXTENT_FILE, CLUSTER);
	fails(1, EUCLEAN, "reserved");
}
END_TEST

START_TEST(empty_l1_entries_are_one_extent)
{
	uint64_t span = build_qcow2_span(&b);

	build_qcow2_put64(&b, AT_SIZE, 64 * span);
	build_qcow2_put32(&b, AT_L1_SIZE, 64);
	build_qcow2_l1(&b, 0, 0);
	build_qcow2_l1(&b, 40, build_qcow2_at(&b, AT_L2));
	build_qcow2_l2(&b, 0, data_at(0));
	opens();
	subject_maps(disk(), 100, EXTENT_ZERO, 40 * span - 100);
	subject_maps(disk(), 40 * span, EXTENT_FILE, CLUSTER);
	subject_maps(disk(), 41 * span, EXTENT_ZERO, 23 * span);
}
END_TEST

START_TEST(bad_l1_entries_affect_only_their_range)
{
	uint64_t span = build_qcow2_span(&b);
	const struct {
		uint64_t entry;
		int code;
		const char *text;
	} bad[] = {
		{build_qcow2_at(&b, AT_L2) | 1, EUCLEAN, "L1 entry 1: reserved bits"},
		{build_qcow2_at(&b, AT_L2) | UINT64_C(1) << 60, EUCLEAN, "reserved bits"},
		{ENTRY_COPIED, EUCLEAN, "where the header is"},
		{build_qcow2_at(&b, AT_L1), EUCLEAN, "where the L1 table is"},
		{build_qcow2_at(&b, AT_REFTABLE), EUCLEAN, "where the refcount table is"},
		{b.len, EIO, "past the end"},
	};
	const unsigned n = COUNT(bad);

	build_qcow2_put64(&b, AT_SIZE, (n + 1) * span);
	build_qcow2_put32(&b, AT_L1_SIZE, n + 1);
	build_qcow2_l2(&b, 0, data_at(0));
	for (unsigned i = 0; i < n; i++)
		build_qcow2_l1(&b, i + 1, bad[i].entry);
	opens();
	reads(0, 0x10);
	for (unsigned i = 0; i < n; i++)
		subject_fails(disk(), (i + 1) * span, bad[i].code, bad[i].text);
}
END_TEST

START_TEST(l2_tables_are_aligned_to_clusters)
{
	rebuild(3, 12, 0);
	build_qcow2_l1(&b, 0, build_qcow2_at(&b, AT_L2) + 512);
	opens();
	fails(0, EUCLEAN, "L2 table at 0x4200, not at a multiple of 4096");
}
END_TEST

/* The missing end of the last cluster reads as zeroes if it is data, and fails if it is a table. */
START_TEST(last_cluster_is_truncated)
{
	build_qcow2_l2(&b, 0, data_at(7));
	opens();
	subject_opens(&s, b.bytes, b.len - 100);
	subject_reads(disk(), 0, CLUSTER - 100, 0x17);
	subject_reads(disk(), CLUSTER - 100, 100, 0);
	subject_opens(&s, b.bytes, b.len - CLUSTER);
	fails(0, EIO, "past the end");
	memset(b.bytes + data_at(7), 0xff, CLUSTER);
	build_qcow2_l1(&b, 0, data_at(7));
	build_qcow2_put64(&b, data_at(7), data_at(1));
	subject_opens(&s, b.bytes, b.len - 1);
	fails(0, EIO, "L2 table");
	subject_opens(&s, b.bytes, b.len - CLUSTER + 8);
	fails(1, EIO, "L2 table");
}
END_TEST

/* Subclusters. */

START_TEST(subclusters_of_all_kinds)
{
	rebuild(3, EXTENDED_BITS, BIT_EXTENDED);
	build_qcow2_l2(&b, 0, data_at(0) | ENTRY_COPIED);
	build_qcow2_bitmap(&b, 0, 0x0000000c, 0x80000003);
	opens();
	subject_maps(disk(), 0, EXTENT_FILE, 2 * SUBCLUSTER);
	subject_maps(disk(), 100, EXTENT_FILE, 2 * SUBCLUSTER - 100);
	subject_maps(disk(), 2 * SUBCLUSTER, EXTENT_ZERO, 2 * SUBCLUSTER);
	subject_maps(disk(), 4 * SUBCLUSTER, EXTENT_ZERO, 27 * SUBCLUSTER);
	subject_maps(disk(), 31 * SUBCLUSTER, EXTENT_FILE, SUBCLUSTER);
	ck_assert_uint_eq(
		subject_extent(disk(), 31 * SUBCLUSTER).pos, data_at(0) + 31 * SUBCLUSTER);
}
END_TEST

/* Subclusters that are neither allocated nor zero are read from the backing file. */
START_TEST(runs_of_subclusters_across_clusters)
{
	rebuild(3, EXTENDED_BITS, BIT_EXTENDED);
	for (unsigned i = 0; i < 3; i++)
		build_qcow2_l2(&b, i, data_at(i));
	build_qcow2_bitmap(&b, 0, 0, 0xffff0000);
	build_qcow2_bitmap(&b, 1, 0, 0xffffffff);
	build_qcow2_bitmap(&b, 2, 0, 0x00000001);
	build_qcow2_bitmap(&b, 3, 0xffffffff, 0);
	opens();
	subject_maps(disk(), 16 * SUBCLUSTER, EXTENT_FILE, (16 + 32 + 1) * SUBCLUSTER);
	subject_reads(disk(), 0, 16 * SUBCLUSTER, 0);
	subject_reads(disk(), 32 * SUBCLUSTER, 32 * SUBCLUSTER, 0x11);
	reads(3, 0);
}
END_TEST

START_TEST(bad_bitmaps_fail)
{
	rebuild(3, EXTENDED_BITS, BIT_EXTENDED);
	build_qcow2_l2(&b, 0, data_at(0));
	build_qcow2_bitmap(&b, 0, 1, 1);
	build_qcow2_bitmap(&b, 1, 0, 1);
	build_qcow2_l2(&b, 2, build_qcow2_compressed(&b, data_at(1), 100));
	build_qcow2_bitmap(&b, 2, 0, 1);
	build_qcow2_l2(&b, 3, data_at(0) | ENTRY_ZERO);
	opens();
	fails(0, EUCLEAN, "both allocated and zero");
	fails(1, EUCLEAN, "allocated in no cluster");
	fails(2, EUCLEAN, "compressed cluster with subclusters");
	fails(3, EUCLEAN, "reserved bits");
}
END_TEST

/* Compressed clusters. */

/* Fills p with half noise, half byte, so that the compressed data has more than a sector. */
static void fill_noisy(unsigned char *p, size_t len, unsigned char byte)
{
	uint32_t x = 1 + byte;

	for (size_t i = 0; i < len / 2; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = x >> 24;
	}
	memset(p + len / 2, byte, len - len / 2);
}

static size_t deflate_raw(const void *in, size_t nin, void *out, size_t nout)
{
	z_stream z = {.next_in = (void *)in, .avail_in = nin, .next_out = out, .avail_out = nout};

	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return nout - z.avail_out;
}

/* Stores len bytes of compressed noise and byte at pos, for cluster i; returns the end of the
 * data. */
static uint64_t pack(unsigned i, uint64_t pos, size_t len, unsigned char byte)
{
	unsigned char plain[8192], compressed[8192];
	size_t n;

	fill_noisy(plain, len, byte);
	n = deflate_raw(plain, len, compressed, sizeof compressed);
	build_qcow2_put(&b, pos, compressed, n);
	build_qcow2_l2(&b, i, build_qcow2_compressed(&b, pos, n));
	return pos + n;
}

static void is_noisy(unsigned i, size_t len, unsigned char byte)
{
	unsigned char want[8192], got[8192];

	fill_noisy(want, len, byte);
	ck_assert_msg(
		view_read(disk(), got, len, build_qcow2_at(&b, i), &s.e) == 0, "%s", s.e.text);
	ck_assert_mem_eq(got, want, len);
}

/* Compressed clusters share sectors and cross clusters; noise follows the data in the sector. */
START_TEST(compressed_clusters_share_sectors)
{
	uint64_t pos;

	rebuild(3, 12, 0);
	pos = pack(0, data_at(0) + 100, 4096, 0xa0);
	pos = pack(1, pos, 4096, 0xa1);
	pack(2, pos, 4096, 0xa2);
	opens();
	for (unsigned i = 0; i < 3; i++) {
		is_noisy(i, 4096, 0xa0 + i);
		subject_maps(disk(), build_qcow2_at(&b, i), EXTENT_GENERATED, 4096);
	}
	subject_maps(disk(), 4196, EXTENT_GENERATED, 3996);
	subject_reads(disk(), 4096 + 2048, 2048, 0xa1);
	ck_assert_uint_eq(subject_extent(disk(), 4196).pos, 100);
}
END_TEST

START_TEST(last_compressed_sector_is_truncated)
{
	uint64_t end;

	rebuild(3, 12, 0);
	end = pack(0, data_at(6), 4096, 0xa0);
	subject_opens(&s, b.bytes, end);
	is_noisy(0, 4096, 0xa0);
	subject_opens(&s, b.bytes, end - 200);
	fails(0, EUCLEAN, "compressed cluster at 0xd000");
	subject_opens(&s, b.bytes, data_at(6));
	fails(0, EIO, "compressed data at 0xd000, past the end");
}
END_TEST

START_TEST(compressed_data_of_wrong_length)
{
	rebuild(3, 12, 0);
	pack(0, data_at(0), 4096 - 1, 0xa0);
	pack(1, data_at(2), 4096 + 1024, 0xa1);
	build_qcow2_l2(&b, 2, build_qcow2_compressed(&b, data_at(5), 100));
	memset(b.bytes + data_at(5), 0xff, 512);
	opens();
	fails(0, EUCLEAN, "4095 bytes, not 4096");
	fails(2, EUCLEAN, "compressed cluster at 0xc000: damaged");
	/* Data beyond the cluster is ignored, as in QEMU. */
	subject_reads(disk(), 4096 + 2560, 4096 - 2560, 0xa1);
}
END_TEST

START_TEST(zstd_clusters_read)
{
	unsigned char plain[4096], compressed[8192];
	size_t n;

	rebuild(3, 12, BIT_COMPRESSION);
	b.bytes[AT_COMPRESSION] = 1;
	fill_noisy(plain, sizeof plain, 0xa3);
	n = ZSTD_compress(compressed, sizeof compressed, plain, sizeof plain, 3);
	build_qcow2_put(&b, data_at(0) + 77, compressed, n);
	build_qcow2_l2(&b, 5, build_qcow2_compressed(&b, data_at(0) + 77, n));
	n = ZSTD_compress(compressed, sizeof compressed, plain, sizeof plain - 1, 3);
	build_qcow2_put(&b, data_at(3), compressed, n);
	build_qcow2_l2(&b, 6, build_qcow2_compressed(&b, data_at(3), n));
	opens();
	is_noisy(5, 4096, 0xa3);
	fails(6, EUCLEAN, "compressed cluster at 0xa000");
}
END_TEST

static void add_cluster_tests(TCase *tc)
{
	tcase_add_test(tc, all_kinds_of_clusters);
	tcase_add_test(tc, invalid_entries_fail);
	tcase_add_test(tc, data_is_aligned_to_clusters);
	tcase_add_test(tc, version_2_has_no_zero_clusters);
	tcase_add_test(tc, metadata_is_never_read_as_data);
	tcase_add_test(tc, run_ends_before_metadata);
	tcase_add_test(tc, contiguous_clusters_are_one_extent);
	tcase_add_test(tc, run_ends_with_its_table);
	tcase_add_test(tc, run_ends_before_an_invalid_entry);
	tcase_add_test(tc, empty_l1_entries_are_one_extent);
	tcase_add_test(tc, bad_l1_entries_affect_only_their_range);
	tcase_add_test(tc, l2_tables_are_aligned_to_clusters);
	tcase_add_test(tc, last_cluster_is_truncated);
}

Suite *qcow2_map_suite(void)
{
	Suite *suite = suite_create("qcow2_map");
	TCase *clusters = tcase_create("clusters"), *subclusters = tcase_create("subclusters"),
	      *compressed = tcase_create("compressed");

	tcase_add_checked_fixture(clusters, setup, teardown);
	add_cluster_tests(clusters);
	suite_add_tcase(suite, clusters);
	tcase_add_checked_fixture(subclusters, setup, teardown);
	tcase_add_test(subclusters, subclusters_of_all_kinds);
	tcase_add_test(subclusters, runs_of_subclusters_across_clusters);
	tcase_add_test(subclusters, bad_bitmaps_fail);
	suite_add_tcase(suite, subclusters);
	tcase_add_checked_fixture(compressed, setup, teardown);
	tcase_add_test(compressed, compressed_clusters_share_sectors);
	tcase_add_test(compressed, last_compressed_sector_is_truncated);
	tcase_add_test(compressed, compressed_data_of_wrong_length);
	tcase_add_test(compressed, zstd_clusters_read);
	suite_add_tcase(suite, compressed);
	return suite;
}
