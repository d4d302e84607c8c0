/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "build/vmdk.h"
#include "image/check.h"
#include "util/err.h"
#include "common/unit.h"
#include "view/view.h"
#include "vmdk_write_test.h"

static const char own[] = "version=1\nCID=1234567\nparentCID=ffffffff\n"
			  "createType=\"monolithicSparse\"\nRW 1024 SPARSE \"x\"\n";

/* Impossible entries of grain tables. */
START_TEST(bad_tables)
{
	struct build_vmdk b;

	build_vmdk_new(&b, 1024, 8, 32);
	build_vmdk_text(&b, own);
	switch (_i) {
	case 0:
		build_vmdk_both(&b, 0, build_vmdk_data(&b, 3));
		build_vmdk_both(&b, 9, build_vmdk_data(&b, 3));
		break;
	case 1:
		build_vmdk_first(&b, 9, b.data - 1);
		break;
	case 2:
		build_vmdk_first(&b, 9, 1 << 20);
		break;
	case 3:
		build_vmdk_put(&b, b.gd * SECTOR, 4, 1 << 20);
		break;
	case 4:
		build_vmdk_put(&b, b.rgd * SECTOR, 4, b.gt);
		break;
	case 5:
		build_vmdk_put(&b, AT_VERSION, 4, 3);
		break;
	case 6:
		build_vmdk_both(&b, 9, 1);
		build_vmdk_first(&b, 70, 1);
		build_vmdk_redundant(&b, 70, build_vmdk_data(&b, 3));
		break;
	}
	write_file("a.vmdk", b.bytes, b.len);
	refuses_writing("a.vmdk", _i == 3 || _i == 5 ? ENOTSUP : EUCLEAN,
		(const char *[]){"and so is another", "cannot be in sector", "cannot be in sector",
			"is damaged", "overlap", "version 3", "the entry of grain 70 is 1"}[_i]);
	build_vmdk_free(&b);
}
END_TEST

/* A write to one of two overlapping structures would destroy the other.  The image, in sectors: 1
 * descriptor, 5 redundant directory, 6 redundant tables, 10 directory, 11 tables, 16 grains. */
static const struct {
	size_t field; /* position in the header or the grain directory; 0: none */
	unsigned width;
	uint32_t value;
	uint32_t grains[2]; /* sectors of the first two grains; 0: unchanged */
	const char *text;
} overlaps[] = {
	{AT_DESC_LEN, 8, 64, {0}, "the descriptor, 32768 bytes at 512, and the grain directory"},
	{AT_DESC_LEN, 8, 5, {0}, "the descriptor, 2560 bytes at 512, and the redundant grain"},
	{AT_RGD, 8, 10, {0}, "the grain directory, 16 bytes at 5120, and the redundant grain"},
	{AT_RGD, 8, 3, {0}, "and the redundant grain directory, 16 bytes at 1536, overlap"},
	{10 * SECTOR, 4, 4, {0}, "the grain table in sector 4 and the descriptor overlap"},
	{10 * SECTOR, 4, 12, {0}, "the grain table in sector 12 and another one overlap"},
	{AT_OVERHEAD, 8, 1, {2}, "grain 0 in sector 2 and the descriptor overlap"},
	{AT_OVERHEAD, 8, 1, {5}, "grain 0 in sector 5 and the grain directory overlap"},
	{AT_OVERHEAD, 8, 1, {12}, "grain 0 in sector 12 and a grain table overlap"},
	{0, 0, 0, {24, 28}, "a grain is in sector 28, and so is another one"},
	{0, 0, 0, {28, 24}, "a grain is in sector 24, and so is another one"},
	{0, 0, 0, {17, 23}, "a grain is in sector 23, and so is another one"},
};

START_TEST(structures_that_overlap)
{
	struct check_report report = {0};
	struct image_options o;
	struct build_vmdk b;
	struct err e = ERR_INIT;
	struct image *img;

	build_vmdk_new(&b, 1024, 8, 32);
	build_vmdk_text(&b, own);
	build_vmdk_both(&b, 40, build_vmdk_data(&b, 4));
	for (unsigned i = 0; i < 2; i++)
		build_vmdk_both(&b, i, overlaps[_i].grains[i]);
	if (overlaps[_i].width)
		build_vmdk_put(&b, overlaps[_i].field, overlaps[_i].width, overlaps[_i].value);
	write_file("a.vmdk", b.bytes, b.len);
	img = open_image_file("a.vmdk", false, &o);
	ck_assert_ok(image_check(img, 0, &report, &e), &e);
	ck_assert_uint_gt(report.corruptions, 0);
	image_close(img);
	options_free(&o);
	refuses_writing("a.vmdk", EUCLEAN, overlaps[_i].text);
	build_vmdk_free(&b);
}
END_TEST

