/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_vmdk.c - hosted sparse extents: the map, and errors for damage. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "build/vmdk.h"
#include "util/err.h"
#include "io/io.h"
#include "common/test_image.h"
#include "common/unit.h"
#include "open/open.h"

#define GRAIN 4096u /* bytes, in most tests */

static struct subject s;
static struct build_vmdk b;

static void setup(void)
{
	subject_new(&s, "vmdk");
	/* 16 grains in four grain tables, and half a grain */
	build_vmdk_new(&b, 16 * 8 + 4, 8, 4);
}

static void teardown(void)
{
	subject_free(&s);
	build_vmdk_free(&b);
}

static void rebuild(uint64_t capacity, uint64_t grain, uint32_t per_table)
{
	build_vmdk_free(&b);
	build_vmdk_new(&b, capacity, grain, per_table);
}

static const struct view *opened(void)
{
	return subject_opens(&s, b.bytes, b.len);
}

static void refuses(int code, const char *text)
{
	subject_refuses(&s, b.bytes, b.len, code, text);
}

/* Maps grain i of the disk to data grain d. */
static void store(unsigned i, unsigned d)
{
	build_vmdk_both(&b, i, build_vmdk_data(&b, d));
}

/* The map. */

START_TEST(empty_extent_is_one_hole)
{
	const struct view *v = opened();

	ck_assert_uint_eq(v->size, 16 * GRAIN + GRAIN / 2);
	subject_maps(v, 0, EXTENT_ZERO, v->size);
	subject_maps(v, 5000, EXTENT_ZERO, v->size - 5000);
}
END_TEST

START_TEST(contiguous_grains_are_one_extent)
{
	const struct view *v;

	for (unsigned i = 0; i < 6; i++)
		store(2 + i, i);
	v = opened();
	subject_maps(v, 0, EXTENT_ZERO, 2 * GRAIN);
	subject_maps(v, 2 * GRAIN, EXTENT_FILE, 6 * GRAIN);
	subject_maps(v, 3 * GRAIN + 7, EXTENT_FILE, 5 * GRAIN - 7);
	subject_maps(v, 8 * GRAIN, EXTENT_ZERO, v->size - 8 * GRAIN);
	for (unsigned i = 0; i < 6; i++)
		subject_reads(v, (2 + i) * GRAIN, GRAIN, 0x10 + i);
}
END_TEST

START_TEST(scattered_grains_are_extents_each)
{
	const struct view *v;

	for (unsigned i = 0; i < 3; i++)
		store(i, 2 - i);
	v = opened();
	for (unsigned i = 0; i < 3; i++) {
		subject_maps(v, i * GRAIN, EXTENT_FILE, GRAIN);
		subject_reads(v, i * GRAIN, GRAIN, 0x12 - i);
	}
}
END_TEST

START_TEST(partial_last_grain)
{
	const struct view *v;

	store(16, DATA_GRAINS - 1);
	v = opened();
	subject_reads(v, 16 * GRAIN, GRAIN / 2, 0x17);
	b.len -= GRAIN - 512;
	v = opened();
	subject_reads(v, 16 * GRAIN, 512, 0x17);
	subject_reads(v, 16 * GRAIN + 512, GRAIN / 2 - 512, 0);
}
END_TEST

START_TEST(all_grain_sizes)
{
	for (uint64_t grain = 1; grain <= 4096; grain *= 2) {
		const struct view *v;

		rebuild(10 * grain, grain, 512);
		store(9, 3);
		v = opened();
		subject_maps(v, 0, EXTENT_ZERO, 9 * grain * SECTOR);
		subject_maps(v, 9 * grain * SECTOR, EXTENT_FILE, grain * SECTOR);
		subject_reads(v, 10 * grain * SECTOR - SECTOR, SECTOR, 0x13);
	}
}
END_TEST

