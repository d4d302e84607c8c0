/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdi.c - VDI images: layouts of VirtualBox versions, and damaged ones. */
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "mkimage.h"
#include "vdi.h"

#define FREE VDI_FREE
#define ZERO VDI_ZERO

#define BLOCK (64 * KIB) /* block size of the image that most cases damage */

uint64_t vdi_block_pos(const struct vdi *v, uint32_t entry)
{
	return v->data_pos + entry * ((uint64_t)v->block_size + v->extra) + v->extra;
}

static uint32_t count_stored(const struct vdi *v)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < v->nblocks; i++)
		if (v->map[i] < ZERO)
			n = MAX(n, v->map[i] + 1);
	return n;
}

static void put_head(int fd, uint32_t version)
{
	put_text(fd, 0, "<<< Oracle VM VirtualBox Disk Image >>>\n");
	put_le32(fd, 64, 0xbeda107f);
	put_le32(fd, 68, version);
}

void vdi_put_header(int fd, const struct vdi *v)
{
	put_head(fd, 0x00010001);
	put_le32(fd, 72, 400);
	put_le32(fd, 76, v->type);
	put_le32(fd, 340, v->map_pos);
	put_le32(fd, 344, v->data_pos);
	put_le32(fd, 360, 512);
	put_le64(fd, 368, v->size);
	put_le32(fd, 376, v->block_size);
	put_le32(fd, 380, v->extra);
	put_le32(fd, 384, v->nblocks);
	put_le32(fd, 388, count_stored(v));
	put_text(fd, 392, "0123456789abcdef");
	put_text(fd, 408, "fedcba9876543210");
}

void vdi_put_header_0(int fd, const struct vdi *v)
{
	put_head(fd, 0x00000002);
	put_le32(fd, 72, v->type);
	put_le32(fd, 348, 512);
	put_le64(fd, 352, v->size);
	put_le32(fd, 360, v->block_size);
	put_le32(fd, 364, v->nblocks);
	put_le32(fd, 368, count_stored(v));
	put_text(fd, 372, "0123456789abcdef");
	put_text(fd, 388, "fedcba9876543210");
}

void vdi_put_blocks(int fd, const struct vdi *v, uint64_t from)
{
	file_resize(fd, vdi_block_pos(v, count_stored(v)) - v->extra);
	for (uint32_t i = 0; i < v->nblocks; i++) {
		uint64_t pos = vdi_block_pos(v, v->map[i]);

		put_le32(fd, v->map_pos + 4 * i, v->map[i]);
		if (v->map[i] >= ZERO)
			continue;
		/* The extra bytes before a block are not part of the disk, and not zero. */
		put_data(fd, pos - v->extra, NOISE, v->extra);
		put_data(fd, pos, from + v->map[i] * (uint64_t)v->block_size, v->block_size);
	}
}

static void expect_blocks(const struct job *j, const struct vdi *v)
{
	uint64_t size = v->size / 512 * 512;

	expect_size(j, size);
	for (uint32_t i = 0; i < v->nblocks; i++) {
		uint64_t off = (uint64_t)i * v->block_size;

		if (v->map[i] < ZERO && off < size)
			expect(j, off, v->map[i] * (uint64_t)v->block_size,
				MIN(v->block_size, size - off));
	}
}

static int make(const struct job *j, const struct vdi *v)
{
	int fd = file_new(j, ".vdi");

	vdi_put_header(fd, v);
	vdi_put_blocks(fd, v, 0);
	expect_blocks(j, v);
	patch_le(j, fd);
	return fd;
}

static void make_vdi(const struct job *j)
{
	make(j, j->c->arg);
}

static const uint32_t shuffled_map[] = {4, FREE, 0, 3, ZERO, 1, 2};
static const struct vdi shuffled = {
	7 * 64 * KIB - 51200, 1, 64 * KIB, 0, 512, 1024, 7, shuffled_map};
static const struct vdi extra = {7 * 64 * KIB, 1, 64 * KIB, 512, 512, 1024, 7, shuffled_map};
static const struct vdi small_blocks = {7 * 512, 1, 512, 0, 512, 1024, 7, shuffled_map};
static const struct vdi odd_size = {
	6 * 64 * KIB + 1025, 1, 64 * KIB, 0, 512, 1024, 7, shuffled_map};
