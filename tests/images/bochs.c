/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bochs.c - growing disks of Bochs, of both versions, valid and damaged. */

#include "util/bytes.h"
#include "mkimage.h"

#define SECTOR 512u
#define ABSENT 0xffffffffu

struct spec {
	uint32_t version, nentries, bitmap, extent;
	uint64_t size;
	uint64_t stored;         /* bit s % 64: sector s of an extent is allocated */
	const uint32_t *catalog; /* for the first n extents; the others are absent */
	uint32_t n;
};

static uint64_t data_pos(const struct spec *s)
{
	return 512 + 4 * (uint64_t)s->nentries;
}

/* Extent i of the disk has the data stream from i * extent on in its allocated sectors, and noise,
 * which must not be read, in the others. */
static void put_extent(const struct job *j, int fd, const struct spec *s, uint32_t i)
{
	uint64_t bitmap = round_up(s->bitmap, SECTOR), off = (uint64_t)i * s->extent;
	uint64_t pos = data_pos(s) + s->catalog[i] * (bitmap + s->extent);

	put_data(fd, pos + bitmap, NOISE, s->extent);
	for (uint32_t k = 0; k < s->extent / SECTOR; k += 8)
		put_byte(fd, pos + k / 8, s->stored >> k % 64);
	for (uint32_t k = 0; k < s->extent / SECTOR; k++) {
		uint64_t at = off + k * SECTOR;

		if (!(s->stored >> k % 64 & 1))
			continue;
		put_data(fd, pos + bitmap + k * SECTOR, at, SECTOR);
		if (at < s->size / SECTOR * SECTOR)
			expect(j, at, at, SECTOR);
	}
}

static int begin(const struct job *j)
{
	const struct spec *s = j->c->arg;
	int fd = file_new(j, ".bochs");

	put_text(fd, 0, "Bochs Virtual HD Image");
	put_text(fd, 32, "Redolog");
	put_text(fd, 48, "Growing");
	put_le32(fd, 64, s->version);
	put_le32(fd, 68, 512);
	put_le32(fd, 72, s->nentries);
	put_le32(fd, 76, s->bitmap);
	put_le32(fd, 80, s->extent);
	if (s->version == 0x20000)
		put_le32(fd, 84, 0x5d7576e3); /* time of the last change */
	put_le64(fd, s->version == 0x20000 ? 88 : 84, s->size);
	for (uint32_t i = 0; i < s->nentries; i++)
		put_le32(fd, 512 + 4 * i, i < s->n ? s->catalog[i] : ABSENT);
	expect_size(j, s->size / SECTOR * SECTOR);
	for (uint32_t i = 0; i < s->n; i++)
		if (s->catalog[i] != ABSENT)
			put_extent(j, fd, s, i);
	patch_le(j, fd);
	return fd;
}

static void make(const struct job *j)
{
	begin(j);
}

static void make_short_file(const struct job *j)
{
	file_resize(begin(j), j->c->n);
}

static const uint32_t mixed[] = {3, ABSENT, 0, 1, ABSENT, ABSENT, 2};
static const struct spec small = {
	0x20000, 512, 1, 4096, 7 * 4096 - 1024, 0xb5b5b5b5b5b5b5b5, mixed, N_ELEMENTS(mixed)};
static const struct spec version_1 = {
	0x10000, 512, 1, 4096, 7 * 4096 - 1024, 0xb5b5b5b5b5b5b5b5, mixed, N_ELEMENTS(mixed)};
static const struct spec whole = {
	0x20000, 1024, 4, 16384, 100 * 16384, UINT64_MAX, mixed, N_ELEMENTS(mixed)};
static const struct spec sector_extents = {
	0x20000, 64, 1, 512, 7 * 512, 1, mixed, N_ELEMENTS(mixed)};
static const struct spec large_extents = {
	0x20000, 16, 2048, 8 * MIB, 7 * 8 * MIB - 512, 0xff00ffff0000fffe, mixed, 3};
