/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing and creating VDI images. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "image/creation.h"
#include "util/err.h"
#include "util/guid.h"
#include "image/image.h"
#include "open/open.h"
#include "common/random_model.h"
#include "common/power_cut.h"
#include "common/unit.h"
#include "build/vdi.h"
#include "view/view.h"

#define MB (UINT64_C(1) << 20)

static const char *const small_blocks[] = {"cluster_size=128k", NULL};
static const char *const fixed[] = {"static=on", NULL};
static const char *const none[] = {NULL};

static const struct {
	const char *const *options;
	uint64_t size;
	bool grows;
} kinds[] = {
	{none, 5 * MB + 512, true},
	{none, 9 * MB, true},
	{fixed, 5 * MB + 512, false},
	{small_blocks, 5 * MB + 1536, true},
};

START_TEST(random_operations)
{
	struct model m = {
		.path = "a.vdi",
		.seed = 1 + _i,
		.size_max = kinds[_i].grows ? 16 * MB : 0,
		.qemu_format = kinds[_i].options == small_blocks ? NULL : "vdi",
	};

	make_image("vdi", m.path, kinds[_i].size, NULL, kinds[_i].options);
	model_run(&m);
}
END_TEST

START_TEST(differencing)
{
	unsigned char *before = make_full_image("vdi", "base.vdi", 6 * MB, none);
	struct model m = {
		.path = "child.vdi",
		.seed = 20 + _i,
		.before = before,
		.size_max = 12 * MB,
	};

	make_image("vdi", m.path, CREATE_NO_SIZE, "base.vdi", _i ? none : small_blocks);
	model_run(&m);
	free(before);
}
END_TEST

/* Images of old or other programs. */
START_TEST(images_of_other_programs)
{
	static const uint32_t map[] = {4, VDI_FREE, 0, 1, 2, VDI_ZERO, VDI_FREE, 3};
	static const uint32_t last_is_last[] = {3, VDI_FREE, 0, 1, 2, VDI_ZERO, VDI_FREE, 4};
	static const struct vdi_spec specs[] = {
		{.block_size = 4096, .map = map, .nblocks = COUNT(map)},
		{.block_size = 4096, .extra = 512, .map = map, .nblocks = COUNT(map)},
		{.block_size = 512, .map = map, .nblocks = COUNT(map)},
		/* the missing bytes are beyond the end of the disk */
		{.block_size = 64 << 10,
			.map = last_is_last,
			.nblocks = COUNT(map),
			.cut = 65536 - 1024,
			.size = 7 * 65536 + 1024},
		{.map = map, .nblocks = COUNT(map), .map_pos = 1 << 20, .data_pos = 2 << 20},
	};
	struct memory_image v = vdi_image_make(&specs[_i]);
	struct model m = {
		.path = "a.vdi",
		.seed = 30 + _i,
		.before = v.disk,
		.size_max = 16 * MB,
		.qemu_format = _i == 4 ? "vdi" : NULL,
	};

	write_file(m.path, v.file, v.file_len);
	model_run(&m);
	memory_image_free(&v);
}
END_TEST

static const uint32_t mixed[] = {4, VDI_FREE, 0, 1, 2, VDI_ZERO, VDI_FREE, 3};
#define MAP      512 /* as in vdi_image_make */
#define COUNT_AT 388

/* Images that are refused for writing, since a write could destroy something. */
START_TEST(refused)
{
	static const struct {
		struct vdi_spec spec;
		size_t pos; /* 0: no change */
		uint32_t value;
		int code;
		const char *part;
	} cases[] = {
		{{.version_0 = true}, 0, 0, ENOTSUP, "version 0.2"},
		{{.type = 1}, MAP + 4, 0, EUCLEAN, "and so has a block before it"},
		{{.type = 1}, MAP + 4, 8, EUCLEAN, "which has 8"},
		{{.type = 1}, MAP + 4, 6, EUCLEAN, "past the end of the file"},
		{{.cut = 1}, 0, 0, EUCLEAN, "it was cut"},
		{{.data_pos = MAP + 4 * COUNT(mixed)}, 0, 0, ENOTSUP, "at a multiple of 512"},
	};
	struct vdi_spec spec = cases[_i].spec;
	struct memory_image v;

	spec.block_size = 4096;
	spec.map = mixed;
	spec.nblocks = COUNT(mixed);
	v = vdi_image_make(&spec);
	if (cases[_i].pos)
		put_le(v.file + cases[_i].pos, 4, cases[_i].value);
	write_file("a.vdi", v.file, v.file_len);
	refuses_writing("a.vdi", cases[_i].code, cases[_i].part);
	memory_image_free(&v);
}
END_TEST

