/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_vmdk_stream.c - streamOptimized extents. */
#include <errno.h>
#include <string.h>

#include "util/limits.h"
#include "build/vmdk.h"
#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"
#include "common/test_image.h"
#include "common/unit.h"
#include "open/open.h"

#define GRAIN  4096u
#define STREAM (WITH_NEWLINES | WITH_COMPRESSION | WITH_LBA)

static struct subject s;
static struct build_vmdk b;

static void rebuild(uint32_t flags)
{
	build_vmdk_free(&b);
	build_stream_new(&b, 16 * 8 + 4, 8, flags);
}

static void setup(void)
{
	subject_new(&s, NULL);
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

START_TEST(streams_are_read)
{
	static const uint32_t flags[] = {STREAM, STREAM & ~(uint32_t)WITH_LBA};
	const struct view *v;

	for (size_t i = 0; i < COUNT(flags); i++) {
		rebuild(flags[i]);
		build_stream_grain(&b, 9, GRAIN, 'n');
		build_stream_grain(&b, 0, GRAIN, 'z');
		build_stream_grain(&b, 16, GRAIN / 2, 's'); /* ends with the disk */
		build_stream_finish(&b);
		v = opened();
		subject_maps(v, 0, EXTENT_GENERATED, GRAIN);
		subject_reads(v, 0, GRAIN, 'z');
		subject_maps(v, GRAIN, EXTENT_ZERO, 8 * GRAIN);
		subject_reads(v, 9 * GRAIN, GRAIN, 'n');
		subject_reads(v, 16 * GRAIN, GRAIN / 2, 's');
	}
}
END_TEST

START_TEST(directory_before_the_grains)
{
	build_stream_grain(&b, 3, GRAIN, 'x');
	build_stream_finish(&b);
	build_vmdk_put(&b, AT_GD, 8, b.gd);
	b.len -= 3 * SECTOR;
	subject_reads(opened(), 3 * GRAIN, GRAIN, 'x');
}
END_TEST

/* Contiguous compressed grains are not one extent. */
START_TEST(contiguous_records_are_not_merged)
{
	const struct view *v;

	build_stream_grain(&b, 3, GRAIN, 'x');
	build_stream_pad(&b, GRAIN - SECTOR);
	build_stream_grain(&b, 4, GRAIN, 'y');
	build_stream_finish(&b);
	ck_assert_uint_eq(b.entries[4], b.entries[3] + GRAIN / SECTOR);
	v = opened();
	subject_maps(v, 3 * GRAIN, EXTENT_GENERATED, GRAIN);
	subject_reads(v, 4 * GRAIN, GRAIN, 'y');
}
END_TEST

START_TEST(streams_are_padded)
{
	static const size_t pads[] = {1, 511, 512, 65536, 1 << 20};

	build_stream_grain(&b, 3, GRAIN, 'x');
	build_stream_finish(&b);
	for (size_t i = 0; i < COUNT(pads); i++) {
		build_stream_pad(&b, pads[i]);
		subject_reads(opened(), 3 * GRAIN, GRAIN, 'x');
	}
	build_stream_pad(&b, VMDK_MAX_PADDING);
	refuses(EUCLEAN, "no footer");
}
END_TEST

START_TEST(truncated_streams_are_refused)
{
	build_stream_grain(&b, 3, GRAIN, 'x');
	build_stream_finish(&b);
	for (b.len -= 2 * SECTOR; b.len >= SECTOR; b.len -= SECTOR)
		ck_assert_int_lt(image_open_io(io_from_memory(b.bytes, b.len, "cut", &s.e), &s.o,
					 &s.img, &s.e),
			0);
}
END_TEST

START_TEST(invalid_footer_is_refused)
{
	size_t footer;

	build_stream_finish(&b);
	footer = b.len - 2 * SECTOR;
	build_vmdk_put(&b, footer + AT_GD, 8, UINT64_MAX);
	refuses(EUCLEAN, "does not have the grain directory");
	build_vmdk_put(&b, footer - SECTOR + 12, 4, 1); /* not the marker of a footer */
	refuses(EUCLEAN, "no footer at");
	build_vmdk_put(&b, footer - SECTOR + 12, 4, 3);
	build_vmdk_put(&b, footer + AT_GD, 8, b.len / SECTOR);
	refuses(EUCLEAN, "grain directory");
	build_vmdk_put(&b, footer + AT_GRAIN, 8, 3);
	refuses(EINVAL, "footer at");
}
END_TEST

static const struct field_case field_cases[] = {
	{0, 8, 8, EUCLEAN, "is of sector 8, not 24"},
	{0, 8, UINT64_MAX, EUCLEAN, "not 24"},
	{8, 4, 0, EUCLEAN, "compressed length 0"},
	{8, 4, 1, EUCLEAN, "ends too early"},
	{8, 4, 0x7fffffff, EUCLEAN, "compressed length 2147483647"},
	{8, 4, UINT32_MAX, EUCLEAN, "compressed length 4294967295"},
	{12, 4, UINT32_MAX, EUCLEAN, "deflate"},
	{12, 2, 0, EUCLEAN, "deflate"},
};

START_TEST(damaged_records_are_reported)
{
	const struct field_case *c = &field_cases[_i];
	const struct view *v;
	size_t record;

	record = build_stream_grain(&b, 3, GRAIN, 'x');
	build_stream_grain(&b, 4, GRAIN, 'y');
	build_stream_finish(&b);
	build_vmdk_put(&b, record + c->pos, c->width, c->value);
	v = opened();
	subject_fails(v, 3 * GRAIN, c->code, c->text);
	subject_fails(v, 3 * GRAIN, c->code, "grain 3");
	subject_reads(v, 4 * GRAIN, GRAIN, 'y');
}
END_TEST

/* An incompressible grain needs a little more than its size. */
START_TEST(compressed_lengths_have_a_limit)
{
	const uint32_t limit = GRAIN + GRAIN / 1000 + 65536;
	size_t record = build_stream_grain(&b, 3, GRAIN, 'x');

	build_stream_pad(&b, 2 * round_up(limit, SECTOR));
	build_stream_finish(&b);
	build_vmdk_put(&b, record + 8, 4, limit);
	subject_reads(opened(), 3 * GRAIN, GRAIN, 'x');
	build_vmdk_put(&b, record + 8, 4, limit + 1);
	subject_fails(opened(), 3 * GRAIN, EUCLEAN, "compressed length 69637");
}
END_TEST

START_TEST(grain_of_wrong_length)
{
	const struct view *v;

	build_stream_grain(&b, 3, GRAIN - 1, 'x');
	build_stream_grain(&b, 4, 3 * GRAIN, 'y');
	build_stream_grain(&b, 16, GRAIN / 2 - 1, 'z');
	build_stream_finish(&b);
	v = opened();
	subject_fails(v, 3 * GRAIN, EUCLEAN, "gives 4095 bytes, 4096 expected");
	subject_fails(v, 4 * GRAIN, EUCLEAN, "does not end where it should");
	subject_fails(v, 16 * GRAIN, EUCLEAN, "gives 2047 bytes, 2048 expected");
}
END_TEST

START_TEST(end_of_a_short_grain_is_zero)
{
	unsigned char unit[GRAIN];
	const struct view *v;
	struct extent x;

	build_stream_grain(&b, 16, GRAIN / 2, 's');
	build_stream_finish(&b);
	v = opened();
	x = subject_extent(v, 16 * GRAIN);
	ck_assert_uint_eq(x.unit_len, GRAIN);
	memset(unit, 0xff, sizeof unit);
	ck_assert_ok(v->ops->fill(v, &x, unit, &s.e), &s.e);
	for (unsigned i = 0; i < GRAIN; i++)
		ck_assert_uint_eq(unit[i], i < GRAIN / 2 ? 's' : 0);
}
END_TEST

START_TEST(directory_used_as_a_table)
{
	build_stream_grain(&b, 3, GRAIN, 'x');
	build_stream_finish(&b);
	build_vmdk_put(&b, b.gd * SECTOR, 4, b.gd);
	subject_fails(opened(), 3 * GRAIN, EUCLEAN, "grain directory: entry 0");
}
END_TEST

/* Two entries with the same record are refused: the cache has one key per record. */
START_TEST(shared_records_are_refused)
{
	const struct view *v;

	build_stream_grain(&b, 3, GRAIN, 'x');
	b.entries[4] = b.entries[3];
	build_stream_finish(&b);
	v = opened();
	subject_reads(v, 3 * GRAIN, GRAIN, 'x');
	subject_fails(v, 4 * GRAIN, EUCLEAN, "is of sector 24, not 32");
	subject_reads(v, 3 * GRAIN, GRAIN, 'x');
}
END_TEST

START_TEST(records_outside_of_file)
{
	const struct view *v;

	build_stream_grain(&b, 3, GRAIN, 'x');
	b.entries[5] = 2;
	b.entries[6] = 1 << 20;
	build_stream_finish(&b);
	v = opened();
	subject_fails(v, 5 * GRAIN, EUCLEAN, "grains begin with sector 5");
	subject_fails(v, 6 * GRAIN, EIO, "past the end");
	subject_reads(v, 3 * GRAIN, GRAIN, 'x');
}
END_TEST

START_TEST(huge_compressed_grains_are_refused)
{
	build_vmdk_put(&b, AT_GD, 8, 4);
	build_vmdk_put(&b, AT_GRAIN, 8, VMDK_MAX_COMPRESSED_SECTORS);
	opened();
	build_vmdk_put(&b, AT_GRAIN, 8, 2 * VMDK_MAX_COMPRESSED_SECTORS);
	refuses(EINVAL, "grain of 8192 sectors");
}
END_TEST

Suite *vmdk_stream_suite(void)
{
	TCase *tc = tcase_create("stream");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, streams_are_read);
	tcase_add_test(tc, directory_before_the_grains);
	tcase_add_test(tc, contiguous_records_are_not_merged);
	tcase_add_test(tc, streams_are_padded);
	tcase_add_test(tc, truncated_streams_are_refused);
	tcase_add_test(tc, invalid_footer_is_refused);
	tcase_add_loop_test(tc, damaged_records_are_reported, 0, COUNT(field_cases));
	tcase_add_test(tc, compressed_lengths_have_a_limit);
	tcase_add_test(tc, grain_of_wrong_length);
	tcase_add_test(tc, end_of_a_short_grain_is_zero);
	tcase_add_test(tc, directory_used_as_a_table);
	tcase_add_test(tc, shared_records_are_refused);
	tcase_add_test(tc, records_outside_of_file);
	tcase_add_test(tc, huge_compressed_grains_are_refused);
	return suite_of("vmdk_stream", tc);
}