/* Tables of up to two pages of entries, with runs across tables. */
START_TEST(runs_across_pages_of_entries)
{
	const struct view *v;

	rebuild(4000, 1, 512);
	store(3999, 0);
	v = opened();
	subject_maps(v, 0, EXTENT_ZERO, 3999 * SECTOR);
	subject_maps(v, 3999 * SECTOR, EXTENT_FILE, SECTOR);
}
END_TEST

/* A zero grain hides the parent; an unallocated grain does not. */
START_TEST(zero_and_unallocated_grains)
{
	struct image *img;
	struct extent x;
	const struct view *v;

	build_vmdk_both(&b, 1, 1);
	build_vmdk_both(&b, 2, 1);
	build_vmdk_put(&b, AT_FLAGS, 4, WITH_NEWLINES | WITH_RGD | WITH_ZERO);
	build_vmdk_put(&b, AT_VERSION, 4, 2);
	opened();
	img = s.img;
	v = img->states[0]->view;
	ck_assert_ok(v->ops->map(v, 0, v->size, &x, &s.e), &s.e);
	ck_assert(x.kind == EXTENT_BELOW && x.pos == 0 && x.len == GRAIN);
	ck_assert_ok(v->ops->map(v, GRAIN + 1, v->size - GRAIN - 1, &x, &s.e), &s.e);
	ck_assert(x.kind == EXTENT_ZERO && x.len == 2 * GRAIN - 1);
	ck_assert_ok(v->ops->map(v, 3 * GRAIN, v->size - 3 * GRAIN, &x, &s.e), &s.e);
	ck_assert(x.kind == EXTENT_BELOW && x.pos == 3 * GRAIN);
}
END_TEST

/* Sector 1 is the descriptor: reading it as a grain would show its text to the guest. */
START_TEST(entry_of_1_without_the_flag)
{
	build_vmdk_both(&b, 0, 1);
	subject_reads(opened(), 0, GRAIN, 0);
}
END_TEST

START_TEST(missing_tables_are_unallocated_grains)
{
	const struct view *v;

	store(5, 0);
	store(12, 1);
	for (unsigned t = 0; t < 4; t += 2) {
		build_vmdk_put(&b, b.gd * SECTOR + 4 * t, 4, 0);
		build_vmdk_put(&b, b.rgd * SECTOR + 4 * t, 4, 0);
	}
	v = opened();
	subject_maps(v, 0, EXTENT_ZERO, 5 * GRAIN);
	subject_reads(v, 5 * GRAIN, GRAIN, 0x10);
	subject_maps(v, 6 * GRAIN, EXTENT_ZERO, 6 * GRAIN);
	subject_reads(v, 12 * GRAIN, GRAIN, 0x11);
}
END_TEST

/* With the flag for zero grains, a directory entry of 1 is a table of zero grains. */
START_TEST(directory_entry_of_1_is_zero)
{
	const struct view *v;
	struct extent x;

	store(4, 3);
	store(8, 2);
	build_vmdk_put(&b, b.gd * SECTOR + 4, 4, 1);
	v = opened();
	subject_reads(v, 4 * GRAIN, GRAIN, 0x13); /* without the flag it is damage */
	build_vmdk_put(&b, AT_FLAGS, 4, WITH_NEWLINES | WITH_RGD | WITH_ZERO);
	build_vmdk_both(&b, 3, 1);
	v = opened();
	ck_assert_ok(v->ops->map(v, 3 * GRAIN, 10 * GRAIN, &x, &s.e), &s.e);
	ck_assert(x.kind == EXTENT_ZERO && x.len == 5 * GRAIN);
	subject_reads(v, 8 * GRAIN, GRAIN, 0x12);
	/* a table of zero grains before a missing one */
	build_vmdk_put(&b, b.gd * SECTOR + 8, 4, 0);
	build_vmdk_put(&b, b.rgd * SECTOR + 8, 4, 0);
	v = opened();
	ck_assert_ok(v->ops->map(v, 4 * GRAIN, 10 * GRAIN, &x, &s.e), &s.e);
	ck_assert(x.kind == EXTENT_ZERO && x.len == 4 * GRAIN);
	ck_assert_ok(v->ops->map(v, 8 * GRAIN, 6 * GRAIN, &x, &s.e), &s.e);
	ck_assert(x.kind == EXTENT_BELOW && x.len == 6 * GRAIN);
}
END_TEST

