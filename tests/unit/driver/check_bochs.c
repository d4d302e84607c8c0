/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "common/memory_image.h"
#include "common/unit.h"
#include "view/view.h"

#define EXTENT   4096u
#define BITMAP   512u
#define ENTRIES  8u
#define DATA     (512u + 4 * ENTRIES)
#define FILE_LEN (DATA + 3 * (BITMAP + EXTENT))

/* Extent i of the disk is number stored in the file; it has the sectors whose bits are set. */
static void put_extent(struct memory_image *m, unsigned i, unsigned stored, unsigned char bits)
{
	size_t pos = DATA + stored * (BITMAP + EXTENT);

	put_le(m->file + 512 + 4 * i, 4, stored);
	m->file[pos] = bits;
	memset(m->file + pos + BITMAP, 0xee, EXTENT);
	for (unsigned k = 0; k < 8; k++)
		if (bits >> k & 1)
			memory_image_data(m, pos + BITMAP + 512 * k, i * EXTENT + 512 * k, 512);
}

static struct memory_image build(void)
{
	struct memory_image m = memory_image_new("bochs", FILE_LEN, 7 * EXTENT - 1024);

	strcpy((char *)m.file, "Bochs Virtual HD Image");
	strcpy((char *)m.file + 32, "Redolog");
	strcpy((char *)m.file + 48, "Growing");
	put_le(m.file + 64, 4, 0x20000);
	put_le(m.file + 68, 4, 512);
	put_le(m.file + 72, 4, ENTRIES);
	put_le(m.file + 76, 4, 1);
	put_le(m.file + 80, 4, EXTENT);
	put_le(m.file + 88, 8, m.disk_len);
	memset(m.file + 512, 0xff, 4 * ENTRIES);
	put_extent(&m, 0, 2, 0xff);
	put_extent(&m, 3, 0, 0x4d);
	put_extent(&m, 6, 1, 0x3e);
	return m;
}

START_TEST(reads_expected_data)
{
	struct memory_image m = build();

	memory_image_reads(&m);
	memory_image_extent(&m, 100, EXTENT_FILE, EXTENT - 100);
	memory_image_extent(&m, EXTENT, EXTENT_ZERO, 2 * EXTENT);
	memory_image_extent(&m, 3 * EXTENT + 1024 + 3, EXTENT_FILE, 1024 - 3);
	memory_image_free(&m);
}
END_TEST

/* The header of version 1 has no timestamp; the size is in its place. */
START_TEST(version_1)
{
	struct memory_image m = build();

	put_le(m.file + 64, 4, 0x10000);
	put_le(m.file + 84, 8, m.disk_len);
	memory_image_reads(&m);
	memory_image_free(&m);
}
END_TEST

static const struct field_case hostile[] = {
	{32, 1, 'X', ENOTSUP, "type Xedolog, Growing"},
	{48, 8, 0x656c6974616c6f56, ENOTSUP, "type Redolog, Volatile"},
	{64, 4, 0x30000, ENOTSUP, "version 0x00030000"},
	{68, 4, 0, EINVAL, "catalog at 0"},
	{68, 4, 514, EINVAL, "catalog at 514"},
	{68, 4, 0xfffffffc, EINVAL, "passes the end"},
	{72, 4, 6, EINVAL, "in 6 extents of 4096"},
	{72, 4, 0x100001, EFBIG, "catalog of 1048577 entries"},
	{72, 4, 0x100000, EINVAL, "passes the end"},
	{76, 4, 0, EINVAL, "bitmaps of 0 bytes for extents of 8 sectors"},
	{76, 4, 0xffffffff, EINVAL, "bitmaps of 4294967295 bytes"},
	{80, 4, 0, EINVAL, "extents of 0 bytes"},
	{80, 4, 256, EINVAL, "extents of 256 bytes"},
	{80, 4, 4097, EINVAL, "extents of 4097 bytes"},
	{80, 4, 1u << 24, EINVAL, "extents of 16777216 bytes"},
	{88, 8, 8 * EXTENT + 512, EINVAL, "in 8 extents"},
	{88, 8, UINT64_MAX, EINVAL, "in 8 extents"},
};

START_TEST(hostile_headers)
{
	struct memory_image m = build();

	put_le(m.file + hostile[_i].pos, hostile[_i].width, hostile[_i].value);
	memory_image_refused(&m, hostile[_i].code, hostile[_i].text);
	memory_image_free(&m);
}
END_TEST

/* A sector stored beyond the end of the file is an error, not zeroes. */
START_TEST(beyond_the_end_of_file)
{
	struct memory_image m = build();

	put_le(m.file + 512 + 12, 4, 3);
	memory_image_damaged(&m, 3 * EXTENT, EXTENT, EIO, "extent 3: it is at");
	put_le(m.file + 512 + 12, 4, 0xfffffffe);
	memory_image_damaged(&m, 3 * EXTENT, EXTENT, EIO, "past the end");
	put_le(m.file + 512 + 12, 4, 0);
	m.file_len -= EXTENT; /* the data of extent 0; its bitmap is complete */
	memory_image_damaged(&m, 0, EXTENT, EIO, "past the end");
	memory_image_free(&m);
}
END_TEST

START_TEST(every_read_fails_once)
{
	struct memory_image m = build();

	memory_image_faults(&m, 6);
	memory_image_free(&m);
}
END_TEST

Suite *bochs_suite(void)
{
	TCase *tc = tcase_create("bochs");

	tcase_add_test(tc, reads_expected_data);
	tcase_add_test(tc, version_1);
	tcase_add_loop_test(tc, hostile_headers, 0, COUNT(hostile));
	tcase_add_test(tc, beyond_the_end_of_file);
	tcase_add_test(tc, every_read_fails_once);
	return suite_of("bochs", tc);
}
