/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Check and repair of VHD. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "build/vhd.h"
#include "util/bytes.h"
#include "common/repair_image.h"
#include "common/unit.h"

#define BLOCK     4096u
#define ROOM      (BLOCK + 512)
#define FOOTER    512u
#define BLOCKS_AT VHD_BLOCKS_AT(7)

static struct repair_image m;
static struct memory_image v;

static void make(const uint32_t *map, uint32_t n)
{
	struct vhd_spec s = {.type = VHD_BUILD_DYNAMIC,
		.size = 7 * BLOCK,
		.block_size = BLOCK,
		.map = map,
		.nmap = n};

	v = vhd_build(&s);
}

static void put(void)
{
	write_file(m.path, v.file, v.file_len);
}

static void setup(void)
{
	repair_image_new(&m, "vpc", "image.vhd");
}

static void teardown(void)
{
	memory_image_free(&v);
	repair_image_free(&m);
}

START_TEST(valid_image)
{
	const uint32_t map[] = {2, VHD_ABSENT, 0, 1};

	make(map, COUNT(map));
	repair_image_repairs(&m, v.file, v.file_len, CHECK_ALL, "");
	repair_image_fixed(&m, 0, 0);
	repair_image_check(&m, "");
	findings_count(&m.f, 0, 0);
}
END_TEST

/* A crash may leave a file without a footer. */
START_TEST(no_footer)
{
	const uint32_t map[] = {2, VHD_ABSENT, 0, 1};

	make(map, COUNT(map));
	v.file_len -= FOOTER;
	put();
	repair_image_check(
		&m, "footer and its copy: one is missing, older, or its checksum is wrong\n");
	findings_count(&m.f, 0, 0);
	repair_image_repairs_file(&m, CHECK_ALL,
		"footer and its copy: one is missing, older, or its checksum is wrong\n");
	repair_image_fixed(&m, 1, 0);
	repair_image_check(&m, "");
}
END_TEST

START_TEST(no_copy)
{
	const uint32_t map[] = {2, VHD_ABSENT, 0, 1};

	make(map, COUNT(map));
	memset(v.file, 0, FOOTER);
	repair_image_repairs(&m, v.file, v.file_len, CHECK_ALL,
		"footer and its copy: one is missing, older, or its checksum is wrong\n");
	repair_image_check(&m, "");
}
END_TEST

START_TEST(wrong_header_checksum)
{
	const uint32_t map[] = {2, VHD_ABSENT, 0, 1};

	make(map, COUNT(map));
	v.file[FOOTER + 36] ^= 1;
	put();
	repair_image_check(&m, "ERROR header: the checksum is wrong\n");
	findings_count(&m.f, 1, 0);
	repair_image_repairs_file(&m, CHECK_ALL, "Repairing the checksum of the header\n");
	repair_image_fixed(&m, 1, 0);
	repair_image_check(&m, "");
}
END_TEST

/* Block 1 and the last two have no BAT entry. */
START_TEST(leaks)
{
	const uint32_t map[] = {2, 5, 0};
	char text[200];

	make(map, COUNT(map));
	memset(v.file + VHD_HEAD + 4, 0xff, 4);
	put();
	snprintf(text, sizeof text,
		"Leaked space of 1 blocks at %" PRIu64 "\nLeaked space of 3 blocks at %" PRIu64
		"\n",
		BLOCKS_AT + ROOM, BLOCKS_AT + 3 * ROOM);
	repair_image_check(&m, text);
	findings_count(&m.f, 0, 4);
	snprintf(text, sizeof text,
		"Leaked space of 1 blocks at %" PRIu64 "\nCutting off space of 3 blocks at %" PRIu64
		"\n",
		BLOCKS_AT + ROOM, BLOCKS_AT + 3 * ROOM);
	repair_image_repairs_file(&m, CHECK_LEAKS, text);
	repair_image_fixed(&m, 0, 3);
	snprintf(text, sizeof text, "Leaked space of 1 blocks at %" PRIu64 "\n", BLOCKS_AT + ROOM);
	repair_image_check(&m, text);
}
END_TEST

START_TEST(shared)
{
	const uint32_t map[] = {2, 1, 0};
	char text[200];

	make(map, COUNT(map));
	put_be(v.file + VHD_HEAD, 4, (BLOCKS_AT + ROOM) / 512 + 1);
	put();
	snprintf(text, sizeof text, "ERROR two blocks overlap at %" PRIu64 "\n",
		BLOCKS_AT + ROOM + 512);
	repair_image_check(&m, text);
	findings_count(&m.f, 1, 0);
}
END_TEST

START_TEST(outside_of_file)
{
	const uint32_t map[] = {2, 1, 0};
	char text[300];

	make(map, COUNT(map));
	put_be(v.file + VHD_HEAD, 4, 1);
	put_be(v.file + VHD_HEAD + 4, 4, 1 << 20);
	put();
	snprintf(text, sizeof text,
		"ERROR: block 0: it is at 512, where the header is\n"
		"ERROR: block 1: it is at 536870912, past the end of the data, %zu\n"
		"Leaked space of 2 blocks at %" PRIu64 "\n",
		v.file_len - FOOTER, BLOCKS_AT + ROOM);
	repair_image_check(&m, text);
	findings_count(&m.f, 2, 2);
}
END_TEST

Suite *vhd_check_suite(void)
{
	TCase *t = tcase_create("vhd_check");
	Suite *suite = suite_of("vhd_check", t);

	use_temp_dir(t);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, valid_image);
	tcase_add_test(t, no_footer);
	tcase_add_test(t, no_copy);
	tcase_add_test(t, wrong_header_checksum);
	tcase_add_test(t, leaks);
	tcase_add_test(t, shared);
	tcase_add_test(t, outside_of_file);
	return suite;
}