static const struct vdi odd_rest = {6 * 64 * KIB + 511, 1, 64 * KIB, 0, 512, 1024, 7, shuffled_map};

static const uint32_t large_map[] = {1, FREE, 0};
static const struct vdi large_blocks = {5 * MIB, 1, 2 * MIB, 0, MIB, 2 * MIB, 3, large_map};

static const uint32_t duplicate_map[] = {0, 1, 0, 0, 2};
static const struct vdi duplicate = {5 * 4 * KIB, 1, 4 * KIB, 0, 512, 1024, 5, duplicate_map};

static const uint32_t fixed_map[] = {0, 1, 2, 3};
static const struct vdi fixed = {4 * 4 * KIB, 2, 4 * KIB, 0, 512, 1024, 4, fixed_map};

/* A shrunk image has more blocks than its size needs. */
static const struct vdi shrunk = {2 * 4 * KIB, 1, 4 * KIB, 0, 512, 1024, 4, fixed_map};

/* The block map follows the data, which no program writes. */
static const struct vdi map_last = {4 * 4 * KIB, 1, 4 * KIB, 0, 64 * KIB, 512, 4, fixed_map};

static const struct vdi empty = {0, 1, MIB, 0, 512, 1024, 0, NULL};

/* Four blocks, one of them allocated. */
static const uint32_t plain_map[] = {FREE, 0, FREE, ZERO};
static const struct vdi plain = {4 * BLOCK, 1, BLOCK, 0, 512, 1024, 4, plain_map};

/* A block map of many pages: only the last of 100,000 blocks is allocated. */
static void make_long_map(const struct job *j)
{
	uint32_t n = 100000, *map = malloc(n * sizeof *map);
	struct vdi v = {n * 4 * KIB, 1, 4 * KIB, 0, 512, 512 * KIB, n, map};

	if (!map)
		die("out of memory");
	memset(map, 0xff, n * sizeof *map);
	map[n - 1] = 0;
	make(j, &v);
	free(map);
}

/* The file ends inside the last block; the missing part reads as zeroes. */
static void make_cut(const struct job *j)
{
	int fd = make(j, &large_blocks);

	file_resize(fd, 2 * MIB + 2 * MIB + MIB / 2);
	expect_zero(j, MIB / 2, 2 * MIB - MIB / 2);
}

/* The file ends before the last block, which must fail. */
static void make_lost(const struct job *j)
{
	int fd = make(j, &large_blocks);

	file_resize(fd, 2 * MIB + 2 * MIB);
}

/* Version 0, before 2007: block map and data follow the header without alignment. */
static const struct vdi old = {
	7 * 64 * KIB - 512, 1, 64 * KIB, 0, VDI_HEAD_0, VDI_HEAD_0 + 28, 7, shuffled_map};

static void make_version_0(const struct job *j)
{
	int fd = file_new(j, ".vdi");

	vdi_put_header_0(fd, &old);
	vdi_put_blocks(fd, &old, 0);
	expect_blocks(j, &old);
	patch_le(j, fd);
}

static void make_short_file(const struct job *j)
{
	int fd = make(j, &plain);

	file_resize(fd, j->c->n);
}

#define GOOD(name_, vdi_)                                                                          \
	{                                                                                          \
		.name = "vdi-" name_, .make = make_vdi, .arg = &vdi_                               \
	}
#define SPECIAL(name_, make_)                                                                      \
	{                                                                                          \
		.name = "vdi-" name_, .make = make_                                                \
	}
#define HARMLESS(name_, pos_, width_, value_)                                                      \
	{                                                                                          \
		.name = "vdi-" name_, .make = make_vdi, .arg = &plain, PATCH(pos_, width_, value_) \
	}
#define REFUSE(name_, pos_, width_, value_)                                                        \
	{                                                                                          \
		.name = "vdi-" name_, .verdict = REFUSED, .make = make_vdi, .arg = &plain,         \
		PATCH(pos_, width_, value_)                                                        \
	}
#define REFUSE_0(name_, pos_, width_, value_)                                                      \
	{                                                                                          \
		.name = "vdi-version-0-" name_, .verdict = REFUSED, .make = make_version_0,        \
		PATCH(pos_, width_, value_)                                                        \
	}
