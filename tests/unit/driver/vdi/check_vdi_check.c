/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Check and repair of VDI. */
#include <unistd.h>

#include "common/repair_image.h"
#include "common/unit.h"
#include "build/vdi.h"

#define BLOCK    65536u
#define COUNT_AT 388

static struct repair_image m;
static struct memory_image v;

static const uint32_t two[] = {1, VDI_FREE, 0, VDI_ZERO, VDI_FREE, VDI_FREE};
static const uint32_t three[] = {1, VDI_FREE, 0, VDI_ZERO, 2, VDI_FREE};

static void make(const uint32_t map[6], uint32_t count)
{
	struct vdi_spec s = {.block_size = BLOCK, .map = map, .nblocks = 6};

	v = vdi_image_make(&s);
	put_le(v.file + COUNT_AT, 4, count);
	write_file(m.path, v.file, v.file_len);
}

static void setup(void)
{
	repair_image_new(&m, "vdi", "image.vdi");
}

static void teardown(void)
{
	memory_image_free(&v);
	repair_image_free(&m);
}

START_TEST(valid_image)
{
	make(three, 3);
	repair_image_check(&m, "");
	findings_count(&m.f, 0, 0);
	repair_image_repairs_file(&m, CHECK_ALL, "");
	repair_image_fixed(&m, 0, 0);
}
END_TEST

/* A number of allocated blocks that is too low makes another program overwrite a block. */
START_TEST(count_too_low)
{
	make(three, 2);
	repair_image_check(&m, "ERROR: allocated blocks mismatch, is 3, should be 2\n");
	findings_count(&m.f, 1, 0);
	repair_image_repairs_file(
		&m, CHECK_LEAKS, "ERROR: allocated blocks mismatch, is 3, should be 2\n");
	repair_image_repairs_file(
		&m, CHECK_ALL, "Repairing the number of allocated blocks: it is 3\n");
	repair_image_fixed(&m, 1, 0);
	repair_image_check(&m, "");
}
END_TEST

START_TEST(count_too_high)
{
	make(two, 4);
	repair_image_check(&m, "2 blocks at the end of the data area are not used\n");
	findings_count(&m.f, 0, 2);
	repair_image_repairs_file(&m, CHECK_LEAKS, "Cutting off 2 blocks that are not used\n");
	repair_image_fixed(&m, 0, 2);
	repair_image_check(&m, "");
}
END_TEST

START_TEST(count_impossible)
{
	make(two, 7);
	repair_image_check(&m, "ERROR: allocated blocks mismatch, is 2, should be 7\n");
	findings_count(&m.f, 1, 0);
	repair_image_repairs_file(
		&m, CHECK_ALL, "Repairing the number of allocated blocks: it is 2\n");
	repair_image_check(&m, "");
}
END_TEST

START_TEST(file_too_long)
{
	make(two, 2);
	ck_assert_int_eq(truncate(m.path, v.file_len + 3 * BLOCK + 100), 0);
	repair_image_check(&m, "3 blocks at the end of the data area are not used\n");
	repair_image_repairs_file(&m, CHECK_ALL, "Cutting off 3 blocks that are not used\n");
	repair_image_fixed(&m, 0, 3);
	repair_image_check(&m, "");
}
END_TEST

/* The repair keeps unused space between blocks. */
START_TEST(unused_space_between_blocks)
{
	const uint32_t map[] = {3, VDI_FREE, 0, VDI_ZERO, VDI_FREE, VDI_FREE};

	make(map, 4);
	repair_image_check(&m, "2 blocks inside the data area are not used\n");
	findings_count(&m.f, 0, 2);
	repair_image_repairs_file(&m, CHECK_ALL, "2 blocks inside the data area are not used\n");
	repair_image_fixed(&m, 0, 0);
}
END_TEST

/* The file is not truncated as long as an entry is wrong. */
START_TEST(bad_entries)
{
	const uint32_t map[] = {1, 1, 0, VDI_ZERO, VDI_FREE, VDI_FREE};
	const char *text = "ERROR: block index 1 also used by 1\n"
			   "ERROR: block index 4 out of range, is 6\n"
			   "ERROR: block index 5 past the end of the file, is 4\n"
			   "2 blocks inside the data area are not used\n";

	make(map, 5);
	put_le(v.file + 512 + 16, 4, 6);
	put_le(v.file + 512 + 20, 4, 4);
	write_file(m.path, v.file, v.file_len);
	repair_image_check(&m, text);
	findings_count(&m.f, 3, 2);
}
END_TEST

Suite *vdi_check_suite(void)
{
	TCase *t = tcase_create("vdi_check");
	Suite *suite = suite_of("vdi_check", t);

	use_temp_dir(t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, valid_image);
	tcase_add_test(t, count_too_low);
	tcase_add_test(t, count_too_high);
	tcase_add_test(t, count_impossible);
	tcase_add_test(t, file_too_long);
	tcase_add_test(t, unused_space_between_blocks);
	tcase_add_test(t, bad_entries);
	return suite;
}