/* The size of the disk is that in the extent line: VirtualBox rounds up the capacity in the
 * header. */

static void resize_line(const char *sectors)
{
	char text[200] = "version=1\nRW ";

	build_vmdk_text(&b, strcat(strcat(text, sectors), " SPARSE \"x\"\n"));
}

START_TEST(extent_line_shorter_than_capacity)
{
	store(0, 0);
	resize_line("7");
	ck_assert_uint_eq(opened()->size, 7 * SECTOR);
	subject_maps(s.img->states[0]->view, 0, EXTENT_FILE, 7 * SECTOR);
}
END_TEST

START_TEST(extent_line_longer_than_capacity)
{
	const struct view *v;

	store(16, 0);
	resize_line("1000");
	v = opened();
	ck_assert_uint_eq(v->size, 1000 * SECTOR);
	subject_maps(v, 16 * GRAIN, EXTENT_FILE, GRAIN / 2);
	subject_maps(v, 16 * GRAIN + GRAIN / 2, EXTENT_ZERO, v->size - 16 * GRAIN - GRAIN / 2);
}
END_TEST

/* Damage to tables. */

START_TEST(lost_directory_entry_uses_the_redundant_one)
{
	static const uint32_t lost[] = {0, UINT32_MAX, 0x7fffffff};

	store(4, 3);
	for (size_t i = 0; i < COUNT(lost); i++) {
		build_vmdk_put(&b, b.gd * SECTOR + 4, 4, lost[i]);
		subject_reads(opened(), 4 * GRAIN, GRAIN, 0x13);
	}
}
END_TEST

static char warning[ERR_TEXT];

static void keep_warning(void *arg, const char *text)
{
	(void)arg;
	ck_assert_str_eq(warning, ""); /* reported once */
	strcpy(warning, text);
}

static void opens_with_warning(const char *part)
{
	warning[0] = '\0';
	s.o.warn = keep_warning;
	opened();
	ck_assert_msg(strstr(warning, part) && (*part || !*warning), "%s", warning);
}

START_TEST(the_use_of_the_redundant_directory_is_reported)
{
	store(4, 3);
	opens_with_warning("");
	build_vmdk_put(&b, b.gd * SECTOR + 4, 4, 0);
	build_vmdk_put(&b, b.gd * SECTOR + 12, 4, UINT32_MAX);
	opens_with_warning("lost 2 of its grain directory's entries");
	build_vmdk_put(&b, b.rgd * SECTOR + 4, 4, 0);
	opens_with_warning("lost 1 of its grain directory's entries");
	build_vmdk_put(&b, b.rgd * SECTOR + 12, 4, 0);
	opens_with_warning("");
	build_vmdk_put(&b, AT_GD, 8, b.len / SECTOR);
	opens_with_warning("lost its grain directory; the redundant one is used");
}
END_TEST

START_TEST(directory_used_as_a_table)
{
	const uint32_t places[] = {b.gd, b.rgd};

	store(4, 3);
	for (size_t i = 0; i < COUNT(places); i++) {
		build_vmdk_put(&b, b.gd * SECTOR + 4, 4, places[i]);
		build_vmdk_put(&b, b.rgd * SECTOR + 4, 4, b.rgt + b.table_sectors);
		subject_reads(opened(), 4 * GRAIN, GRAIN, 0x13);
		build_vmdk_put(&b, b.rgd * SECTOR + 4, 4, places[i]);
		subject_fails(opened(), 4 * GRAIN, EUCLEAN, "grain directory: entry 1, sector");
	}
}
END_TEST

