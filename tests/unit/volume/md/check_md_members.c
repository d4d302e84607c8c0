/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_md_members.c - which members take part in an array: stale, missing, replaced, with bad
 * blocks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "partition/partition.h"
#include "view/view.h"
#include "volume/volume.h"
#include "common/memory_disk.h"
#include "common/unit.h"
#include "md_machine.h"

/* The second member, and what its superblock or the newest one has of it. */
static const struct {
	size_t pos;
	unsigned width;
	uint64_t value;
	bool in_all; /* superblocks */
	const char *why;
} left_out[] = {
	{MD_AT_EVENTS, 8, 16, false, "it is older than the array"},
	{MD_AT_ROLES + 2, 2, 0xfffe, true, "it is faulty"},
	{MD_AT_ROLES + 2, 2, 0xfffe, false, "it is faulty"},
	{MD_AT_ROLES + 2, 2, 0xffff, true, "it is a spare"},
	{MD_AT_ROLES + 2, 2, 0xfffd, true, "it is a journal"},
	{MD_AT_NUMBER, 4, 500, false, "it is a spare"},
	{MD_AT_FEATURES, 4, 2, false, "it is being rebuilt"},
	{MD_AT_FEATURES, 4, 2 | 128, false, "it is being rebuilt"},
	{MD_AT_FEATURES, 4, 8, false, "it has bad blocks"},
	{MD_AT_FEATURES, 4, 1u << 13, false, "unknown features 0x2000"},
	{MD_AT_LEVEL, 4, 4, false, "its superblock disagrees with the newest one"},
	{MD_AT_CHUNK, 4, 16, false, "its superblock disagrees"},
	{MD_AT_DATA_SIZE, 8, 1 << 30, false, "its data pass its end"},
	{MD_AT_DATA_SIZE, 8, UINT64_MAX, false, "its data pass its end"},
	{MD_AT_DATA_OFFSET, 8, UINT64_MAX, false, "its data pass its end"},
	{MD_AT_DATA_SIZE, 8, 1, false, "its data pass its end"},
	{MD_AT_DATA_OFFSET, 8, 8, false, "its data overlap its superblock"},
};

START_TEST(leaves_out)
{
	char text[128];

	md_make("1.2", &md_shapes[3]);
	if (left_out[_i].in_all)
		md_set_fields(left_out[_i].pos, left_out[_i].width, left_out[_i].value);
	else
		md_set_field(1, left_out[_i].pos, left_out[_i].width, left_out[_i].value);
	/* Its bytes are not used. */
	memdisk_put(md.disks[1], md_make_data(&md.spec), md.contents + 10000, MD_CHUNK);
	md_reads(md_all());
	ck_assert_str_eq(md.set->volumes[0]->layout, "raid5, 1 of 3 members missing");
	snprintf(text, sizeof text, "disk 2: %s", left_out[_i].why);
	md_refused(3, EIO, text);
	md_end();
}
END_TEST

/* As in the kernel: the superblocks of a running array are not written at the same time. */
START_TEST(one_event)
{
	md_make("1.2", &md_shapes[3]);
	md_set_field(1, MD_AT_EVENTS, 8, 17);
	md_reads(md_all());
	ck_assert_str_eq(md.set->volumes[0]->layout, "raid5");
	/* But not one that the newest superblock takes for faulty. */
	for (unsigned i = 0; i < 3; i += 2)
		md_set_field(i, MD_AT_ROLES + 2, 2, 0xfffe);
	md_refused(3, EIO, "disk 2: the newest superblock has another role for it");
	/* Nor one that takes the newest member for faulty. */
	md_set_fields(MD_AT_ROLES + 2, 2, 1);
	md_set_field(1, MD_AT_ROLES, 2, 0xfffe);
	md_refused(3, EIO, "disk 2: it takes the newest member for faulty");
	md_end();
}
END_TEST

/* Whatever the order of the disks, the copy is read that the array was last. */
START_TEST(stale_mirror)
{
	unsigned stale = _i, fresh = 1 - stale;

	md_make("1.0", &md_shapes[1]);
	memdisk_put(md.disks[stale], 0, md.contents + MD_CHUNK, MD_CHUNK);
	md_set_field(stale, MD_AT_EVENTS, 8, 5);
	md_set_field(fresh, MD_AT_ROLES + 2 * stale, 2, 0xfffe);
	md_reads(md_all());
	ck_assert_str_eq(md.set->volumes[0]->layout, "raid1, 1 of 2 members missing");
	md_end();
}
END_TEST

