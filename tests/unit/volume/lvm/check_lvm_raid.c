/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_lvm_raid.c - logical volumes of RAID, and the superblocks of dm-raid in their legs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/limits.h"
#include "common/unit.h"
#include "lvm_disk.h"

#define META(i, device) LVM_HIDDEN("lv_rmeta_" i, "M", "1", "striped", LVM_LINEAR(device, "0"))
#define DATA(i, device) LVM_HIDDEN("lv_rimage_" i, "D", "2", "striped", LVM_LINEAR(device, "1"))
#define LEGS3                                                                                      \
	META("0", "pv0")                                                                           \
	META("1", "pv1") META("2", "pv2") DATA("0", "pv0") DATA("1", "pv1") DATA("2", "pv2")
#define RAIDS3                                                                                     \
	"device_count = 3\nregion_size = 4096\nraids = [\"lv_rmeta_0\", \"lv_rimage_0\", "         \
	"\"lv_rmeta_1\", \"lv_rimage_1\", \"lv_rmeta_2\", \"lv_rimage_2\"]"
#define RAID1 LEGS3 LVM_LV("lv", "L", "2", "raid1", RAIDS3)
#define RAID5 LEGS3 LVM_LV("lv", "L", "4", "raid5_ls", "stripe_size = 16\n" RAIDS3)
#define RAID4 LEGS3 LVM_LV("lv", "L", "4", "raid4", "stripe_size = 16\n" RAIDS3)

static unsigned char *super(size_t i)
{
	return lvm.disks[i]->bytes + LVM_START;
}

/* A superblock of dm-raid, in sync. */
static void put_super(size_t i, unsigned n, uint64_t events, unsigned chunk)
{
	unsigned char *p = super(i);

	memset(p, 0, LVM_EXTENT);
	memcpy(p, "DmRd", 4);
	put_le(p + 4, 4, 1);
	put_le(p + 8, 4, n);
	put_le(p + 12, 4, i);
	put_le(p + 16, 8, events);
	put_le(p + 32, 8, UINT64_MAX);
	put_le(p + 40, 8, UINT64_MAX);
	put_le(p + 56, 4, chunk);
}

static void put_supers(unsigned chunk)
{
	for (size_t i = 0; i < 3; i++)
		put_super(i, 3, 10, chunk);
}

START_TEST(raid1)
{
	for (size_t i = 0; i < 3; i++)
		memset(super(i), 0, LVM_EXTENT);
	lvm_read_text(3, lvm_text(1, 3, RAID1)); /* never used */
	LVM_PICTURE("vg-lv", 3, "a1 a2");
	ck_assert_str_eq(lvm_volume("vg-lv")->layout, "raid1");
	ck_assert_ptr_nonnull(lvm_volume("vg-lv")->no_writing);
	ck_assert_uint_eq(lvm.set->nvolumes, 1);
	put_supers(0);
	lvm_read(3);
	LVM_PICTURE("vg-lv", 3, "a1 a2");
	lvm_lose(0);
	lvm_read(3);
	LVM_PICTURE("vg-lv", 3, "b1 b2");
	lvm_lose(1);
	lvm_lose(2);
	lvm_read(3);
	lvm_refused("vg-lv", "volume lv_rimage_0: its physical volume aaaaaa");
}
END_TEST

/* Faults that make the first leg unfit. */
static const struct {
	size_t disk, pos;
	unsigned width;
	uint64_t value;
} unfit[] = {
	{1, 24, 8, 1},   /* it has failed, as the newest one knows */
	{0, 16, 8, 8},   /* too few events */
	{0, 32, 8, 100}, /* recovered in part */
	{0, 0, 4, 0},    /* no superblock */
	{0, 8, 4, 4},    /* of another number of legs */
	{0, 12, 4, 1},   /* of another leg */
};