START_TEST(impossible_entry_uses_the_redundant_one)
{
	const uint32_t bad[] = {2, b.data - 1, b.len / SECTOR, UINT32_MAX};

	store(4, 3);
	for (size_t i = 0; i < COUNT(bad); i++) {
		build_vmdk_first(&b, 4, bad[i]);
		subject_reads(opened(), 4 * GRAIN, GRAIN, 0x13);
	}
	build_vmdk_redundant(&b, 4, 0);
	subject_maps(opened(), 0, EXTENT_ZERO, 4 * GRAIN);
	subject_reads(s.img->states[0]->view, 4 * GRAIN, GRAIN, 0);
}
END_TEST

/* The redundant table also replaces an entry of 1, which means zeroes only if both tables have it;
 * each grain is decided separately. */
START_TEST(entry_of_1_uses_the_redundant_one)
{
	const struct view *v;

	store(2, 3);
	store(4, 5);
	build_vmdk_first(&b, 2, 1);
	build_vmdk_both(&b, 3, 1);
	build_vmdk_first(&b, 4, 1);
	build_vmdk_first(&b, 5, 1);
	v = opened();
	subject_reads(v, 0, 2 * GRAIN, 0);
	subject_reads(v, 2 * GRAIN, GRAIN, 0x13);
	subject_reads(v, 3 * GRAIN, GRAIN, 0);
	subject_reads(v, 4 * GRAIN, GRAIN, 0x15);
	subject_reads(v, 5 * GRAIN, GRAIN, 0);
	build_vmdk_put(&b, AT_FLAGS, 4, WITH_NEWLINES | WITH_RGD | WITH_ZERO);
	build_vmdk_put(&b, AT_VERSION, 4, 2);
	subject_reads(opened(), 0, 6 * GRAIN, 0);
}
END_TEST

START_TEST(redundant_directory_replaces_the_primary)
{
	store(4, 3);
	build_vmdk_put(&b, AT_GD, 8, b.len / SECTOR);
	subject_reads(opened(), 4 * GRAIN, GRAIN, 0x13);
	build_vmdk_put(&b, AT_RGD, 8, b.len / SECTOR);
	refuses(EUCLEAN, "grain directory of 20 bytes");
	build_vmdk_put(&b, AT_RGD, 8, b.rgd);
	build_vmdk_put(&b, AT_FLAGS, 4, WITH_NEWLINES);
	refuses(EUCLEAN, "grain directory of 20 bytes");
}
END_TEST

START_TEST(damage_affects_only_its_own_range)
{
	const struct view *v;
	struct extent x = {.len = 0};

	store(0, 0);
	store(8, 1);
	build_vmdk_both(&b, 1, b.data - 1);
	build_vmdk_both(&b, 2, UINT32_MAX);
	build_vmdk_put(&b, b.gd * SECTOR + 4, 4, b.len / SECTOR);
	build_vmdk_put(&b, b.rgd * SECTOR + 4, 4, b.len / SECTOR);
	v = opened();
	subject_maps(v, 0, EXTENT_FILE, GRAIN);
	subject_fails(v, GRAIN, EUCLEAN, "grain table: grain 1 in sector");
	subject_fails(v, 2 * GRAIN, EIO, "grain 2 in sector 4294967295 lies past the end");
	subject_maps(v, 3 * GRAIN, EXTENT_ZERO, GRAIN);
	subject_fails(v, 4 * GRAIN, EUCLEAN, "grain directory: entry 1");
	subject_reads(v, 8 * GRAIN, GRAIN, 0x11);
	/* the length of the damage */
	ck_assert_int_lt(v->ops->map(v, 5 * GRAIN, 9 * GRAIN, &x, &s.e), 0);
	ck_assert_uint_eq(x.len, 3 * GRAIN);
	ck_assert_int_lt(v->ops->map(v, GRAIN + 1, 9 * GRAIN, &x, &s.e), 0);
	ck_assert_uint_eq(x.len, GRAIN - 1);
}
END_TEST