START_TEST(old_member)
{
	md_make("0.90", &md_shapes[3]);
	put_le(md.supers[1] + 39 * 4, 8, 3);
	md_put_supers();
	md_reads(md_all());
	ck_assert_str_eq(md.set->volumes[0]->layout, "raid5, 1 of 3 members missing");
	md_refused(3, EIO, "disk 2: it is older than the array");
	put_le(md.supers[1] + 39 * 4, 8, 18);
	for (unsigned i = 0; i < 3; i++) /* active, but not in sync yet */
		put_le(md.supers[i] + (128 + 32 + 4) * 4, 4, 2);
	md_put_supers();
	md_refused(3, EIO, "disk 2: it is a spare");
	md_reads(md_all());
	md_end();
}
END_TEST

/* Parity is right only in an array that was stopped. */
START_TEST(dirty)
{
	md_make(_i ? "1.2" : "0.90", &md_shapes[3]);
	for (unsigned i = 0; i < 3; i++)
		put_le(md.supers[i] + (_i ? MD_AT_RESYNC : 33 * 4), _i ? 8 : 4, 0);
	md_put_supers();
	md_reads(md_all());
	md_refused(6, EIO, "parity may be wrong, since the array was not stopped (raid5)");
	md_end();
	md_make(_i ? "1.2" : "0.90", &md_shapes[1]);
	for (unsigned i = 0; i < 2; i++)
		put_le(md.supers[i] + (_i ? MD_AT_RESYNC : 33 * 4), _i ? 8 : 4, 0);
	md_put_supers();
	md_reads(2);
	md_end();
}
END_TEST

/* A replacement takes the place of a member that is not there. */
START_TEST(replacement)
{
	md_make("1.2", &md_shapes[3]);
	put_le(md.supers[2] + MD_AT_FEATURES, 4, 16);
	for (unsigned i = 0; i < 3; i++)
		put_le(md.supers[i] + MD_AT_ROLES + 4, 2, 1);
	md_put_supers();
	memdisk_put(md.disks[2], md_make_data(&md.spec), md.contents + 10000, MD_CHUNK);
	md_reads(3 | 4); /* member 1 itself, and member 2 is missing */
	ck_assert_str_eq(md.set->volumes[0]->layout, "raid5, 1 of 3 members missing");
	md_end();
	md_make("1.2", &md_shapes[1]);
	put_le(md.supers[1] + MD_AT_FEATURES, 4, 16);
	for (unsigned i = 0; i < 2; i++)
		put_le(md.supers[i] + MD_AT_ROLES + 2, 2, 0);
	md_put_supers();
	md_reads(2);
	md_end();
}
END_TEST

START_TEST(bad_blocks)
{
	unsigned char list[512];

	md_make("1.2", &md_shapes[3]);
	memset(list, 0xff, sizeof list);
	memdisk_put(md.disks[1], 4096 + 512 * 16, list, sizeof list);
	put_le(md.supers[1] + MD_AT_BAD_BLOCKS, 8, UINT64_C(16) << 32 | 1 << 16);
	md_set_field(1, MD_AT_FEATURES, 4, 8);
	md_reads(md_all());
	ck_assert_str_eq(md.set->volumes[0]->layout, "raid5");
	put_le(list, 8, 100 << 10 | 8);
	memdisk_put(md.disks[1], 4096 + 512 * 16, list, sizeof list);
	md_reads(md_all());
	ck_assert_str_eq(md.set->volumes[0]->layout, "raid5, 1 of 3 members missing");
	md_end();
}
END_TEST

Suite *md_members_suite(void);
Suite *md_members_suite(void)
{
	Suite *s = suite_create("md_members");
	TCase *tc = tcase_create("members");

	tcase_add_loop_test(tc, leaves_out, 0, COUNT(left_out));
	tcase_add_test(tc, one_event);
	tcase_add_loop_test(tc, stale_mirror, 0, 2);
	tcase_add_test(tc, old_member);
	tcase_add_loop_test(tc, dirty, 0, 2);
	tcase_add_test(tc, replacement);
	tcase_add_test(tc, bad_blocks);
	suite_add_tcase(s, tc);
	return s;
}