/* Reads of block 1 fail. */
#define BAD_BLOCK(name_, pos_, width_, value_)                                                     \
	{                                                                                          \
		.name = "vdi-" name_, .verdict = READERROR, .bad = {BLOCK, BLOCK},                 \
		.make = make_vdi, .arg = &plain, PATCH(pos_, width_, value_)                       \
	}

static const struct image_case cases[] = {
	GOOD("shuffled", shuffled),
	GOOD("extra", extra),
	GOOD("small-blocks", small_blocks),
	GOOD("large-blocks", large_blocks),
	GOOD("odd-size", odd_size),
	GOOD("odd-rest", odd_rest),
	GOOD("duplicate", duplicate),
	GOOD("fixed", fixed),
	GOOD("shrunk", shrunk),
	GOOD("empty", empty),
	SPECIAL("long-map", make_long_map),
	SPECIAL("cut", make_cut),
	SPECIAL("version-0", make_version_0),
	HARMLESS("version-1-0", 68, 4, 0x00010000),
	HARMLESS("parent-of-nobody", 440, 8, 1),
	HARMLESS("allocated-few", 388, 4, 0),
	HARMLESS("allocated-many", 388, 4, 0xffffffff),
	HARMLESS("short-header", 72, 4, 384),
	HARMLESS("flags", 80, 4, 1),

	{.name = "vdi-lost", .verdict = READERROR, .bad = {0, 2 * MIB}, .make = make_lost},
	BAD_BLOCK("entry-past-end", 516, 4, 1),
	BAD_BLOCK("entry-far", 516, 4, 0xfffffffd),
	BAD_BLOCK("data-past-end", 344, 4, 4 * MIB),

	REFUSE_0("type-0", 72, 4, 0),
	REFUSE_0("difference", 72, 4, 4),
	REFUSE_0("parent", 404, 8, 1),
	REFUSE_0("size-past-blocks", 352, 8, 7 * 64 * KIB + 1),
	REFUSE_0("block-size-odd", 360, 4, 0xfffff),
	REFUSE_0("blocks-many", 364, 4, 0x1fffff80),
	{.name = "vdi-map-last", .verdict = REFUSED, .make = make_vdi, .arg = &map_last},
	{.name = "vdi-empty-file", .verdict = REFUSED, .make = make_short_file},
	{.name = "vdi-header-cut", .verdict = REFUSED, .make = make_short_file, .n = 455},
	{.name = "vdi-map-cut", .verdict = REFUSED, .make = make_short_file, .n = 527},
	REFUSE("signature", 64, 4, 0xbeda107e),
	REFUSE("version-2", 68, 4, 0x00020000),
	REFUSE("version-0-1", 68, 4, 0x00000001),
	REFUSE("header-size-0", 72, 4, 0),
	REFUSE("header-size-383", 72, 4, 383),
	REFUSE("type-0", 76, 4, 0),
	REFUSE("type-99", 76, 4, 99),
	REFUSE("undo", 76, 4, 3),
	REFUSE("difference", 76, 4, 4),
	REFUSE("parent", 424, 8, 1),
	REFUSE("map-unaligned", 340, 4, 513),
	REFUSE("map-in-header", 340, 4, 0),
	REFUSE("map-past-end", 340, 4, 0xfffffe00),
	REFUSE("data-in-map", 344, 4, 512),
	REFUSE("data-in-header", 344, 4, 0),
	REFUSE("sector-4096", 360, 4, 4096),
	REFUSE("size-past-blocks", 368, 8, 4 * BLOCK + 1),
	REFUSE("size-512-tib", 368, 8, (uint64_t)512 << 40),
	REFUSE("size-all-ones", 368, 8, UINT64_MAX),
	REFUSE("block-size-0", 376, 4, 0),
	REFUSE("block-size-1", 376, 4, 1),
	REFUSE("block-size-odd", 376, 4, 0xfffff),
	REFUSE("extra-odd", 380, 4, 0xffffffff),
	REFUSE("extra-large", 380, 4, 0x80000000),
	REFUSE("blocks-few", 384, 4, 3),
	REFUSE("blocks-many", 384, 4, 0x1fffff80),
	REFUSE("blocks-too-many", 384, 4, 0x20000000),
	REFUSE("blocks-all-ones", 384, 4, 0xffffffff),
};

const struct image_set vdi_images = {"vdi", cases, N_ELEMENTS(cases)};
