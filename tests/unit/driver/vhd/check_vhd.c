/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/vhd.h"
#include "util/bytes.h"
#include "util/err.h"
#include "image/format.h"
#include "image/image.h"
#include "common/memory_image.h"
#include "common/test_image.h"
#include "common/unit.h"

static const uint32_t mixed[] = {3, VHD_ABSENT, 0, 1, VHD_ABSENT, VHD_ABSENT, 2};

#define ODD_SECTORS  UINT64_C(0xaaaaaaaaaaaaaaaa)
#define SOME_SECTORS UINT64_C(0x00ffff0000018003)

/* Tests of damage use good[0]. */
static const struct vhd_spec good[] = {
	{.type = 3, .size = 7 * 4096, .block_size = 4096, .map = mixed, .nmap = COUNT(mixed)},
	{.type = 3,
		.size = 7 * 4096,
		.block_size = 4096,
		.map = mixed,
		.nmap = COUNT(mixed),
		.sectors = SOME_SECTORS},
	{.type = 3, .size = 7 * 512, .block_size = 512, .map = mixed, .nmap = COUNT(mixed)},
	{.type = 3,
		.size = 7 << 19,
		.block_size = 1 << 19,
		.map = mixed,
		.nmap = COUNT(mixed),
		.sectors = SOME_SECTORS},
	{.type = 3,
		.size = 7 << 21,
		.block_size = 2 << 20,
		.map = mixed,
		.nmap = COUNT(mixed),
		.sectors = ODD_SECTORS},
	/* a sector bitmap of more than a page */
	{.type = 3, .size = 3 << 25, .block_size = 1 << 25, .map = mixed, .nmap = 3},
	/* the disk ends inside a block; the BAT has more entries than blocks; no blocks */
	{.type = 3, .size = 6 * 4096 + 512, .block_size = 4096, .map = mixed, .nmap = COUNT(mixed)},
	{.type = 3,
		.size = 7 * 4096,
		.block_size = 4096,
		.map = mixed,
		.nmap = COUNT(mixed),
		.entries = 5000},
	{.type = 3, .block_size = 4096},
	{.type = 3, .size = 20000 * 4096, .block_size = 4096},
	{.type = 3,
		.size = 7 * 4096,
		.block_size = 4096,
		.map = mixed,
		.nmap = COUNT(mixed),
		.footer_len = 511},
	{.type = 2, .size = 123 * 512},
	{.type = 2, .size = 123 * 512, .footer_len = 511},
};

START_TEST(reads_expected_data)
{
	struct memory_image v = vhd_build(&good[_i]);

	memory_image_reads(&v);
	memory_image_free(&v);
}
END_TEST