START_TEST(raid1_unfit)
{
	put_supers(0);
	put_le(super(1) + 16, 8, 10);
	put_le(super(0) + 16, 8, 9); /* is no reason */
	lvm_read_text(3, lvm_text(1, 3, RAID1));
	LVM_PICTURE("vg-lv", 3, "a1 a2");
	put_le(super(unfit[_i].disk) + unfit[_i].pos, unfit[_i].width, unfit[_i].value);
	lvm_read(3);
	LVM_PICTURE("vg-lv", 3, "b1 b2");
}
END_TEST

START_TEST(raid1_rebuild)
{
	const char *text = lvm_text(1, 3, LEGS3 LVM_LV("lv", "L", "2", "raid1", RAIDS3));
	char *flagged = strdup(text), *at;

	put_supers(0);
	at = strstr(strstr(flagged, "lv_rimage_0 {"), "\"READ\", \"WRITE\"");
	memcpy(at, "\"REBUILD\"      ", 15);
	lvm_read_text(3, flagged);
	free(flagged);
	LVM_PICTURE("vg-lv", 3, "b1 b2");
}
END_TEST

START_TEST(raid5)
{
	/* Left symmetric: 012 row by row with the parity on the last leg, then to the left. */
	put_supers(16);
	lvm_read_text(3, lvm_text(1, 3, RAID5));
	LVM_PICTURE("vg-lv", 3, "a1 b1 c2 a2");
	ck_assert_str_eq(lvm_volume("vg-lv")->layout, "raid5_ls");
	ck_assert_ptr_nonnull(lvm_volume("vg-lv")->no_writing);
	lvm_read_text(3, lvm_text(2, 3, RAID4));
	LVM_PICTURE("vg-lv", 3, "b1 c1 b2 c2");
}
END_TEST

START_TEST(raid5_degraded)
{
	unsigned char *p[3], *got = malloc(4 * LVM_EXTENT), *lost = malloc(2 * LVM_EXTENT);
	struct view *v;

	put_supers(16);
	for (size_t i = 0; i < 3; i++)
		p[i] = super(i) + LVM_EXTENT;
	memcpy(lost, p[0], 2 * LVM_EXTENT);
	for (size_t k = 0; k < LVM_EXTENT; k++) {
		p[2][k] = p[0][k] ^ p[1][k];
		p[1][LVM_EXTENT + k] = p[0][LVM_EXTENT + k] ^ p[2][LVM_EXTENT + k];
	}
	memset(p[0], 0, 2 * LVM_EXTENT);
	lvm_lose(0);
	lvm_read_text(3, lvm_text(1, 3, RAID5));
	v = lvm_view("vg-lv", 3);
	ck_assert_ok(view_read(v, got, 4 * LVM_EXTENT, 0, &lvm.error), &lvm.error);
	ck_assert_mem_eq(got, lost, LVM_EXTENT);
	ck_assert_mem_eq(got + 3 * LVM_EXTENT, lost + LVM_EXTENT, LVM_EXTENT);
	view_free(v);
	/* The parity was not complete. */
	put_le(super(1) + 40, 8, 100);
	put_le(super(2) + 40, 8, 100);
	lvm_read(3);
	lvm_refused("vg-lv", "is not in sync");
	put_le(super(1) + 40, 8, UINT64_MAX);
	put_le(super(2) + 40, 8, UINT64_MAX);
	lvm_read_text(3, lvm_text(2, 3,
				 LEGS3 LVM_LV_OF("lv", "L", "\"VISIBLE\", \"NOTSYNCED\"", "4",
					 "raid5_ls", "stripe_size = 16\n" RAIDS3)));
	lvm_refused("vg-lv", "is not in sync");
	lvm_read_text(3, lvm_text(3, 3, RAID5));
	lvm_lose(1);
	lvm_read(3);
	lvm_refused("vg-lv", "is missing");
	free(got);
	free(lost);
}
END_TEST

