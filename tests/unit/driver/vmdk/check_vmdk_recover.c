/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_vmdk_recover.c - truncated streams: recovered grains, and lost ones. */
#include <errno.h>
#include <string.h>

#include "build/vmdk.h"
#include "util/err.h"
#include "common/test_image.h"
#include "common/unit.h"

#define GRAIN  4096u
#define STREAM (WITH_NEWLINES | WITH_COMPRESSION | WITH_LBA)

static struct subject s;
static struct build_vmdk b;
static char warning[ERR_TEXT];

static void keep_warning(void *arg, const char *text)
{
	(void)arg;
	strcpy(warning, text);
}

/* 16 grains in four grain tables, and half a grain; the user has specified the format. */
static void setup(void)
{
	subject_new(&s, "vmdk");
	s.o.warn = keep_warning;
	warning[0] = '\0';
	build_stream_new(&b, 16 * 8 + 4, 8, STREAM);
}

static void teardown(void)
{
	subject_free(&s);
	build_vmdk_free(&b);
}

static const struct view *opened(void)
{
	return subject_opens(&s, b.bytes, b.len);
}

static void refuses(int code, const char *text)
{
	subject_refuses(&s, b.bytes, b.len, code, text);
}

/* Truncates the file where the next record would begin. */
static void truncate_stream(void)
{
	build_stream_pad(&b, SECTOR);
	b.len -= SECTOR;
}

static void put_marker(unsigned type, unsigned payload)
{
	size_t pos = b.len;

	build_stream_pad(&b, (1 + payload) * SECTOR);
	build_vmdk_put(&b, pos, 8, payload);
	build_vmdk_put(&b, pos + 12, 4, type);
	memset(b.bytes + pos + SECTOR, 0xee, payload * SECTOR);
}

START_TEST(recovery_needs_the_format_option)
{
	build_stream_grain(&b, 3, GRAIN, 'x');
	truncate_stream();
	s.o.format = NULL;
	refuses(EUCLEAN, "no footer");
	ck_assert_str_eq(hint_of(&s.e), "-o format=vmdk shows the part that is left");
	s.o.format = "vmdk";
	subject_reads(opened(), 3 * GRAIN, GRAIN, 'x');
	ck_assert_msg(strstr(warning, "lost its directory"), "%s", warning);
}
END_TEST

START_TEST(valid_stream_is_not_scanned)
{
	build_stream_grain(&b, 3, GRAIN, 'x');
	build_stream_finish(&b);
	subject_maps(opened(), 4 * GRAIN, EXTENT_ZERO, 12 * GRAIN + GRAIN / 2);
	ck_assert_str_eq(warning, "");
}
END_TEST

/* Truncated after grain 9: later grains may be lost; earlier ones that are missing are
 * unallocated. */
START_TEST(grains_after_the_last_one_are_lost)
{
	struct extent x = {.len = 0};
	const struct view *v;

	build_stream_grain(&b, 3, GRAIN, 'x');
	build_stream_grain(&b, 4, GRAIN, 'y');
	build_stream_grain(&b, 9, GRAIN, 'z');
	truncate_stream();
	v = opened();
	subject_maps(v, 0, EXTENT_ZERO, 3 * GRAIN);
	subject_maps(v, 3 * GRAIN, EXTENT_GENERATED, GRAIN);
	subject_reads(v, 4 * GRAIN, GRAIN, 'y');
	subject_maps(v, 5 * GRAIN + 1, EXTENT_ZERO, 4 * GRAIN - 1);
	subject_reads(v, 9 * GRAIN, GRAIN, 'z');
	subject_fails(v, 10 * GRAIN, EIO, "grain 10 is lost with the end of the stream");
	ck_assert_int_lt(v->ops->map(v, 10 * GRAIN + 7, v->size - 10 * GRAIN - 7, &x, &s.e), 0);
	ck_assert_uint_eq(x.len, v->size - 10 * GRAIN - 7);
}
END_TEST

START_TEST(truncated_grain_is_lost)
{
	const struct view *v;
	size_t last;

	build_stream_grain(&b, 3, GRAIN, 'x');
	last = build_stream_grain(&b, 4, GRAIN, 'y');
	build_vmdk_put(&b, last + 8, 4, 2000);
	v = opened();
	subject_reads(v, 3 * GRAIN, GRAIN, 'x');
	subject_fails(v, 4 * GRAIN, EIO, "grain 4 is lost");
}
END_TEST

/* A grain table follows its grains, so missing ones are unallocated. */
START_TEST(table_ends_its_grains)
{
	const struct view *v;

	build_stream_grain(&b, 5, GRAIN, 'x');
	put_marker(1, 4);
	v = opened();
	subject_reads(v, 5 * GRAIN, GRAIN, 'x');
	subject_maps(v, 6 * GRAIN, EXTENT_ZERO, 2 * GRAIN);
	subject_fails(v, 8 * GRAIN, EIO, "grain 8 is lost");
}
END_TEST

START_TEST(directory_ends_all_grains)
{
	const struct view *v;

	build_stream_grain(&b, 5, GRAIN, 'x');
	put_marker(4, 0);
	put_marker(4, 3);
	build_stream_grain(&b, 6, GRAIN, 'y');
	put_marker(2, 1);
	v = opened();
	subject_reads(v, 5 * GRAIN, GRAIN, 'x');
	subject_reads(v, 6 * GRAIN, GRAIN, 'y');
	subject_maps(v, 7 * GRAIN, EXTENT_ZERO, 9 * GRAIN + GRAIN / 2);
}
END_TEST