static uint32_t field(const char *path, size_t pos)
{
	unsigned char raw[4];
	FILE *f = fopen(path, "r");

	ck_assert(f && fseek(f, pos, SEEK_SET) == 0 && fread(raw, 4, 1, f) == 1);
	fclose(f);
	return load_le32(raw);
}

/* A crash leaves a wrong number of blocks, and unused space between blocks. */
START_TEST(opening_repairs_after_a_crash)
{
	static const uint32_t gaps[] = {7, VDI_FREE, 0, 5, 2, VDI_ZERO, VDI_FREE, 3};
	struct vdi_spec spec = {.block_size = 4096, .map = gaps, .nblocks = COUNT(gaps)};
	struct memory_image v = vdi_image_make(&spec);
	unsigned char *buf = malloc(v.disk_len);
	struct err e = ERR_INIT;
	struct image_options o;
	struct image *img;
	uint32_t slots = 0;

	put_le(v.file + 388, 4, 2);
	write_file("a.vdi", v.file, v.file_len);
	img = open_image_file("a.vdi", true, &o);
	ck_assert_ok(view_read(img->states[0]->view, buf, v.disk_len, 0, &e), &e);
	ck_assert_mem_eq(buf, v.disk, v.disk_len);
	image_close(img);
	options_free(&o);
	ck_assert_uint_eq(field("a.vdi", 388), 5);
	for (size_t i = 0; i < COUNT(gaps); i++)
		if (gaps[i] < VDI_ZERO)
			slots |= 1u << field("a.vdi", MAP + 4 * i);
	ck_assert_uint_eq(slots, 0x1f);
	free(buf);
	memory_image_free(&v);
}
END_TEST

/* The first write, and nothing before it, changes the modification UUID, which children compare. */
START_TEST(modification_id)
{
	struct image_options o;
	struct err e = ERR_INIT;
	unsigned char id[GUID_LEN];
	struct image *img;
	char sector[512];

	make_image("vdi", "a.vdi", MB, NULL, none);
	make_image("vdi", "b.vdi", CREATE_NO_SIZE, "a.vdi", none);
	img = open_image_file("a.vdi", true, &o);
	memcpy(id, img->change_id, GUID_LEN);
	ck_assert_ok(view_flush(img->states[0]->view, &e), &e);
	image_close(img);
	options_free(&o);
	img = open_image_file("b.vdi", true, &o);
	ck_assert_mem_eq(img->parent->change_id, id, GUID_LEN);
	ck_assert_ok(view_write(img->states[0]->view, "a", 1, 0, &e), &e);
	image_close(img);
	options_free(&o);
	img = open_image_file("a.vdi", true, &o);
	ck_assert_ok(view_write(img->states[0]->view, "a", 1, 0, &e), &e);
	image_close(img);
	ck_assert_fails(image_open("b.vdi", &o, &img, &e), EUCLEAN, &e, "changed");
	ck_assert_ok(image_open("a.vdi", &o, &img, &e), &e);
	ck_assert_mem_ne(img->change_id, id, GUID_LEN);
	ck_assert_ok(view_read(img->states[0]->view, sector, 2, 0, &e), &e);
	ck_assert_mem_eq(sector, "a", 2);
	image_close(img);
	options_free(&o);
}
END_TEST

static void write_end(const char *path, uint64_t size)
{
	struct image_options o;
	struct err e = ERR_INIT;
	struct image *img = open_image_file(path, true, &o);

	ck_assert_ok(view_resize(img->states[0]->view, size / 4, &e), &e);
	ck_assert_ok(view_resize(img->states[0]->view, size, &e), &e);
	ck_assert_ok(view_write(img->states[0]->view, "a", 1, size - 1, &e), &e);
	image_close(img);
	options_free(&o);
}