START_TEST(raid_reshape)
{
	put_supers(16);
	for (size_t i = 0; i < 3; i++)
		put_le(super(i) + 60, 4, 1);
	lvm_read_text(3, lvm_text(1, 3, RAID5));
	lvm_refused("vg-lv", "being reshaped");
	put_supers(32);
	lvm_read(3);
	lvm_refused("vg-lv", "superblocks have stripes of 32 sectors, its metadata of 16");
	lvm_read_text(3, lvm_text(1, 3,
				 LEGS3 LVM_LV("lv", "L", "4", "raid5_ls",
					 "data_offset = 0\nstripe_size = 16\n" RAIDS3)));
	lvm_refused("vg-lv", "being reshaped, or has space for that");
}
END_TEST

START_TEST(raid0)
{
	lvm_read_text(3, lvm_text(1, 3,
				 DATA("0", "pv0") DATA("1", "pv1") DATA("2", "pv2")
					 LVM_LV("lv", "L", "6", "raid0",
						 "stripe_count = 3\nstripe_size = 16\n"
						 "raid0_lvs = [ \"lv_rimage_0\", \"lv_rimage_1\", "
						 "\"lv_rimage_2\" ]")));
	LVM_PICTURE("vg-lv", 3, "a1 b1 c1 a2 b2 c2");
	ck_assert_str_eq(lvm_volume("vg-lv")->no_writing, "it lies on several disks");
	lvm_lose(1);
	lvm_read(3);
	lvm_refused("vg-lv", "volume lv_rimage_1: its physical volume bbbbbb");
}
END_TEST

START_TEST(raid10)
{
	lvm_read_text(3,
		lvm_text(1, 3,
			DATA("0", "pv0") DATA("1", "pv1") DATA("2", "pv2") LVM_LV("lv", "L", "3",
				"raid10",
				"device_count = 3\nstripe_size = 16\n"
				"raids = [ \"lv_rimage_0\", \"lv_rimage_1\", \"lv_rimage_2\" ]")));
	LVM_PICTURE("vg-lv", 3, "a1 c1 b2"); /* AAB BCC */
}
END_TEST

static const struct {
	const char *lines, *error;
} raid_cases[] = {
	{"device_count = 0\nraids = []", "not from"},
	{"device_count = 254\nraids = []", "not from"},
	{"device_count = 3\nraids = []", "0 volumes for 3 legs"},
	{"device_count = 3\nraids = [ \"a\", \"b\" ]", "2 volumes for 3 legs"},
	{"device_count = 3\nraids = [ \"a\", \"b\", \"c\" ]", "the group has no volume a"},
	{"device_count = 3\nraids = [ 1, 2, 3 ]", "is no volume"},
	{"device_count = 3\nraids = [ \"lv\", \"lv\", \"lv\" ]", "of itself"},
};

START_TEST(raid_case)
{
	char volumes[1024];

	for (unsigned i = 0; i < 2; i++) {
		snprintf(volumes, sizeof volumes,
			LVM_LV("lv", "L", "2", "%s", "stripe_size = 16\n%s"),
			i ? "raid1" : "raid5_ls", raid_cases[_i].lines);
		lvm_read_text(1, lvm_text(1, 1, volumes));
		lvm_refused("vg-lv", raid_cases[_i].error);
	}
}
END_TEST

Suite *lvm_raid_suite(void);
Suite *lvm_raid_suite(void)
{
	Suite *s = suite_create("lvm_raid");
	TCase *tc = tcase_create("raid");

	tcase_add_checked_fixture(tc, lvm_setup, lvm_teardown);
	tcase_add_test(tc, raid1);
	tcase_add_loop_test(tc, raid1_unfit, 0, COUNT(unfit));
	tcase_add_test(tc, raid1_rebuild);
	tcase_add_test(tc, raid5);
	tcase_add_test(tc, raid5_degraded);
	tcase_add_test(tc, raid_reshape);
	tcase_add_test(tc, raid0);
	tcase_add_test(tc, raid10);
	tcase_add_loop_test(tc, raid_case, 0, COUNT(raid_cases));
	suite_add_tcase(s, tc);
	return s;
}