/* If only the footer is missing, no grain is lost. */
START_TEST(missing_footer_loses_nothing)
{
	const struct view *v;

	build_stream_grain(&b, 0, GRAIN, 'a');
	build_stream_grain(&b, 9, GRAIN, 'b');
	build_stream_grain(&b, 16, GRAIN / 2, 'c');
	build_stream_finish(&b);
	b.len -= 2 * SECTOR;
	for (unsigned i = 0; i < 2; i++, b.len -= SECTOR) {
		v = opened();
		subject_reads(v, 0, GRAIN, 'a');
		subject_maps(v, GRAIN, EXTENT_ZERO, 8 * GRAIN);
		subject_reads(v, 9 * GRAIN, GRAIN, 'b');
		subject_reads(v, 16 * GRAIN, GRAIN / 2, 'c');
	}
}
END_TEST

START_TEST(extent_line_longer_than_header)
{
	const struct view *v;

	build_vmdk_text(&b, "version=1\nRW 1000 SPARSE \"x\"\n");
	build_stream_grain(&b, 16, GRAIN / 2, 'c');
	truncate_stream();
	v = opened();
	subject_reads(v, 16 * GRAIN, GRAIN / 2, 'c');
	subject_maps(v, 16 * GRAIN + GRAIN, EXTENT_ZERO, 1000 * SECTOR - 17 * GRAIN);
}
END_TEST

/* If grains are out of order, a gap may contain lost grains. */
START_TEST(grains_out_of_order)
{
	const struct view *v;

	build_stream_grain(&b, 9, GRAIN, 'z');
	build_stream_grain(&b, 2, GRAIN, 'x');
	build_stream_grain(&b, 9, GRAIN, 'Z');
	truncate_stream();
	v = opened();
	subject_reads(v, 2 * GRAIN, GRAIN, 'x');
	subject_reads(v, 9 * GRAIN, GRAIN, 'Z');
	subject_fails(v, 0, EIO, "grain 0 is lost");
	subject_fails(v, 5 * GRAIN, EIO, "grain 5 is lost");
}
END_TEST

static const struct {
	size_t pos;
	unsigned width;
	uint64_t value;
} field_cases[] = {
	{0, 8, 33},                  /* not the start of a grain */
	{0, 8, 17 * 8},              /* beyond the disk */
	{0, 8, UINT64_MAX - 7},      /* beyond the disk */
	{8, 4, GRAIN + (66u << 10)}, /* too long for a grain */
	{8, 4, UINT32_MAX},          /* too long for a grain */
	{8, 4, 0},                   /* a marker with a payload of 32 sectors, beyond the end */
};

START_TEST(records_after_damage_are_ignored)
{
	const struct view *v;
	size_t bad;

	build_stream_grain(&b, 3, GRAIN, 'x');
	bad = build_stream_grain(&b, 4, GRAIN, 'y');
	build_stream_grain(&b, 5, GRAIN, 'z');
	build_vmdk_put(&b, bad + field_cases[_i].pos, field_cases[_i].width, field_cases[_i].value);
	v = opened();
	subject_reads(v, 3 * GRAIN, GRAIN, 'x');
	subject_fails(v, 4 * GRAIN, EIO, "grain 4 is lost");
	subject_fails(v, 5 * GRAIN, EIO, "grain 5 is lost");
}
END_TEST

START_TEST(without_grains_the_reason_is_reported)
{
	build_stream_pad(&b, 100 * SECTOR);
	refuses(EUCLEAN, "no footer");
	build_vmdk_put(&b, AT_OVERHEAD, 8, UINT64_MAX);
	refuses(EUCLEAN, "no footer");
	build_vmdk_put(&b, AT_OVERHEAD, 8, 0);
	refuses(EUCLEAN, "no footer");
}
END_TEST

START_TEST(without_markers_there_is_nothing_to_scan)
{
	build_vmdk_free(&b);
	build_stream_new(&b, 16 * 8 + 4, 8, STREAM & ~(uint32_t)WITH_LBA);
	build_stream_grain(&b, 3, GRAIN, 'x');
	truncate_stream();
	refuses(EUCLEAN, "no footer");
	ck_assert_str_eq(hint_of(&s.e), "");
}
END_TEST

Suite *vmdk_recover_suite(void)
{
	TCase *tc = tcase_create("scan");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, recovery_needs_the_format_option);
	tcase_add_test(tc, valid_stream_is_not_scanned);
	tcase_add_test(tc, grains_after_the_last_one_are_lost);
	tcase_add_test(tc, truncated_grain_is_lost);
	tcase_add_test(tc, table_ends_its_grains);
	tcase_add_test(tc, directory_ends_all_grains);
	tcase_add_test(tc, missing_footer_loses_nothing);
	tcase_add_test(tc, extent_line_longer_than_header);
	tcase_add_test(tc, grains_out_of_order);
	tcase_add_loop_test(tc, records_after_damage_are_ignored, 0, COUNT(field_cases));
	tcase_add_test(tc, without_grains_the_reason_is_reported);
	tcase_add_test(tc, without_markers_there_is_nothing_to_scan);
	return suite_of("vmdk_recover", tc);
}