/* Invalid headers. */

static const struct field_case field_cases[] = {
	{AT_VERSION, 4, 0, ENOTSUP, "version 0"},
	{AT_VERSION, 4, 4, ENOTSUP, "version 4"},
	{AT_VERSION, 4, 9, ENOTSUP, "version 9"},
	{AT_FLAGS, 4, 1 << 18 | 3, ENOTSUP, "flags 0x40000"},
	{AT_FLAGS, 4, 0x80000003, ENOTSUP, "flags 0x80000000"},
	{AT_FLAGS, 4, WITH_COMPRESSION | 3, EINVAL, "compression algorithm 0 does not go with"},
	{AT_FLAGS, 4, WITH_LBA | 3, EINVAL, "does not go with flags 0x20003"},
	{AT_CAPACITY, 8, UINT64_C(1) << 55, EFBIG, "capacity"},
	{AT_CAPACITY, 8, UINT64_MAX, EFBIG, "capacity"},
	{AT_CAPACITY, 8, UINT64_C(1) << 50, EFBIG, "grain directory"},
	{AT_CAPACITY, 8, 1 << 20, EUCLEAN, "grain directory of 131072 bytes"},
	{AT_GRAIN, 8, 0, EINVAL, "grain of 0 sectors"},
	{AT_GRAIN, 8, 3, EINVAL, "grain of 3 sectors"},
	{AT_GRAIN, 8, 0x400000, EINVAL, "grain of 4194304 sectors"},
	{AT_GRAIN, 8, UINT64_C(1) << 32, EINVAL, "grain of 4294967296"},
	{AT_GRAIN, 8, UINT64_MAX, EINVAL, "grain of 18446744073709551615"},
	{AT_TABLES_LEN, 4, 0, EINVAL, "tables of 0 entries"},
	{AT_TABLES_LEN, 4, 513, EINVAL, "tables of 513 entries"},
	{AT_TABLES_LEN, 4, UINT32_MAX, EINVAL, "tables of 4294967295 entries"},
	{AT_DESC_START, 8, UINT64_C(1) << 54, EINVAL, "descriptor"},
	{AT_DESC_START, 8, UINT64_MAX, EINVAL, "descriptor"},
	{AT_DESC_LEN, 8, UINT64_C(1) << 54, EINVAL, "descriptor"},
	{AT_DESC_LEN, 8, UINT64_MAX, EINVAL, "descriptor"},
	{AT_DESC_START, 8, 0, ENOTSUP, "no descriptor"},
	{AT_DESC_LEN, 8, 0, ENOTSUP, "no descriptor"},
	{SECTOR, 1, 0, ENOTSUP, "no descriptor"},
	{AT_OVERHEAD, 8, UINT64_MAX, EUCLEAN, "cut short"},
	{AT_NEWLINES, 4, 0x0a0a200a, EUCLEAN, "copied as text"},
	{AT_COMPRESSION, 2, 1, EINVAL, "compression algorithm 1 does not go with"},
	{AT_COMPRESSION, 2, 9, ENOTSUP, "compression algorithm 9"},
	{0, 8, 0xcafebabe, ENOTSUP, "no descriptor"},
};

START_TEST(impossible_headers_are_refused)
{
	const struct field_case *c = &field_cases[_i];

	build_vmdk_put(&b, c->pos, c->width, c->value);
	refuses(c->code, c->text);
}
END_TEST