/* The first sector has the most significant bit of a bitmap's first byte. */
START_TEST(order_of_bitmap_bits)
{
	struct memory_image v = vhd_build(&good[0]);
	const struct view *view;
	struct subject s;

	subject_new(&s, "vpc");
	v.file[load_be32(v.file + VHD_HEAD) * 512] = 0xc1;
	view = subject_opens(&s, v.file, v.file_len);
	subject_maps(view, 0, EXTENT_FILE, 1024);
	subject_maps(view, 100, EXTENT_FILE, 924);
	subject_maps(view, 1024, EXTENT_ZERO, 5 * 512);
	subject_maps(view, 7 * 512, EXTENT_FILE, 512);
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

START_TEST(contiguous_blocks_are_one_extent)
{
	struct memory_image v = vhd_build(&good[4]), w = vhd_build(&good[9]);
	const struct view *view;
	struct subject s;

	subject_new(&s, "vhd");
	memset(v.file + load_be32(v.file + VHD_HEAD) * 512, 0xff, 512);
	view = subject_opens(&s, v.file, v.file_len);
	subject_maps(view, 7, EXTENT_FILE, (2 << 20) - 7);
	subject_maps(view, 4 << 21, EXTENT_ZERO, 4 << 20);
	/* up to the end of the page of the BAT, which begins at 1536 */
	view = subject_opens(&s, w.file, w.file_len);
	subject_maps(view, 0, EXTENT_ZERO, 640 * 4096);
	subject_maps(view, 640 * 4096 + 1, EXTENT_ZERO, 1024 * 4096 - 1);
	subject_free(&s);
	memory_image_free(&v);
	memory_image_free(&w);
}
END_TEST

/* A field of the footer or header with a value that must be refused; checksums are valid. */
static const struct {
	bool header;
	unsigned pos, width;
	uint64_t value;
	int code;
	const char *part;
} hostile[] = {
	{false, 12, 4, 0x00020000, ENOTSUP, "version 2.0"},
	{false, 16, 8, 0, EUCLEAN, "header: none at 0"},
	{false, 16, 8, 1024, EUCLEAN, "header: none at 1024"},
	{false, 16, 8, UINT64_MAX, EUCLEAN, "past the end of the data"},
	{false, 16, 8, 1 << 30, EUCLEAN, "past the end of the data"},
	{false, 48, 8, UINT64_MAX, EINVAL, "BAT: 7 entries"},
	{false, 48, 8, 7 * 4096 + 512, EINVAL, "BAT: 7 entries, 8 needed"},
	{false, 60, 4, 0, ENOTSUP, "disk type 0"},
	{false, 60, 4, 1, ENOTSUP, "disk type 1"},
	{false, 60, 4, 5, ENOTSUP, "disk type 5"},
	{false, 60, 4, 0xffffffff, ENOTSUP, "disk type 4294967295"},
	{true, 0, 1, 'C', EUCLEAN, "header: none"},
	{true, 16, 8, 0, EINVAL, "BAT: at 0, where the header is"},
	{true, 16, 8, 512, EINVAL, "BAT: at 512, where"},
	{true, 16, 8, 1024, EINVAL, "BAT: at 1024, where"},
	{true, 16, 8, 1537, EINVAL, "1537 is not a multiple of 512"},
	{true, 16, 8, 1 << 30, EINVAL, "pass the end"},
	{true, 16, 8, UINT64_MAX - 511, EINVAL, "pass the end"},
	{true, 24, 4, 0x00020000, ENOTSUP, "header: version 2.0"},
	{true, 28, 4, 6, EINVAL, "BAT: 6 entries"},
	{true, 28, 4, 0x40000000, EINVAL, "pass the end"},
	{true, 28, 4, 0xffffffff, EINVAL, "pass the end"},
	{true, 32, 4, 0, EINVAL, "block size 0"},
	{true, 32, 4, 0x80, EINVAL, "block size 128"},
	{true, 32, 4, 4097, EINVAL, "block size 4097"},
	{true, 32, 4, 0x12345678, EINVAL, "block size 305419896"},
	{true, 32, 4, 2048, EINVAL, "BAT: 7 entries, 14 needed"},
};

START_TEST(hostile_headers)
{
	struct memory_image v = vhd_build(&good[0]);
	unsigned char *footer = vhd_footer(&v);
	struct subject s;

	subject_new(&s, "vpc");
	put_be((hostile[_i].header ? v.file + 512 : footer) + hostile[_i].pos, hostile[_i].width,
		hostile[_i].value);
	vhd_seal_footer(footer);
	vhd_seal_header(&v);
	subject_refuses(&s, v.file, v.file_len, hostile[_i].code, hostile[_i].part);
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

/* A size that is not whole sectors is rounded down, as guests see it. */
START_TEST(odd_sizes)
{
	struct memory_image v = vhd_build(&good[0]);
	struct subject s;

	subject_new(&s, "vpc");
	put_be(vhd_footer(&v) + 48, 8, 4096 + 1023);
	vhd_seal_footer(vhd_footer(&v));
	subject_opens(&s, v.file, v.file_len);
	ck_assert_uint_eq(s.img->states[0]->view->size, 4096 + 512);
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

/* Impossible BAT entries of block 2. */
START_TEST(bad_entries)
{
	static const struct {
		uint32_t entry;
		int code;
		const char *part;
	} bad[] = {
		{0, EUCLEAN, "where the copy of the footer is"},
		{1, EUCLEAN, "where the header is"},
		{2, EUCLEAN, "where the header is"},
		{3, EUCLEAN, "where the BAT is"},
		{0x7fffffff, EIO, "past the end of the data"},
		{0xfffffffe, EIO, "past the end of the data"},
	};
	struct memory_image v = vhd_build(&good[0]);
	struct subject s;
	const struct view *view;

	subject_new(&s, "vpc");
	put_be(v.file + VHD_HEAD + 8, 4, bad[_i].entry);
	view = subject_opens(&s, v.file, v.file_len);
	subject_fails(view, 2 * 4096, bad[_i].code, bad[_i].part);
	subject_fails(view, 3 * 4096 - 1, bad[_i].code, "block 2");
	subject_maps(view, 4096, EXTENT_ZERO, 4096);
	subject_maps(view, 3 * 4096, EXTENT_FILE, 4096);
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

/* The last block extends into the footer or beyond the end of the file; those bytes cannot be
 * read. */
START_TEST(truncated_blocks)
{
	struct memory_image v = vhd_build(&good[0]);
	const struct view *view;
	struct subject s;
	uint32_t sector = load_be32(v.file + VHD_HEAD);

	subject_new(&s, "vpc");
	/* one sector later: the sector bitmap is the former first sector, all ones */
	put_be(v.file + VHD_HEAD, 4, sector + 1);
	memset(v.file + (size_t)(sector + 1) * 512, 0xff, 512);
	view = subject_opens(&s, v.file, v.file_len);
	subject_maps(view, 0, EXTENT_FILE, 7 * 512);
	subject_fails(view, 7 * 512, EIO, "past the end of the data");
	/* without the footer and the next to last sector */
	put_be(v.file + VHD_HEAD, 4, sector);
	view = subject_opens(&s, v.file, v.file_len - 1024);
	subject_maps(view, 0, EXTENT_FILE, 7 * 512);
	subject_fails(view, 7 * 512, EIO, "past the end of the data");
	/* the sector bitmap is missing, too */
	view = subject_opens(&s, v.file, v.file_len - 512 - 4096 - 1);
	subject_fails(view, 0, EIO, "past the end of the data");
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

static unsigned nwarnings;
static char warning[512];

static void note_warning(void *arg, const char *text)
{
	(void)arg;
	nwarnings++;
	snprintf(warning, sizeof warning, "%s", text);
}

static void warns(struct subject *s, const struct memory_image *v, const char *text)
{
	nwarnings = 0;
	s->o.warn = note_warning;
	subject_opens(s, v->file, v->file_len);
	ck_assert_uint_eq(nwarnings, text != NULL);
	if (text)
		ck_assert_ptr_nonnull(strstr(warning, text));
	memory_image_compare(v, s->img->states[0]->view);
}

START_TEST(footers)
{
	struct memory_image v = vhd_build(&good[1]);
	unsigned char *tail = vhd_footer(&v);
	struct subject s;

	subject_new(&s, NULL);
	warns(&s, &v, NULL);
	tail[70] ^= 1; /* makes the checksum invalid */
	warns(&s, &v, "the footer is damaged");
	v.file[70] ^= 1; /* invalid in both, but they are equal */
	warns(&s, &v, "agree");
	tail[71] ^= 1; /* invalid in both, and they differ */
	subject_refuses(&s, v.file, v.file_len, EUCLEAN, "no good copy");
	v.file[70] ^= 1;
	tail[0] = 'C';
	warns(&s, &v, "the footer is missing");
	v.file_len -= 512;
	warns(&s, &v, "the footer is missing");
	v.file[0] = 'C';
	s.o.format = "vpc";
	subject_refuses(&s, v.file, v.file_len, EINVAL, "not a VHD image");
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

START_TEST(copies)
{
	struct memory_image v = vhd_build(&good[1]);
	struct subject s;

	subject_new(&s, NULL);
	memset(v.file, 0, 512);
	warns(&s, &v, "the copy of the footer differs from it");
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

/* A wrong checksum of the dynamic header is accepted if the BAT and the size confirm the header. */
START_TEST(wrong_header_checksums)
{
	struct memory_image v = vhd_build(&good[1]), w = vhd_build(&good[7]);
	struct subject s;

	subject_new(&s, NULL);
	v.file[512 + 45] ^= 1;
	w.file[512 + 45] ^= 1;
	warns(&s, &v, "the checksum of the header");
	subject_refuses(&s, w.file, w.file_len, EUCLEAN, "the checksum is wrong");
	subject_free(&s);
	memory_image_free(&v);
	memory_image_free(&w);
}
END_TEST

/* The first bytes of a fixed disk belong to the guest, so the format is probed at the end. */
START_TEST(fixed_disks_are_probed_by_their_footer)
{
	static const char magics[][9] = {"QFI\xfb\0\0\0\3", "KDMV\1", "vhdxfile", "\x1f\x8b"};
	struct memory_image v = vhd_build(&good[11]);
	struct subject s;

	subject_new(&s, NULL);
	for (size_t i = 0; i < COUNT(magics); i++) {
		memcpy(v.file, magics[i], 8);
		subject_opens(&s, v.file, v.file_len);
		ck_assert_str_eq(s.img->format->name, "vpc");
		ck_assert_uint_eq(s.img->states[0]->view->size, v.disk_len);
	}
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

START_TEST(fixed_sizes)
{
	struct memory_image v = vhd_build(&good[11]);
	struct subject s;

	subject_new(&s, NULL);
	put_be(vhd_footer(&v) + 48, 8, 122 * 512);
	vhd_seal_footer(vhd_footer(&v));
	v.disk_len = 122 * 512;
	warns(&s, &v, "512 bytes between");
	put_be(vhd_footer(&v) + 48, 8, 124 * 512);
	vhd_seal_footer(vhd_footer(&v));
	subject_refuses(&s, v.file, v.file_len, EUCLEAN, "the file was cut");
	subject_free(&s);
	memory_image_free(&v);
}
END_TEST

/* A file with a damaged footer is not opened as raw. */
START_TEST(never_raw)
{
	static const struct {
		size_t pos;
		const char *bytes;
	} fragments[] = {{65536 - 512, "conectix"}, {65536 - 511, "conectix"}, {0, "conectix"}};
	unsigned char *data = calloc(1, 65536);
	struct subject s;

	subject_new(&s, NULL);
	memcpy(data + fragments[_i].pos, fragments[_i].bytes, 8);
	subject_refuses(&s, data, 65536, EUCLEAN, "the checksum is wrong");
	subject_free(&s);
	free(data);
}
END_TEST

START_TEST(short_files)
{
	struct memory_image v = vhd_build(&good[0]);
	struct image_options o = options_new();
	struct err e = ERR_INIT;
	struct image *img;

	for (size_t len = 8; len < VHD_HEAD + 28; len++) {
		v.file_len = len;
		o.format = len % 2 ? "vpc" : NULL;
		ck_assert_int_lt(memory_image_open(&v, &o, &img, &e), 0);
	}
	options_free(&o);
	memory_image_free(&v);
}
END_TEST

START_TEST(every_read_fails_once)
{
	struct memory_image v = vhd_build(&good[1]);

	memory_image_faults(&v, 7); /* head, tail, footer, copy, header, BAT, bitmaps, data */
	memory_image_free(&v);
}
END_TEST

Suite *vhd_suite(void)
{
	TCase *tc = tcase_create("vhd");

	tcase_add_loop_test(tc, reads_expected_data, 0, COUNT(good));
	tcase_add_test(tc, order_of_bitmap_bits);
	tcase_add_test(tc, contiguous_blocks_are_one_extent);
	tcase_add_loop_test(tc, hostile_headers, 0, COUNT(hostile));
	tcase_add_test(tc, odd_sizes);
	tcase_add_loop_test(tc, bad_entries, 0, 6);
	tcase_add_test(tc, truncated_blocks);
	tcase_add_test(tc, footers);
	tcase_add_test(tc, copies);
	tcase_add_test(tc, wrong_header_checksums);
	tcase_add_test(tc, fixed_disks_are_probed_by_their_footer);
	tcase_add_test(tc, fixed_sizes);
	tcase_add_loop_test(tc, never_raw, 0, 3);
	tcase_add_test(tc, short_files);
	tcase_add_test(tc, every_read_fails_once);
	return suite_of("vhd", tc);
}