START_TEST(impossible_sizes)
{
	make_image("vdi", "a.vdi", MB, NULL, small_blocks);
	make_image("vdi", "fixed.vdi", MB, NULL, fixed);
	write_end("a.vdi", MB);
	refuses_size("a.vdi", MB + 1, EINVAL, "whole sectors");
	refuses_size("a.vdi", MB / 2, EOPNOTSUPP, "beyond the new end");
	refuses_size("a.vdi", UINT64_C(64) << 40, EFBIG, "has at most 70368744046080");
	refuses_size("fixed.vdi", 2 * MB, EOPNOTSUPP, "keeps its size");
	make_image("vdi", "child.vdi", MB - 512, "a.vdi", none);
	refuses_size("child.vdi", 2 * MB, EOPNOTSUPP, "expose data of its parent");
}
END_TEST

START_TEST(creation_is_refused)
{
	static const struct {
		const char *backing;
		const char *options[3];
		const char *part;
	} cases[] = {
		{NULL, {"cluster_size=100k"}, "a power of two from 128k to 128M"},
		{NULL, {"cluster_size=64k"}, "a power of two from 128k to 128M"},
		{NULL, {"preallocation=full"}, "only with static=on"},
		{"a.vdi", {"static=on"}, "is a differencing one"},
	};
	struct err e = ERR_INIT;

	make_image("vdi", "a.vdi", MB, NULL, none);
	ck_assert_fails(
		try_make_image("vdi", "b.vdi", MB, cases[_i].backing, cases[_i].options, &e),
		EINVAL, &e, cases[_i].part);
	refuses_raw_parent("vdi", "has no UUID");
}
END_TEST

START_TEST(power_cuts)
{
	struct power p = {.path = "a.vdi", .seed = 2 + _i, .ops = 100};

	make_image("vdi", p.path, 1 * MB, NULL, _i ? fixed : small_blocks);
	power_run(&p);
}
END_TEST

/* The block map of this image cannot grow beyond 64 KiB. */
static void make_short(const char *path, uint32_t stored)
{
	uint32_t map[128];
	struct vdi_spec spec = {.block_size = 512, .map = map, .nblocks = 64};
	struct memory_image v;

	for (uint32_t i = 0; i < COUNT(map); i++)
		map[i] = i < stored ? stored - 1 - i : VDI_FREE;
	spec.nblocks = MAX(stored, spec.nblocks);
	v = vdi_image_make(&spec);
	put_le(v.file + COUNT_AT, 4, stored);
	memset(v.file + 1024, 0, v.file_len - 1024);
	write_file(path, v.file, v.file_len);
	memory_image_free(&v);
}

START_TEST(blocks_that_cannot_be_moved)
{
	make_short("a.vdi", 128);
	refuses_size("a.vdi", MB, EOPNOTSUPP, "too many of its blocks are stored");
	make_short("a.vdi", 126);
	write_end("a.vdi", MB);
}
END_TEST

START_TEST(power_cuts_of_growing)
{
	struct power p = {.path = "a.vdi", .seed = 51 + _i, .ops = 60, .grows = MB / 2};

	make_short(p.path, 40 * _i);
	power_run(&p);
}
END_TEST

START_TEST(faults_of_growing)
{
	struct power p = {.path = "a.vdi", .seed = 61 + _i, .grows = MB / 2};

	make_short(p.path, 40);
	power_faults(&p);
}
END_TEST

START_TEST(faults)
{
	struct power p = {.path = "a.vdi", .seed = 4};

	make_image("vdi", p.path, 1 * MB, NULL, small_blocks);
	power_faults(&p);
}
END_TEST

Suite *vdi_write_suite(void)
{
	TCase *tc = tcase_create("vdi_write");

	tcase_set_timeout(tc, 60);
	use_temp_dir(tc);
	tcase_add_loop_test(tc, random_operations, 0, COUNT(kinds));
	tcase_add_loop_test(tc, differencing, 0, 2);
	tcase_add_loop_test(tc, images_of_other_programs, 0, 5);
	tcase_add_loop_test(tc, refused, 0, 6);
	tcase_add_test(tc, opening_repairs_after_a_crash);
	tcase_add_test(tc, modification_id);
	tcase_add_test(tc, impossible_sizes);
	tcase_add_loop_test(tc, creation_is_refused, 0, 4);
	tcase_add_loop_test(tc, power_cuts, 0, 2);
	tcase_add_test(tc, blocks_that_cannot_be_moved);
	tcase_add_loop_test(tc, power_cuts_of_growing, 0, 4);
	tcase_add_test(tc, faults);
	tcase_add_loop_test(tc, faults_of_growing, 0, 8);
	return suite_of("vdi_write", tc);
}
