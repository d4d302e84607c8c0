/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/vhdx.h"
#include "util/err.h"
#include "image/format.h"
#include "image/image.h"
#include "open/open.h"
#include "io/io.h"
#include "common/test_image.h"
#include "common/unit.h"
#include "view/view.h"

static const struct vhdx_block mixed[] = {{STATE_FULL, 3}, {STATE_NOT, 0}, {STATE_FULL, 0},
	{STATE_FULL, 1}, {STATE_ZERO, 1}, {STATE_UNMAPPED, 5000000}, {STATE_UNDEFINED, 0}, {5, 3},
	{STATE_FULL, 2}};
/* Tests of damage use good[0]. */
static const struct vhdx_spec good[] = {
	{.size = 9 * MIB, .map = mixed, .nmap = COUNT(mixed)},
	{.size = 9 * MIB, .map = mixed, .nmap = COUNT(mixed), .sector_size = 4096},
	{.size = 17 * MIB + 512, .block_size = 2 * MIB, .map = mixed, .nmap = COUNT(mixed)},
	{.size = 0},
	{.size = 512},
	{.size = 20 * MIB},
};

START_TEST(reads_expected_data)
{
	struct memory_image v = vhdx_build(&good[_i]);
	struct subject s;

	subject_new(&s, NULL);
	subject_opens(&s, v.file, v.file_len);
	ck_assert_str_eq(s.img->format->name, "vhdx");
	ck_assert_uint_eq(s.img->sector_size, good[_i].sector_size ? good[_i].sector_size : 512);
	memory_image_compare(&v, s.img->states[0]->view);
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

START_TEST(contiguous_blocks_are_one_extent)
{
	struct memory_image v = vhdx_build(&good[0]), w = vhdx_build(&good[5]);
	const struct view *view;
	struct subject s;

	subject_new(&s, NULL);
	view = subject_opens(&s, v.file, v.file_len);
	subject_maps(view, 5, EXTENT_FILE, MIB - 5);
	subject_maps(view, 2 * MIB + 7, EXTENT_FILE, 2 * MIB - 7);
	subject_maps(view, 4 * MIB, EXTENT_ZERO, 4 * MIB);
	subject_opens(&s, w.file, w.file_len);
	subject_maps(s.img->states[0]->view, 0, EXTENT_ZERO, 20 * MIB);
	subject_free(&s);
	memory_image_free(&v);
	memory_image_free(&w);
}
END_TEST

/* The BAT has an entry for a sector bitmap block after those of a chunk, 16 blocks of 256 MiB. */
START_TEST(chunks)
{
	struct vhdx_spec spec = {.size = (uint64_t)20 << 30, .block_size = 256 * MIB};
	struct memory_image v;
	const struct view *view;
	struct subject s;

	spec.size = 0;
	v = vhdx_build(&spec);
	put_le(v.file + VHDX_META_AT + (64 << 10) + 8, 8, (uint64_t)20 << 30);
	put_le(v.file + VHDX_BAT_AT + 8 * 15, 8, VHDX_DATA_AT | STATE_FULL);
	put_le(v.file + VHDX_BAT_AT + 8 * 16, 8, 6); /* of the sector bitmap block: skipped */
	put_le(v.file + VHDX_BAT_AT + 8 * 17, 8, (VHDX_DATA_AT + 256 * MIB) | STATE_FULL);
	subject_new(&s, NULL);
	view = subject_opens(&s, v.file, v.file_len);
	subject_maps(view, 0, EXTENT_ZERO, 15 * 256 * MIB);
	subject_maps(view, 15 * 256 * MIB, EXTENT_FILE, MIB); /* the file ends there */
	subject_maps(view, 15 * 256 * MIB + MIB, EXTENT_ZERO, 255 * MIB);
	subject_fails(view, (uint64_t)16 * 256 * MIB, EIO, "block 16: ");
	subject_maps(view, (uint64_t)17 * 256 * MIB, EXTENT_ZERO, (uint64_t)(80 - 17) * 256 * MIB);
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

/* A field with a value that must be refused; checksums are wrong or recomputed. */
#define H1     VHDX_HEADER1
#define TABLE  (VHDX_TABLE1 + 16)
#define ITEM   (VHDX_META_AT + 32)
#define VALUES (VHDX_META_AT + (64u << 10))
static const struct field_case hostile[] = {
	{H1 + 66, 2, 2, ENOTSUP, "version 2"},
	{H1 + 66, 2, 0, ENOTSUP, "version 0"},
	{H1 + 8, 8, 7, EUCLEAN, "two different ones have the sequence number 7"},
	{VHDX_TABLE1 + 8, 4, 2048, EUCLEAN, "region table: 2048 entries"},
	{VHDX_TABLE1 + 8, 4, UINT32_MAX, EUCLEAN, "region table: 4294967295 entries"},
	{VHDX_TABLE1 + 8, 4, 0, EUCLEAN, "region table: no BAT"},
	{VHDX_TABLE1 + 8, 4, 1, EUCLEAN, "region table: no metadata"},
	{TABLE, 1, 0x67, ENOTSUP, "required region 2dc27767-f623-4200-9d64-115e9bfd4a08"},
	{TABLE + 16, 8, 0, EUCLEAN, "BAT of 1048576 bytes at 0x0"},
	{TABLE + 16, 8, 2 * MIB + 4096, EUCLEAN, "whole MiB"},
	{TABLE + 16, 8, 3 * MIB, EUCLEAN, "overlap"},
	{TABLE + 16, 8, MIB, EUCLEAN, "log at 0x100000 and BAT at 0x100000 overlap"},
	{TABLE + 16, 8, UINT64_MAX - MIB + 1, EUCLEAN, "passes the end"},
	{TABLE + 24, 4, 4096, EUCLEAN, "whole MiB"},
	{TABLE + 24, 4, 0xfff00000, EUCLEAN, "passes the end"},
	{TABLE + 24, 4, 0, EUCLEAN, "BAT: 0 entries, 9 needed"},
	{TABLE + 32 + 16, 8, 2 * MIB, EUCLEAN, "overlap"},
	{TABLE + 32 + 24, 4, 0, EUCLEAN, "metadata: a region of 0 bytes"},
	{VHDX_META_AT, 1, 'M', EUCLEAN, "no table at 0x300000"},
	{VHDX_META_AT + 10, 2, 2048, EUCLEAN, "2048 items"},
	{VHDX_META_AT + 10, 2, 1, EUCLEAN, "no virtual disk size"},
	{ITEM, 1, 0x38, ENOTSUP, "required metadata item caa16738-fa36"},
	{ITEM + 24, 4, 7, ENOTSUP, "required metadata item caa16737-fa36"},
	{ITEM + 16, 4, 65535, EUCLEAN, "is not inside the region"},
	{ITEM + 16, 4, MIB - 7, EUCLEAN, "is not inside the region"},
	{ITEM + 16, 4, UINT32_MAX, EUCLEAN, "is not inside the region"},
	{ITEM + 20, 4, 4, EUCLEAN, "file parameters of 4 bytes, 8 expected"},
	{ITEM + 20, 4, UINT32_MAX, EUCLEAN, "is not inside the region"},
	{VALUES, 4, 0, EINVAL, "block size 0"},
	{VALUES, 4, 512 << 10, EINVAL, "block size 524288"},
	{VALUES, 4, 3 << 20, EINVAL, "block size 3145728"},
	{VALUES, 4, 512 << 20, EINVAL, "block size 536870912"},
	{VALUES + 4, 4, 4, ENOTSUP, "file parameters 0x4"},
	{VALUES + 4, 4, 2, EUCLEAN, "without parent locator"},
	{VALUES + 8, 8, 9 * MIB + 1, EINVAL, "a multiple of 512 expected"},
	{VALUES + 8, 8, (UINT64_C(64) << 40) + 512, EFBIG, "70368744178176 bytes"},
	{VALUES + 8, 8, UINT64_MAX, EFBIG, "18446744073709551615 bytes"},
	{VALUES + 8, 8, UINT64_C(1) << 40, EUCLEAN, "BAT: 131072 entries"},
	{VALUES + 32, 4, 0, EINVAL, "sectors of 0 bytes"},
	{VALUES + 32, 4, 1, EINVAL, "sectors of 1 bytes"},
	{VALUES + 32, 4, 1024, EINVAL, "sectors of 1024 bytes"},
};

START_TEST(hostile_fields)
{
	struct memory_image v = vhdx_build(&good[0]);
	struct subject s;

	subject_new(&s, "vhdx");
	put_le(v.file + hostile[_i].pos, hostile[_i].width, hostile[_i].value);
	vhdx_seal(&v);
	subject_refuses(&s, v.file, v.file_len, hostile[_i].code, hostile[_i].text);
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

/* Fields that do not affect the data, and unknown items that are not required. */
START_TEST(harmless_fields)
{
	static const struct {
		size_t pos;
		unsigned width;
		uint64_t value;
	} fields[] = {
		{8, 4, 0x12345678},  /* the creator */
		{H1 + 64, 2, 1},     /* another log version; the log is empty */
		{H1 + 68, 4, 12345}, /* any position of an empty log */
		{H1 + 72, 8, UINT64_MAX},
		{TABLE + 28, 4, 0},    /* qemu-img does not mark its regions as required */
		{ITEM + 4 * 32, 1, 0}, /* the physical sector size is absent */
		{ITEM + 4 * 32 + 24, 1, 3}, {VALUES + 4, 4, 1}, /* fixed */
	};
	struct memory_image v = vhdx_build(&good[0]);
	struct subject s;

	subject_new(&s, NULL);
	put_le(v.file + fields[_i].pos, fields[_i].width, fields[_i].value);
	if (_i == 5)
		put_le(v.file + ITEM + 4 * 32 + 24, 4, 2);
	vhdx_seal(&v);
	memory_image_compare(&v, subject_opens(&s, v.file, v.file_len));
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

/* One of two copies is damaged. */
START_TEST(torn_headers)
{
	static const size_t positions[] = {VHDX_HEADER1, VHDX_HEADER2, VHDX_TABLE1, VHDX_TABLE2};
	struct memory_image v = vhdx_build(&good[0]);
	struct subject s;
	int pair = _i / 2 * 2;

	subject_new(&s, NULL);
	v.file[positions[_i] + 100] ^= 1;
	memory_image_compare(&v, subject_opens(&s, v.file, v.file_len));
	v.file[positions[pair + 1 - _i % 2] + 100] ^= 1;
	subject_refuses(&s, v.file, v.file_len, EUCLEAN, "both copies are damaged");
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

/* The header with the greater sequence number is current; with equal numbers they must be equal. */
START_TEST(current_headers)
{
	struct memory_image v = vhdx_build(&good[0]);
	struct subject s;

	subject_new(&s, NULL);
	put_le(v.file + VHDX_HEADER2 + 66, 2, 9); /* an unsupported version */
	vhdx_seal(&v);
	subject_opens(&s, v.file, v.file_len);
	put_le(v.file + VHDX_HEADER2 + 8, 8, 9);
	vhdx_seal(&v);
	subject_refuses(&s, v.file, v.file_len, ENOTSUP, "version 9");
	memcpy(v.file + VHDX_HEADER2, v.file + VHDX_HEADER1, 4096);
	subject_opens(&s, v.file, v.file_len);
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

/* An impossible BAT entry of block 3. */
START_TEST(bad_entries)
{
	static const struct {
		uint64_t entry;
		int code;
		const char *part;
	} bad[] = {
		{4, EUCLEAN, "its state, 4, is not known"},
		{VHDX_DATA_AT | STATE_PARTIAL, EUCLEAN, "the disk has no parent"},
		{STATE_FULL, EUCLEAN, "where the header is"},
		{MIB | STATE_FULL, EUCLEAN, "where the log is"},
		{2 * MIB | STATE_FULL, EUCLEAN, "where the BAT is"},
		{3 * MIB | STATE_FULL, EUCLEAN, "where the metadata is"},
		{100 * MIB | STATE_FULL, EIO, "past the end of the file"},
		{UINT64_C(0xfffffffffff00000) | STATE_FULL, EIO, "past the end of the file"},
	};
	struct memory_image v = vhdx_build(&good[0]);
	const struct view *view;
	struct subject s;

	subject_new(&s, NULL);
	put_le(v.file + VHDX_BAT_AT + 8 * 3, 8, bad[_i].entry);
	view = subject_opens(&s, v.file, v.file_len);
	subject_fails(view, 3 * MIB, bad[_i].code, bad[_i].part);
	subject_fails(view, 4 * MIB - 1, bad[_i].code, "block 3: ");
	subject_maps(view, 2 * MIB, EXTENT_FILE, MIB);
	subject_maps(view, 4 * MIB, EXTENT_ZERO, 4 * MIB);
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

START_TEST(short_files)
{
	static const size_t lengths[] = {8, 9, 4096, VHDX_HEADER1 + 4095, VHDX_TABLE1,
		VHDX_TABLE1 + 65535, MIB, 2 * MIB, 3 * MIB - 1, 3 * MIB, VHDX_META_AT + 65536,
		4 * MIB - 1};
	struct memory_image v = vhdx_build(&good[0]);
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	for (size_t i = 0; i < COUNT(lengths); i++)
		ck_assert_int_lt(image_open_io(io_from_memory(v.file, lengths[i], "x.img", &e), &o,
					 &img, &e),
			0);
	options_free(&o);
	memory_image_free(&v);
}
END_TEST

Suite *vhdx_suite(void)
{
	TCase *tc = tcase_create("vhdx");

	tcase_add_loop_test(tc, reads_expected_data, 0, COUNT(good));
	tcase_add_test(tc, contiguous_blocks_are_one_extent);
	tcase_add_test(tc, chunks);
	tcase_add_loop_test(tc, hostile_fields, 0, COUNT(hostile));
	tcase_add_loop_test(tc, harmless_fields, 0, 8);
	tcase_add_loop_test(tc, torn_headers, 0, 4);
	tcase_add_test(tc, current_headers);
	tcase_add_loop_test(tc, bad_entries, 0, 8);
	tcase_add_test(tc, short_files);
	return suite_of("vhdx", tc);
}
