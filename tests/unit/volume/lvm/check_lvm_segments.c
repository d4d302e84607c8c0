/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_lvm_segments.c - the layouts of logical volumes, against pictures of their extents. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/limits.h"
#include "common/unit.h"
#include "lvm_disk.h"

START_TEST(linear)
{
	lvm_read_text(3,
		lvm_text(1, 3,
			"lv { id = \"L00000-0000-0000-0000-0000-0000-000000\"\n"
			"status = [\"READ\", \"WRITE\", \"VISIBLE\"]\n" LVM_SEGMENT(
				"9", "3", "2", "striped", LVM_LINEAR("pv0", "8"))
				LVM_SEGMENT("1", "0", "1", "striped", LVM_LINEAR("pv2", "0"))
					LVM_SEGMENT("5", "1", "2", "linear", LVM_LINEAR("pv0", "1"))
						LVM_SEGMENT("6", "5", "1", "zero", "") "}\n"));
	LVM_PICTURE("vg-lv", 3, "c0 a1 a2 a8 a9 zz");
	ck_assert_uint_eq(lvm_volume("vg-lv")->nmembers, 2);
}
END_TEST

START_TEST(error_segment)
{
	struct view *v;
	char byte;

	lvm_read_text(1, lvm_text(1, 1,
				 "lv { id = \"L00000-0000-0000-0000-0000-0000-000000\"\n"
				 "status = [\"READ\", \"WRITE\", \"VISIBLE\"]\n" LVM_SEGMENT(
					 "1", "0", "1", "striped", LVM_LINEAR("pv0", "0"))
					 LVM_SEGMENT("2", "1", "1", "error", "") "}\n"));
	v = lvm_view("vg-lv", 1);
	ck_assert_ok(view_read(v, &byte, 1, LVM_EXTENT - 1, &lvm.error), &lvm.error);
	ck_assert_fails(view_read(v, &byte, 1, LVM_EXTENT, &lvm.error), EIO, &lvm.error,
		"an error segment");
	view_free(v);
}
END_TEST

/* Chunks of 2 KiB: extent e of a disk has chunks 4e up to 4e + 3. */
START_TEST(striped)
{
	lvm_read_text(3, lvm_text(1, 3,
				 LVM_LV("lv", "L", "3", "striped",
					 "stripe_count = 3\nstripe_size = 4\nstripes = [ \"pv1\", "
					 "2, \"pv0\", 0, \"pv2\", 1 ]")));
	lvm_check_picture("vg-lv", 3, "b8 a0 c4 b9 a1 c5 b: a2 c6 b; a3 c7", 2048);
	ck_assert_str_eq(lvm_volume("vg-lv")->layout, "striped");
}
END_TEST

START_TEST(on_volumes)
{
	/* A volume on hidden ones, one of which is striped, and on a device in between. */
	lvm_read_text(3,
		lvm_text(1, 3,
			LVM_HIDDEN("one", "1", "2", "striped",
				"stripe_count = 2\nstripe_size = 16\nstripes = [ \"pv2\", 0, "
				"\"pv1\", 0 ]") LVM_HIDDEN("two", "2", "3", "striped",
				LVM_LINEAR("pv0",
					"4")) "lv { id = "
					      "\"L00000-0000-0000-0000-0000-0000-000000\"\n"
					      "status = [\"READ\", \"WRITE\", "
					      "\"VISIBLE\"]\n" LVM_SEGMENT("1", "0", "1", "striped",
						      LVM_LINEAR("one", "1")) LVM_SEGMENT("2", "1",
						      "1", "striped", LVM_LINEAR("pv0", "9"))
						      LVM_SEGMENT("3", "2", "2", "striped",
							      LVM_LINEAR("two", "1")) "}\n"));
	ck_assert_uint_eq(lvm.set->nvolumes, 1);
	LVM_PICTURE("vg-lv", 3, "b0 a9 a5 a6");
}
END_TEST

