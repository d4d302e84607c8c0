/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "image/format.h"
#include "util/guid.h"
#include "image/image.h"
#include "open/open.h"
#include "io/io.h"
#include "common/unit.h"
#include "build/vdi.h"
#include "view/view.h"

static const uint32_t mixed[] = {4, VDI_FREE, 0, 1, 2, VDI_ZERO, VDI_FREE, 3};

/* Tests of damage use good[0]. */
static const struct vdi_spec good[] = {
	{.block_size = 4096, .map = mixed, .nblocks = COUNT(mixed)},
	{.map = mixed, .nblocks = COUNT(mixed)},
	{.block_size = 512, .map = mixed, .nblocks = COUNT(mixed)},
	{.block_size = 2 << 20, .map = mixed, .nblocks = COUNT(mixed)},
	{.block_size = 4096, .extra = 512, .map = mixed, .nblocks = COUNT(mixed)},
	{.block_size = 4096, .extra = 4096, .map = mixed, .nblocks = COUNT(mixed)},
	/* the last block ends beyond the end of the disk, or of the file */
	{.block_size = 4096, .map = mixed, .nblocks = COUNT(mixed), .size = 7 * 4096 + 512},
	{.block_size = 4096, .map = mixed, .nblocks = COUNT(mixed), .cut = 4095},
	{.block_size = 4096, .map = mixed, .nblocks = COUNT(mixed), .cut = 1},
	/* the disk is smaller than its blocks, as after shrinking; a disk without blocks */
	{.block_size = 4096, .map = mixed, .nblocks = COUNT(mixed), .size = 4096},
	{.block_size = 4096},
	/* the layout of current VirtualBox */
	{.map_pos = 1 << 20, .data_pos = 2 << 20, .map = mixed, .nblocks = COUNT(mixed)},
	/* header version 0 */
	{.version_0 = true, .block_size = 4096, .map = mixed, .nblocks = COUNT(mixed)},
	{.version_0 = true, .map = mixed, .nblocks = COUNT(mixed), .type = 2, .cut = 7},
};

START_TEST(reads_expected_data)
{
	struct memory_image v = vdi_image_make(&good[_i]);

	memory_image_reads(&v);
	memory_image_free(&v);
}
END_TEST

/* A free block reads from the parent, a zero block does not. */
START_TEST(free_and_zero_blocks_with_a_parent)
{
	static unsigned char data[8 * 4096];
	struct memory_image v = vdi_image_make(&good[0]);
	struct image_options o = options_new();
	unsigned char buf[4096], zeroes[4096] = {0};
	struct image *img, *parent;
	struct err e = ERR_INIT;

	fill_pattern(data, sizeof data, 99);
	ck_assert_ok(memory_image_open(&v, &o, &img, &e), &e);
	o.format = "raw";
	ck_assert_ok(
		image_open_io(io_from_memory(data, sizeof data, "p", &e), &o, &parent, &e), &e);
	img->states[0]->view->below = parent->states[0]->view;
	for (size_t i = 0; i < COUNT(mixed); i++) {
		const unsigned char *expected = mixed[i] == VDI_FREE   ? data + 4096 * i
						: mixed[i] == VDI_ZERO ? zeroes
								       : v.disk + 4096 * i;

		ck_assert_ok(view_read(img->states[0]->view, buf, 4096, 4096 * i, &e), &e);
		ck_assert_mem_eq(buf, expected, 4096);
	}
	image_close(img);
	image_close(parent);
	options_free(&o);
	memory_image_free(&v);
}
END_TEST

/* Blocks that are contiguous in the file are one extent: 2, 3 and 4 of mixed. */
START_TEST(contiguous_blocks_are_one_extent)
{
	struct memory_image v = vdi_image_make(&good[0]);

	memory_image_extent(&v, 8192 + 10, EXTENT_FILE, 3 * 4096 - 10);
	memory_image_free(&v);
}
END_TEST