START_TEST(impossible_directory_positions_are_refused)
{
	static const uint64_t places[] = {0, UINT64_MAX - 1, UINT64_MAX / SECTOR + 1, 1 << 20};

	build_vmdk_put(&b, AT_FLAGS, 4, WITH_NEWLINES);
	for (size_t i = 0; i < COUNT(places); i++) {
		build_vmdk_put(&b, AT_GD, 8, places[i]);
		refuses(EUCLEAN, "grain directory");
	}
	build_vmdk_put(&b, AT_GD, 8, UINT64_MAX);
	refuses(EUCLEAN, "no footer");
}
END_TEST

START_TEST(newline_bytes_need_the_flag)
{
	build_vmdk_put(&b, AT_FLAGS, 4, WITH_RGD);
	build_vmdk_put(&b, AT_NEWLINES, 4, 0);
	opened();
}
END_TEST

START_TEST(truncated_files_are_refused)
{
	size_t whole = b.len;

	for (b.len = 0; b.len < b.data * (size_t)SECTOR; b.len += SECTOR / 2) {
		int r = image_open_io(
			io_from_memory(b.bytes, b.len, "cut", &s.e), &s.o, &s.img, &s.e);

		ck_assert_int_lt(r, 0);
	}
	b.len = whole;
}
END_TEST

START_TEST(embedded_descriptors_list_one_sparse_extent)
{
	build_vmdk_text(&b, "version=1\nRW 4 SPARSE \"x\"\nRW 4 SPARSE \"y\"\n");
	refuses(ENOTSUP, "descriptor: 2 extents");
	build_vmdk_text(&b, "version=1\nRW 4 FLAT \"x\" 0\n");
	refuses(ENOTSUP, "the first of type FLAT");
	build_vmdk_text(&b, "version=1\nNOACCESS 4 SPARSE \"x\"\n");
	store(0, 0);
	subject_reads(opened(), 0, 4 * SECTOR, 0);
}
END_TEST

START_TEST(failing_reads_are_reported)
{
	store(0, 0);
	subject_faults(&s, b.bytes, b.len, 3);
}
END_TEST

static TCase *map_tests(void)
{
	TCase *tc = tcase_create("map");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, empty_extent_is_one_hole);
	tcase_add_test(tc, contiguous_grains_are_one_extent);
	tcase_add_test(tc, scattered_grains_are_extents_each);
	tcase_add_test(tc, partial_last_grain);
	tcase_add_test(tc, all_grain_sizes);
	tcase_add_test(tc, runs_across_pages_of_entries);
	tcase_add_test(tc, zero_and_unallocated_grains);
	tcase_add_test(tc, entry_of_1_without_the_flag);
	tcase_add_test(tc, missing_tables_are_unallocated_grains);
	tcase_add_test(tc, directory_entry_of_1_is_zero);
	tcase_add_test(tc, extent_line_shorter_than_capacity);
	tcase_add_test(tc, extent_line_longer_than_capacity);
	return tc;
}

static TCase *damage_tests(void)
{
	TCase *tc = tcase_create("damage");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, lost_directory_entry_uses_the_redundant_one);
	tcase_add_test(tc, the_use_of_the_redundant_directory_is_reported);
	tcase_add_test(tc, directory_used_as_a_table);
	tcase_add_test(tc, impossible_entry_uses_the_redundant_one);
	tcase_add_test(tc, entry_of_1_uses_the_redundant_one);
	tcase_add_test(tc, redundant_directory_replaces_the_primary);
	tcase_add_test(tc, damage_affects_only_its_own_range);
	tcase_add_loop_test(tc, impossible_headers_are_refused, 0, COUNT(field_cases));
	tcase_add_test(tc, impossible_directory_positions_are_refused);
	tcase_add_test(tc, newline_bytes_need_the_flag);
	tcase_add_test(tc, truncated_files_are_refused);
	tcase_add_test(tc, embedded_descriptors_list_one_sparse_extent);
	tcase_add_test(tc, failing_reads_are_reported);
	return tc;
}

Suite *vmdk_suite(void)
{
	Suite *suite = suite_of("vmdk", map_tests());

	suite_add_tcase(suite, damage_tests());
	return suite;
}