START_TEST(one_part_twice)
{
	/* Segments of one volume, all on the same hidden one */
	lvm_read_text(2,
		lvm_text(1, 2,
			LVM_HIDDEN("sub", "1", "3", "striped",
				LVM_LINEAR("pv1",
					"2")) "lv { id = "
					      "\"L00000-0000-0000-0000-0000-0000-000000\"\n"
					      "status = [\"READ\", \"WRITE\", "
					      "\"VISIBLE\"]\n" LVM_SEGMENT("1", "0", "1", "striped",
						      LVM_LINEAR("sub", "2")) LVM_SEGMENT("2", "1",
						      "1", "striped", LVM_LINEAR("pv0", "7"))
						      LVM_SEGMENT("3", "2", "2", "striped",
							      "stripe_count = 2\nstripe_size = 16\n"
							      "stripes = [ \"sub\", 0, \"sub\", 1 "
							      "]") "}\n"));
	LVM_PICTURE("vg-lv", 2, "b4 a7 b2 b3");
}
END_TEST

START_TEST(without_devices)
{
	lvm_read_text(1, lvm_text(1, 1, LVM_LV("lv", "L", "2", "zero", "")));
	LVM_PICTURE("vg-lv", 1, "zz zz");
	ck_assert_uint_eq(lvm_volume("vg-lv")->nmembers, 0);
	ck_assert(!volume_spans_disks(lvm_volume("vg-lv")));
}
END_TEST

START_TEST(parts)
{
	/* An extent of a part that it does not have; one part of two volumes. */
	lvm_read_text(1,
		lvm_text(1, 1,
			LVM_HIDDEN("one", "1", "2", "striped", LVM_LINEAR("pv0", "0")) LVM_LV(
				"far", "F", "2", "striped", LVM_LINEAR("one", "1"))
				LVM_LV("lv1", "L", "1", "striped", LVM_LINEAR("one", "0")) LVM_LV(
					"lv2", "M", "1", "striped", LVM_LINEAR("one", "1"))));
	lvm_refused("vg-far", "2 extents at 1 pass the end of volume one");
	LVM_PICTURE("vg-lv1", 1, "a0");
	lvm_refused("vg-lv2", "volume one is a part of two volumes");
}
END_TEST

START_TEST(loops)
{
	lvm_read_text(1, lvm_text(1, 1,
				 LVM_LV("p", "P", "1", "striped", LVM_LINEAR("q", "0")) LVM_LV(
					 "q", "Q", "1", "striped", LVM_LINEAR("r", "0"))
					 LVM_LV("r", "R", "1", "striped", LVM_LINEAR("p", "0"))));
	lvm_refused("vg-p", "of itself");
	lvm_refused("vg-q", "of itself");
	lvm_refused("vg-r", "of itself");
}
END_TEST

START_TEST(depth)
{
	char volumes[8192] = "";

	for (unsigned i = 0; i <= LVM_MAX_DEPTH + 1; i++) {
		size_t len = strlen(volumes);

		snprintf(volumes + len, sizeof volumes - len,
			"v%02u { id = \"%02u0000-0000-0000-0000-0000-0000-000000\"\nstatus = [%s]\n"
			"s { start_extent = 0 extent_count = 1 type = \"striped\" stripe_count = "
			"1\n"
			"stripes = [ \"%s%02u\", 0 ] } }\n",
			i, i, i < 2 ? "\"VISIBLE\", \"WRITE\"" : "",
			i <= LVM_MAX_DEPTH ? "v" : "pv0\", 0 ] # ", i + 1);
		if (i > LVM_MAX_DEPTH)
			strcat(volumes, "\n} }\n");
	}
	lvm_read_text(1, lvm_text(1, 1, volumes));
	lvm_refused("vg-v00", "more than 8 deep");
}
END_TEST

START_TEST(hidden)
{
	lvm_read_text(
		1, lvm_text(1, 1,
			   LVM_HIDDEN("lvol0_pmspare", "1", "2", "striped", LVM_LINEAR("pv0", "0"))
				   LVM_LV("pool", "P", "2", "thin-pool", "") LVM_LV(
					   "cpool", "C", "2", "cache-pool+METADATA_FORMAT", "")));
	ck_assert_uint_eq(lvm.set->nvolumes, 0);
}
END_TEST