/* Sizes that are not whole sectors are rounded down, as old versions of VirtualBox did. */
START_TEST(odd_sizes_are_rounded_down)
{
	struct vdi_spec spec = good[0];
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct memory_image v;
	struct image *img;

	spec.size = 4096 + 1023;
	v = vdi_image_make(&spec);
	ck_assert_ok(memory_image_open(&v, &o, &img, &e), &e);
	ck_assert_uint_eq(img->states[0]->view->size, 4096 + 512);
	image_close(img);
	options_free(&o);
	memory_image_free(&v);
}
END_TEST

/* The fields of a version 0 header, with the error for each. */
START_TEST(hostile_version_0)
{
	static const struct field_case bad[] = {
		{72, 4, 0, ENOTSUP, "image type 0"},
		{72, 4, 3, EUCLEAN, "differencing"},
		{348, 4, 4096, ENOTSUP, "sectors of 4096"},
		{352, 8, 8 * 4096 + 1, EINVAL, "disk of 32769 bytes"},
		{360, 4, 3, EINVAL, "block size 3"},
		{364, 4, 1u << 20, EINVAL, "block map of 4194304 bytes at 420"},
		{404, 1, 1, ENOENT, "it has a parent"},
	};
	struct vdi_spec spec = {
		.version_0 = true, .block_size = 4096, .map = mixed, .nblocks = COUNT(mixed)};
	struct memory_image v = vdi_image_make(&spec);
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	put_le(v.file + bad[_i].pos, bad[_i].width, bad[_i].value);
	ck_assert_fails(memory_image_open(&v, &o, &img, &e), bad[_i].code, &e, bad[_i].text);
	v.file_len = 419;
	ck_assert_int_lt(memory_image_open(&v, &o, &img, &e), 0);
	/* version 0 allows a sector size of 0 */
	v.file_len = 420 + 32 + 5 * 4096;
	put_le(v.file + bad[_i].pos, bad[_i].width, 0);
	if (bad[_i].pos == 348) {
		ck_assert_ok(memory_image_open(&v, &o, &img, &e), &e);
		image_close(img);
	}
	options_free(&o);
	memory_image_free(&v);
}
END_TEST

START_TEST(ids)
{
	static const unsigned char none[GUID_LEN];
	struct vdi_spec spec = {.version_0 = _i,
		.map = mixed,
		.nblocks = COUNT(mixed),
		.type = 4,
		.id = 2,
		.change = 3,
		.parent = 4,
		.parent_change = 5};
	struct memory_image v = vdi_image_make(&spec);
	struct image_options o = options_new();
	unsigned char expected[GUID_LEN];
	struct err e = ERR_INIT;
	struct image *img;

	o.nobacking = true;
	ck_assert_ok(memory_image_open(&v, &o, &img, &e), &e);
	ck_assert_mem_eq(img->id, memset(expected, 2, GUID_LEN), GUID_LEN);
	ck_assert_mem_eq(img->change_id, memset(expected, 3, GUID_LEN), GUID_LEN);
	ck_assert_mem_eq(img->parent_id, memset(expected, 4, GUID_LEN), GUID_LEN);
	memset(expected, 5, GUID_LEN);
	ck_assert_mem_eq(img->parent_change_id, spec.version_0 ? none : expected, GUID_LEN);
	image_close(img);
	options_free(&o);
	memory_image_free(&v);
}
END_TEST