/* Grains that are not aligned, but do not overlap. */
START_TEST(unaligned_grains)
{
	struct build_vmdk b;
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	static const uint32_t sectors[] = {16, 25, 33, 41, 56, 70};
	unsigned char buf[8 * SECTOR];

	build_vmdk_new(&b, 1024, 8, 32);
	build_vmdk_text(&b, own);
	for (unsigned i = 0; i < COUNT(sectors); i++)
		build_vmdk_both(&b, i, sectors[i]);
	write_file("a.vmdk", b.bytes, b.len);
	img = open_image_file("a.vmdk", true, &o);
	for (unsigned i = 0; i < COUNT(sectors) + 2; i++) {
		memset(buf, 'a' + (int)i, sizeof buf);
		ck_assert_ok(
			view_write(img->states[0]->view, buf, sizeof buf, i * sizeof buf, &e), &e);
	}
	for (unsigned i = 0; i < COUNT(sectors) + 2; i++) {
		ck_assert_ok(
			view_read(img->states[0]->view, buf, sizeof buf, i * sizeof buf, &e), &e);
		ck_assert(buf[0] == 'a' + i && memcmp(buf, buf + 1, sizeof buf - 1) == 0);
	}
	image_close(img);
	options_free(&o);
	build_vmdk_free(&b);
}
END_TEST

/* Bytes behind the last table become entries when the disk grows, so garbage there is cleared. */
START_TEST(tail_of_the_last_table)
{
	struct build_vmdk b;
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	unsigned char byte;

	build_vmdk_new(&b, 104 * 8, 8, 32);
	build_vmdk_text(&b, "version=1\nCID=1234567\nparentCID=ffffffff\n"
			    "createType=\"monolithicSparse\"\nRW 832 SPARSE \"x\"\n");
	build_vmdk_both(&b, 0, build_vmdk_data(&b, 3));
	for (unsigned i = 104; i < 128; i++)
		build_vmdk_both(&b, i, build_vmdk_data(&b, 3));
	write_file("a.vmdk", b.bytes, b.len);
	img = open_image_file("a.vmdk", true, &o);
	ck_assert_ok(view_resize(img->states[0]->view, 130 * 8 * SECTOR, &e), &e);
	for (unsigned i = 104; i < 130; i++) {
		ck_assert_ok(view_read(img->states[0]->view, &byte, 1, i * 8 * SECTOR, &e), &e);
		ck_assert_uint_eq(byte, 0);
	}
	image_close(img);
	options_free(&o);
	build_vmdk_free(&b);
}
END_TEST

/* The two tables differ after a crash, or after a program that ignores the redundant one. */
START_TEST(redundant_tables_are_made_equal)
{
	struct image_options o;
	struct build_vmdk b;
	unsigned char *now;
	FILE *f;

	build_vmdk_new(&b, 1024, 8, 32);
	build_vmdk_text(&b, own);
	build_vmdk_both(&b, 3, build_vmdk_data(&b, 0));
	build_vmdk_first(&b, 70, build_vmdk_data(&b, 1));
	build_vmdk_redundant(&b, 100, build_vmdk_data(&b, 2));
	write_file("a.vmdk", b.bytes, b.len);
	image_close(open_image_file("a.vmdk", true, &o));
	options_free(&o);
	now = malloc(b.len);
	f = fopen("a.vmdk", "r");
	ck_assert(now && f && fread(now, 1, b.len, f) == b.len);
	fclose(f);
	ck_assert_mem_eq(
		now + b.gt * SECTOR, b.bytes + b.gt * SECTOR, b.ntables * b.table_sectors * SECTOR);
	ck_assert_mem_eq(
		now + b.gt * SECTOR, now + b.rgt * SECTOR, b.ntables * b.table_sectors * SECTOR);
	free(now);
	build_vmdk_free(&b);
}
END_TEST

/* The unclean flag is set while the image is written, and after a crash. */
START_TEST(unclean)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img;
	unsigned char *p;
	size_t len;

	vmdk_make("a.vmdk", "", MB);
	img = open_image_file("a.vmdk", true, &o);
	ck_assert_ok(view_write(img->states[0]->view, "abc", 3, 1, &e), &e);
	ck_assert_ok(view_flush(img->states[0]->view, &e), &e);
	p = vmdk_read_bytes("a.vmdk", &len);
	ck_assert_uint_eq(p[AT_UNCLEAN], 1);
	free(p);
	ck_assert_ok(image_finish(img, &e), &e);
	redundant_tables_are_equal("a.vmdk");
	image_close(img);
	options_free(&o);
}
END_TEST

Suite *vmdk_write_tables_suite(void)
{
	TCase *tc = tcase_create("vmdk_write_tables");

	tcase_set_timeout(tc, 60);
	use_temp_dir(tc);
	tcase_add_loop_test(tc, bad_tables, 0, 7);
	tcase_add_loop_test(tc, structures_that_overlap, 0, COUNT(overlaps));
	tcase_add_test(tc, unaligned_grains);
	tcase_add_test(tc, tail_of_the_last_table);
	tcase_add_test(tc, redundant_tables_are_made_equal);
	tcase_add_test(tc, unclean);
	return suite_of("vmdk_write_tables", tc);
}