START_TEST(snapshots)
{
	/* The store of a snapshot is never shown as if it was the volume. */
	lvm_read_text(1,
		lvm_text(1, 1,
			LVM_LV("lv", "L", "2", "striped", LVM_LINEAR("pv0", "0")) LVM_LV(
				"snap", "S", "2", "striped", LVM_LINEAR("pv0", "2"))
				LVM_HIDDEN("snapshot0", "0", "2", "snapshot",
					"chunk_size = 8\norigin = \"lv\"\ncow_store = \"snap\"")));
	LVM_PICTURE("vg-lv", 1, "a0 a1");
	ck_assert_ptr_nonnull(lvm_volume("vg-lv")->no_writing);
	ck_assert_uint_eq(lvm.set->nvolumes, 2);
	lvm_refused("vg-snap", "");
	lvm_read_text(1,
		lvm_text(1, 1,
			LVM_LV("lv", "L", "2", "striped", LVM_LINEAR("pv0", "0")) LVM_LV("snap",
				"S", "2", "striped", LVM_LINEAR("pv0", "2")) LVM_HIDDEN("snapshot0",
				"0", "2", "snapshot",
				"chunk_size = 8\norigin = \"lv\"\nmerging_store = \"snap\"")));
	lvm_refused("vg-lv", "");
	lvm_refused("vg-snap", "");
}
END_TEST

/* Mirrors. */

#define LEG(name, id, device, extent)                                                              \
	LVM_HIDDEN(name, id, "2", "striped", LVM_LINEAR(device, extent))
#define MIRROR                                                                                     \
	LEG("lv_mimage_0", "0", "pv0", "0")                                                        \
	LEG("lv_mimage_1", "1", "pv1", "4")                                                        \
	LVM_HIDDEN("lv_mlog", "2", "1", "striped", LVM_LINEAR("pv2", "0"))                         \
	LVM_LV("lv", "L", "2", "mirror",                                                           \
		"mirror_count = 2\nmirror_log = \"lv_mlog\"\nregion_size = 8\n"                    \
		"mirrors = [ \"lv_mimage_0\", 0, \"lv_mimage_1\", 0 ]")

static void put_log(uint64_t magic, unsigned char bits)
{
	unsigned char *p = lvm.disks[2]->bytes + LVM_START;

	memset(p, 0, LVM_EXTENT);
	put_le(p, 4, magic);
	put_le(p + 4, 4, 2);
	put_le(p + 8, 8, 4);
	p[1024] = bits; /* 4 regions of 4 KiB */
}

START_TEST(mirror)
{
	lvm_read_text(3, lvm_text(1, 3, MIRROR));
	LVM_PICTURE("vg-lv", 3, "a0 a1");
	ck_assert_uint_eq(lvm.set->nvolumes, 1);
	ck_assert_str_eq(lvm_volume("vg-lv")->layout, "mirror");
	ck_assert_ptr_nonnull(lvm_volume("vg-lv")->no_writing);
}
END_TEST

START_TEST(mirror_without_first_leg)
{
	lvm_lose(0);
	put_log(0x4d695272, 0x0f);
	lvm_read_text(3, lvm_text(1, 3, MIRROR));
	LVM_PICTURE("vg-lv", 3, "b4 b5");
	put_log(0x4d695272, 0x0b);
	lvm_read(3);
	lvm_refused("vg-lv", "region 2 is not in sync");
	put_log(0x4d695273, 0x0f);
	lvm_read(3);
	lvm_refused("vg-lv", "no valid log");
	lvm_lose(1);
	put_log(0x4d695272, 0x0f);
	lvm_read(3);
	lvm_refused("vg-lv", "aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa (/dev/sda) is missing");
}
END_TEST