/* A field of good[0] with a value that must be refused. */
static const struct {
	unsigned pos, width;
	uint64_t value;
	const char *part;
} hostile[] = {
	{64, 4, 0xbeda1070, "not a disk image"},
	{68, 4, 0x00000002, "image type 400"}, /* the size of a version 1 header */
	{68, 4, 0x00000001, "version 0.1"},
	{68, 4, 0x00020001, "version 2.1"},
	{72, 4, 0, "header of 0 bytes"},
	{72, 4, 383, "header of 383 bytes"},
	{76, 4, 0, "image type 0"},
	{76, 4, 3, "differencing"},
	{76, 4, 4, "differencing"},
	{76, 4, 5, "image type 5"},
	{76, 4, 99, "image type 99"},
	{76, 4, 0xffffffff, "image type 4294967295"},
	{340, 4, 0, "block map at 0"},
	{340, 4, 511, "block map at 511"},
	{340, 4, 513, "block map at 513"},
	{340, 4, 1 << 20, "passes the end of the file"},
	{340, 4, 0xfffffe00, "passes the end of the file"},
	{344, 4, 0, "data at 0"},
	{344, 4, 512, "data at 512"},
	{344, 4, 543, "data at 543"},
	{344, 4, 456, "data at 456"},
	{360, 4, 4096, "sectors of 4096 bytes"},
	{360, 4, 0, "sectors of 0 bytes"},
	{368, 8, 8 * 4096 + 512, "disk of 33280 bytes in 8 blocks"},
	{368, 8, 1ull << 49, "disk of"},
	{368, 8, UINT64_MAX, "disk of 18446744073709551615 bytes"},
	{376, 4, 0, "block size 0"},
	{376, 4, 1, "block size 1 "},
	{376, 4, 256, "block size 256"},
	{376, 4, 0xfffff, "block size 1048575"},
	{376, 4, 1u << 29, "block size 536870912"},
	{376, 4, 4097, "block size 4097"},
	{376, 4, 2048, "in 8 blocks of 2048"},
	{380, 4, 3, "3 extra bytes"},
	{380, 4, 8192, "8192 extra bytes"},
	{380, 4, 0xffffffff, "4294967295 extra bytes"},
	{384, 4, 7, "in 7 blocks"},
	{384, 4, 0, "in 0 blocks"},
	{384, 4, 0x1fffff80, "passes the end of the file"},
	{384, 4, 0x20000000, "a map of 536870912 blocks"},
	{384, 4, 0xffffffff, "a map of 4294967295 blocks"},
	{424, 1, 1, "it has a parent"},
	{439, 1, 1, "it has a parent"},
};

START_TEST(hostile_headers)
{
	struct memory_image v = vdi_image_make(&good[0]);
	struct image_options o = options_new();
	unsigned char *before = malloc(v.file_len);
	struct err e = ERR_INIT;
	struct image *img;

	put_le(v.file + hostile[_i].pos, hostile[_i].width, hostile[_i].value);
	memcpy(before, v.file, v.file_len);
	ck_assert_fails(memory_image_open(&v, &o, &img, &e), e.code, &e, hostile[_i].part);
	ck_assert(e.code == EINVAL || e.code == ENOTSUP || e.code == EFBIG || e.code == EUCLEAN ||
		  e.code == ENOENT);
	ck_assert_int_eq(memcmp(v.file, before, v.file_len), 0);
	options_free(&o);
	memory_image_free(&v);
	free(before);
}
END_TEST

/* Fields that do not affect the data may have any value. */
START_TEST(harmless_fields)
{
	static const struct {
		unsigned pos;
		uint32_t value;
	} fields[] = {{80, 0xffffffff}, {348, 0}, {364, 7}, {388, 0xffffffff}, {68, 0x00010000},
		{76, 2}, {72, 384}, {344, 0xffffffff}, {440, 1}};
	struct memory_image v = vdi_image_make(&good[0]);
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;
	unsigned char c;

	put_le(v.file + fields[_i].pos, 4, fields[_i].value);
	ck_assert_ok(memory_image_open(&v, &o, &img, &e), &e);
	/* a data area beyond the end of the file is an error when it is read */
	if (fields[_i].pos == 344)
		ck_assert_fails(view_read(img->states[0]->view, &c, 1, 0, &e), EIO, &e, "past the");
	else
		ck_assert_ok(view_read(img->states[0]->view, &c, 1, 0, &e), &e);
	ck_assert_ok(view_read(img->states[0]->view, &c, 1, 4096, &e), &e);
	ck_assert_uint_eq(c, 0);
	image_close(img);
	options_free(&o);
	memory_image_free(&v);
}
END_TEST

