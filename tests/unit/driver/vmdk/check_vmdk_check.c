/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Check and repair of VMDK: of sparse extents with two directories. */
#include <stdio.h>

#include "build/vmdk.h"
#include "common/repair_image.h"
#include "common/unit.h"

static struct repair_image m;
static struct build_vmdk b;

/* 16 grains in four grain tables, and half a grain; all data grains are allocated. */
static void setup(void)
{
	repair_image_new(&m, "vmdk", "image.vmdk");
	build_vmdk_new(&b, 16 * 8 + 4, 8, 4);
	build_vmdk_text(&b, "# Disk DescriptorFile\nversion=1\nCID=1234abcd\nparentCID=ffffffff\n"
			    "createType=\"monolithicSparse\"\nRW 132 SPARSE \"image.vmdk\"\n");
	for (unsigned i = 0; i < DATA_GRAINS; i++)
		build_vmdk_both(&b, 2 * i, build_vmdk_data(&b, i));
}

static void teardown(void)
{
	build_vmdk_free(&b);
	repair_image_free(&m);
}

static void finds(unsigned corruptions, unsigned leaks, const char *text)
{
	write_file(m.path, b.bytes, b.len);
	repair_image_check(&m, text);
	findings_count(&m.f, corruptions, leaks);
}

static void repairs(unsigned repair, unsigned corruptions, unsigned leaks, const char *text)
{
	repair_image_repairs(&m, b.bytes, b.len, repair, text);
	repair_image_fixed(&m, corruptions, leaks);
	repair_image_check(&m, "");
}

START_TEST(valid_image)
{
	finds(0, 0, "");
	repairs(CHECK_ALL, 0, 0, "");
}
END_TEST

/* After a crash one of two tables may lack an entry. */
START_TEST(redundant_entry_missing)
{
	char text[200];
	uint32_t last = build_vmdk_data(&b, 7);

	build_vmdk_both(&b, 14, 0);
	build_vmdk_first(&b, 3, last);
	snprintf(text, sizeof text,
		"Unfinished grain table: entry 3 is %u, 0 in the redundant one\n", last);
	finds(0, 1, text);
	snprintf(text, sizeof text,
		"Repairing grain table: entry 3 is %u, 0 in the redundant one\n", last);
	repairs(CHECK_LEAKS, 0, 1, text);
}
END_TEST

/* A grain that only the redundant table has is not allocated. */
START_TEST(primary_entry_missing)
{
	char text[200];
	uint32_t last = build_vmdk_data(&b, 7);

	build_vmdk_both(&b, 14, 0);
	build_vmdk_redundant(&b, 3, last);
	snprintf(text, sizeof text,
		"Repairing grain table: entry 3 is 0, %u in the redundant one\n"
		"Cutting off 1 grains after sector %u of image.vmdk\n",
		last, last);
	repairs(CHECK_LEAKS, 0, 2, text);
}
END_TEST

START_TEST(they_differ)
{
	char text[200];

	build_vmdk_redundant(&b, 4, build_vmdk_data(&b, 5));
	snprintf(text, sizeof text, "ERROR grain table: entry 4 is %u, %u in the redundant one\n",
		build_vmdk_data(&b, 2), build_vmdk_data(&b, 5));
	finds(1, 0, text);
	snprintf(text, sizeof text,
		"Repairing grain table: entry 4 is %u, %u in the redundant one\n",
		build_vmdk_data(&b, 2), build_vmdk_data(&b, 5));
	repairs(CHECK_ALL, 1, 0, text);
}
END_TEST

/* The redundant entry is used, and copied to the primary table. */
START_TEST(primary_entry_is_wrong)
{
	char text[200];

	build_vmdk_first(&b, 4, 2);
	snprintf(text, sizeof text,
		"Repairing grain table: entry 4 is 2, %u in the redundant one\n",
		build_vmdk_data(&b, 2));
	repairs(CHECK_ALL, 1, 0, text);
}
END_TEST

START_TEST(both_are_wrong)
{
	build_vmdk_both(&b, 4, 2);
	finds(1, 0,
		"ERROR: image.vmdk: grain table: grain 4 in sector 2, but grains begin with sector "
		"24\n");
}
END_TEST

START_TEST(shared)
{
	char text[200];

	build_vmdk_both(&b, 5, build_vmdk_data(&b, 1));
	snprintf(text, sizeof text,
		"ERROR: two parts of the disk share 4096 bytes at 0x%x of image.vmdk\n",
		build_vmdk_data(&b, 1) * SECTOR);
	finds(1, 0, text);
}
END_TEST

/* The grain table is copied to the end of the file, for either directory. */
START_TEST(directory)
{
	char text[200];
	uint32_t bad = _i & 1 ? 1000000 : 0;
	bool first = _i & 2;
	uint32_t twin = (first ? b.rgt : b.gt) + b.table_sectors;

	build_vmdk_put(&b, (first ? b.gd : b.rgd) * (size_t)SECTOR + 4, 4, bad);
	snprintf(text, sizeof text,
		"Repairing grain directory: entry 1 is %u, %u in the redundant one\n",
		first ? bad : twin, first ? twin : bad);
	repairs(bad ? CHECK_ALL : CHECK_LEAKS, !!bad, !bad, text);
}
END_TEST

START_TEST(tail)
{
	char text[200];

	build_vmdk_both(&b, 12, 0);
	build_vmdk_both(&b, 14, 0);
	snprintf(text, sizeof text, "Leaked 2 grains after sector %u of image.vmdk\n",
		build_vmdk_data(&b, 6));
	finds(0, 2, text);
	snprintf(text, sizeof text, "Cutting off 2 grains after sector %u of image.vmdk\n",
		build_vmdk_data(&b, 6));
	repairs(CHECK_LEAKS, 0, 2, text);
}
END_TEST

Suite *vmdk_check_suite(void)
{
	TCase *t = tcase_create("vmdk_check");
	Suite *suite = suite_of("vmdk_check", t);

	use_temp_dir(t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, valid_image);
	tcase_add_test(t, redundant_entry_missing);
	tcase_add_test(t, primary_entry_missing);
	tcase_add_test(t, they_differ);
	tcase_add_test(t, primary_entry_is_wrong);
	tcase_add_test(t, both_are_wrong);
	tcase_add_test(t, shared);
	tcase_add_loop_test(t, directory, 0, 4);
	tcase_add_test(t, tail);
	return suite;
}