static const struct spec large_bitmaps = {
	0x20000, 16, 3000, 64 * KIB, 7 * 64 * KIB, 0x7ffffffffffffffe, mixed, N_ELEMENTS(mixed)};
static const struct spec odd_size = {
	0x20000, 512, 1, 4096, 6 * 4096 + 1023, UINT64_MAX, mixed, N_ELEMENTS(mixed)};
static const uint32_t one[] = {ABSENT, 0};
static const struct spec plain = {0x20000, 512, 1, 4096, 4 * 4096, UINT64_MAX, one, 2};

#define GOOD(name_, spec_)                                                                         \
	{                                                                                          \
		.name = "bochs-" name_, .make = make, .arg = &spec_                                \
	}
#define REFUSE(name_, pos_, width_, value_)                                                        \
	{                                                                                          \
		.name = "bochs-" name_, .verdict = REFUSED, .make = make, .arg = &plain,           \
		PATCH(pos_, width_, value_)                                                        \
	}
/* Reads of extent 1 fail. */
#define BAD_ENTRY(name_, value_)                                                                   \
	{                                                                                          \
		.name = "bochs-" name_, .verdict = READERROR, .bad = {4096, 4096}, .make = make,   \
		.arg = &plain, PATCH(512 + 4, 4, value_)                                           \
	}

static const struct image_case cases[] = {
	GOOD("small", small),
	GOOD("version-1", version_1),
	GOOD("whole", whole),
	GOOD("sector-extents", sector_extents),
	GOOD("large-extents", large_extents),
	GOOD("large-bitmaps", large_bitmaps),
	GOOD("odd-size", odd_size),

	BAD_ENTRY("entry-past-end", 1),
	BAD_ENTRY("entry-far", 0xfffffffe),
	/* The file ends with the second sector of the extent, or with its bitmap. */
	{.name = "bochs-extent-cut",
		.verdict = READERROR,
		.bad = {4096 + 1024, 4096 - 1024},
		.make = make_short_file,
		.arg = &plain,
		.n = 512 + 2048 + 512 + 1024},
	{.name = "bochs-bitmap-cut",
		.verdict = READERROR,
		.bad = {4096, 4096},
		.make = make_short_file,
		.arg = &plain,
		.n = 512 + 2048 + 100},

	{.name = "bochs-header-cut",
		.verdict = REFUSED,
		.make = make_short_file,
		.arg = &plain,
		.n = 95},
	{.name = "bochs-catalog-cut",
		.verdict = REFUSED,
		.make = make_short_file,
		.arg = &plain,
		.n = 512 + 2047},
	REFUSE("type", 32, 1, 'X'),
	REFUSE("undoable", 48, 8, 0x656c62616f646e55), /* "Undoable" */
	REFUSE("volatile", 48, 8, 0x656c6974616c6f56), /* "Volatile" */
	REFUSE("version-3", 64, 4, 0x30000),
	REFUSE("header-0", 68, 4, 0),
	REFUSE("header-odd", 68, 4, 513),
	REFUSE("header-far", 68, 4, 0xfffffffc),
	REFUSE("catalog-0", 72, 4, 0),
	REFUSE("catalog-3", 72, 4, 3),
	REFUSE("catalog-many", 72, 4, 0x100001),
	REFUSE("catalog-all-ones", 72, 4, 0xffffffff),
	REFUSE("bitmap-0", 76, 4, 0),
	REFUSE("bitmap-all-ones", 76, 4, 0xffffffff),
	REFUSE("extent-0", 80, 4, 0),
	REFUSE("extent-256", 80, 4, 256),
	REFUSE("extent-odd", 80, 4, 4097),
	REFUSE("extent-16m", 80, 4, 16 * MIB),
	REFUSE("extent-2g", 80, 4, 0x80000000),
	REFUSE("size-past-catalog", 88, 8, 512 * 4096 + 512),
	REFUSE("size-all-ones", 88, 8, UINT64_MAX),
};

const struct image_set bochs_images = {"bochs", cases, N_ELEMENTS(cases)};