/* Files that end inside the header or the block map. */
START_TEST(short_files)
{
	struct memory_image v = vdi_image_make(&good[0]);
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	for (size_t len = 0; len < 512 + 32; len++) {
		v.file_len = len;
		o.format = len % 2 ? "vdi" : NULL;
		ck_assert_int_lt(memory_image_open(&v, &o, &img, &e), 0);
	}
	options_free(&o);
	memory_image_free(&v);
}
END_TEST

/* A block beyond the end of the file is lost: reading it fails instead of returning zeroes. */
START_TEST(blocks_beyond_the_end_of_file)
{
	static const uint32_t entries[] = {5, 6, 0x7fffffff, 0xfffffffd};
	struct memory_image v = vdi_image_make(&good[0]);
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	unsigned char buf[3 * 4096];
	struct image *img;

	put_le(v.file + 512 + 4 * 3, 4, entries[_i]);
	ck_assert_ok(memory_image_open(&v, &o, &img, &e), &e);
	ck_assert_fails(
		view_read(img->states[0]->view, buf, 1, 3 * 4096, &e), EIO, &e, "past the end");
	ck_assert_fails(
		view_read(img->states[0]->view, buf, 8192, 2 * 4096, &e), EIO, &e, "past the end");
	ck_assert_ok(view_read(img->states[0]->view, buf, 4096, 2 * 4096, &e), &e);
	ck_assert_mem_eq(buf, v.disk + 2 * 4096, 4096);
	ck_assert_ok(view_read(img->states[0]->view, buf, 4096, 4 * 4096, &e), &e);
	ck_assert_mem_eq(buf, v.disk + 4 * 4096, 4096);
	image_close(img);
	options_free(&o);
	memory_image_free(&v);
}
END_TEST

/* The largest possible position of a block: no sum may overflow. */
START_TEST(largest_block_position)
{
	struct memory_image v = vdi_image_make(&good[0]);
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;
	unsigned char c;

	put_le(v.file + 344, 4, 0xffffffff);
	put_le(v.file + 376, 4, 1u << 28);
	put_le(v.file + 380, 4, 1u << 28);
	for (int i = 0; i < 8; i++)
		put_le(v.file + 512 + 4 * i, 4, 0xfffffffd);
	ck_assert_ok(memory_image_open(&v, &o, &img, &e), &e);
	ck_assert_fails(view_read(img->states[0]->view, &c, 1, 0, &e), EIO, &e,
		"data at 2305843012166483967 lies past the end");
	image_close(img);
	options_free(&o);
	memory_image_free(&v);
}
END_TEST

START_TEST(every_read_fails_once)
{
	struct memory_image v = vdi_image_make(&good[0]);

	memory_image_faults(&v, 6); /* head, tail, header, map, data */
	memory_image_free(&v);
}
END_TEST

Suite *vdi_suite(void)
{
	TCase *tc = tcase_create("vdi");

	tcase_add_loop_test(tc, reads_expected_data, 0, COUNT(good));
	tcase_add_test(tc, free_and_zero_blocks_with_a_parent);
	tcase_add_test(tc, contiguous_blocks_are_one_extent);
	tcase_add_test(tc, odd_sizes_are_rounded_down);
	tcase_add_loop_test(tc, hostile_headers, 0, COUNT(hostile));
	tcase_add_loop_test(tc, hostile_version_0, 0, 7);
	tcase_add_loop_test(tc, ids, 0, 2);
	tcase_add_loop_test(tc, harmless_fields, 0, 9);
	tcase_add_test(tc, short_files);
	tcase_add_loop_test(tc, blocks_beyond_the_end_of_file, 0, 4);
	tcase_add_test(tc, largest_block_position);
	tcase_add_test(tc, every_read_fails_once);
	return suite_of("vdi", tc);
}