START_TEST(pvmove)
{
	lvm_read_text(
		2, lvm_text(1, 2,
			   LVM_LV_OF("pvmove0", "0", "\"READ\", \"PVMOVE\"", "2", "mirror",
				   "extents_moved = 0\nmirror_count = 2\nmirrors = [ \"pv0\", 0, "
				   "\"pv1\", 0 ]") LVM_LV("lv", "L", "2", "striped",
				   LVM_LINEAR("pvmove0", "0")) LVM_LV("m", "M", "2", "mirror",
				   "extents_moved = 0\nmirror_count = 2\nmirrors = [ \"pv0\", 0, "
				   "\"pv1\", 0 ]")));
	lvm_refused("vg-lv", "being moved (PVMOVE)");
	lvm_refused("vg-m", "being moved (pvmove)");
}
END_TEST

/* Reads from several threads. */

#define THREADS 4

static struct view *shared;
static unsigned char expected[9 * LVM_EXTENT];

static void *read_at_random(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg;
	unsigned char buf[20000];

	for (unsigned i = 0; i < 400; i++) {
		size_t len = 1 + next_random(&random) % sizeof buf;
		size_t off = next_random(&random) % (sizeof expected - len);
		struct err e = ERR_INIT;

		if (view_read(shared, buf, len, off, &e) < 0 ||
			memcmp(buf, expected + off, len) != 0)
			return shared;
	}
	return NULL;
}

START_TEST(threads)
{
	pthread_t thread[THREADS];
	void *wrong;

	lvm_read_text(3,
		lvm_text(1, 3,
			LVM_HIDDEN("sub", "1", "3", "striped",
				LVM_LINEAR("pv1",
					"5")) "lv { id = "
					      "\"L00000-0000-0000-0000-0000-0000-000000\"\n"
					      "status = [\"READ\", \"WRITE\", "
					      "\"VISIBLE\"]\n" LVM_SEGMENT("1", "0", "1", "striped",
						      LVM_LINEAR("pv2", "3")) LVM_SEGMENT("2", "1",
						      "6", "striped",
						      "stripe_count = 2\nstripe_size = 1\n"
						      "stripes = [ \"pv0\", 9, \"sub\", 0 ]")
						      LVM_SEGMENT("3", "7", "2", "striped",
							      LVM_LINEAR("pv0", "0")) "}\n"));
	for (size_t k = 0; k < LVM_EXTENT; k++)
		expected[k] = lvm_byte(2, 3 * LVM_EXTENT + k);
	for (size_t k = 0; k < 6 * LVM_EXTENT; k++) {
		size_t chunk = k / 512, in = chunk / 2 * 512 + k % 512;

		expected[LVM_EXTENT + k] =
			lvm_byte(chunk % 2, (chunk % 2 ? 5 : 9) * LVM_EXTENT + in);
	}
	for (size_t k = 0; k < 2 * LVM_EXTENT; k++)
		expected[7 * LVM_EXTENT + k] = lvm_byte(0, k);
	shared = lvm_view("vg-lv", 3);
	ck_assert_uint_eq(shared->size, sizeof expected);
	for (size_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, read_at_random,
					 (void *)(uintptr_t)(i + 1)),
			0);
	for (size_t i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(thread[i], &wrong), 0);
		ck_assert_ptr_null(wrong);
	}
	view_free(shared);
}
END_TEST

Suite *lvm_segments_suite(void)
{
	TCase *tc = tcase_create("segments");

	tcase_add_checked_fixture(tc, lvm_setup, lvm_teardown);
	tcase_add_test(tc, linear);
	tcase_add_test(tc, error_segment);
	tcase_add_test(tc, striped);
	tcase_add_test(tc, on_volumes);
	tcase_add_test(tc, one_part_twice);
	tcase_add_test(tc, without_devices);
	tcase_add_test(tc, parts);
	tcase_add_test(tc, loops);
	tcase_add_test(tc, depth);
	tcase_add_test(tc, hidden);
	tcase_add_test(tc, snapshots);
	tcase_add_test(tc, mirror);
	tcase_add_test(tc, mirror_without_first_leg);
	tcase_add_test(tc, pvmove);
	tcase_add_test(tc, threads);
	return suite_of("lvm_segments", tc);
}
