/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Check and repair of VHDX. */
#include <errno.h>

#include "build/vhdx.h"
#include "common/repair_image.h"
#include "common/unit.h"

static struct repair_image m;
static struct memory_image v;

static const struct vhdx_block map[] = {
	{STATE_FULL, 2}, {STATE_NOT, 0}, {STATE_FULL, 0}, {STATE_ZERO, 1}};

static void setup(void)
{
	struct vhdx_spec s = {.size = 6 * MIB, .map = map, .nmap = COUNT(map)};

	repair_image_new(&m, "vhdx", "image.vhdx");
	v = vhdx_build(&s);
}

static void teardown(void)
{
	memory_image_free(&v);
	repair_image_free(&m);
}

static void put_entry(unsigned i, uint64_t entry)
{
	put_le(v.file + VHDX_BAT_AT + 8 * (size_t)i, 8, entry);
}

static void finds(const char *text, unsigned corruptions)
{
	write_file(m.path, v.file, v.file_len);
	repair_image_check(&m, text);
	findings_count(&m.f, corruptions, 0);
}

START_TEST(valid_image)
{
	repair_image_repairs(&m, v.file, v.file_len, CHECK_ALL, "");
	repair_image_fixed(&m, 0, 0);
	repair_image_check(&m, "");
	findings_count(&m.f, 0, 0);
}
END_TEST

/* A crash may leave a half-written header. */
START_TEST(half_written)
{
	static const size_t places[] = {VHDX_HEADER1, VHDX_HEADER2, VHDX_TABLE1, VHDX_TABLE2};
	static const char *const texts[] = {
		"header 1 is damaged; the other one is used\n",
		"header 2 is damaged; the other one is used\n",
		"region table 1 is damaged; the other one is used\n",
		"region table 2 is damaged; the other one is used\n",
	};

	v.file[places[_i] + 100] ^= 1;
	finds(texts[_i], 0);
	repair_image_repairs_file(&m, CHECK_ALL, texts[_i]);
	repair_image_fixed(&m, 1, 0);
	repair_image_check(&m, "");
}
END_TEST

START_TEST(changes_in_the_log)
{
	static const unsigned char page[4096] = {0x55};
	const struct vhdx_change change = {.pos = VHDX_DATA_AT, .page = page};
	const struct vhdx_entry entry = {.sequence = 1, .changes = &change, .n = 1};

	vhdx_log(&v, &entry);
	vhdx_set_log(&v, true);
	finds("There are changes that are in the log alone\n", 0);
	repair_image_repairs_file(&m, CHECK_LEAKS, "Replaying changes that are in the log alone\n");
	repair_image_fixed(&m, 1, 0);
	repair_image_check(&m, "");
}
END_TEST

START_TEST(shared)
{
	put_entry(1, VHDX_DATA_AT | STATE_FULL);
	finds("ERROR BAT: entry 2: it is at 0x400000, where something else is: writing one would "
	      "change the other\n",
		1);
	put_entry(1, VHDX_META_AT | STATE_FULL);
	finds("ERROR: block 1: it is at 0x300000, where the metadata is\n", 1);
}
END_TEST

START_TEST(outside_of_file)
{
	put_entry(1, 100 * MIB | STATE_FULL);
	put_entry(4, 4);
	finds("ERROR: block 1: image.vhdx: data at 104857600 lies past the end of the file, "
	      "8388608\nERROR: block 4: its state, 4, is not known\n",
		2);
}
END_TEST

/* The item of the virtual disk ID overlaps that of the disk size. */
START_TEST(items_that_overlap)
{
	put_le(v.file + VHDX_META_AT + 32 + 2 * 32 + 16, 4, 65536 + 12);
	finds("ERROR metadata: the virtual disk size and another item overlap\n", 1);
	refuses_writing("image.vhdx", EUCLEAN, "the virtual disk size and another item overlap");
}
END_TEST

START_TEST(truncated)
{
	v.file_len -= MIB + 4096;
	finds("ERROR BAT: entry 0: it ends at 0x700000, past the end of the file, 0x6ff000\n", 1);
	refuses_writing("image.vhdx", EUCLEAN, "past the end of the file");
}
END_TEST

Suite *vhdx_check_suite(void)
{
	TCase *t = tcase_create("vhdx_check");
	Suite *suite = suite_of("vhdx_check", t);

	use_temp_dir(t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, valid_image);
	tcase_add_loop_test(t, half_written, 0, 4);
	tcase_add_test(t, changes_in_the_log);
	tcase_add_test(t, shared);
	tcase_add_test(t, outside_of_file);
	tcase_add_test(t, items_that_overlap);
	tcase_add_test(t, truncated);
	return suite;
}
