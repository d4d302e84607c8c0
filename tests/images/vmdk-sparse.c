/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk-sparse.c - sparse extents with an embedded descriptor. */
#include <stdio.h>

#include "mkimage.h"
#include "vmdk.h"

#define GRAIN (64 * KIB)

/* A sparse extent with its extent line. */
struct mono {
	struct sparse sparse;
	uint64_t sectors;
	const char *line;
};

static int make(const struct job *j, const struct mono *m)
{
	struct descriptor d = {"monolithicSparse", 0x1234abcd, NO_PARENT, NULL, m->line};
	int fd = file_new(j, ".vmdk");

	sparse_put(fd, &m->sparse, 0);
	descriptor_put(j, fd, TEXT_AT * SECTOR, &d);
	expect_size(j, m->sectors * SECTOR);
	sparse_expect(j, &m->sparse, 0, m->sectors, 0);
	patch_le(j, fd);
	return fd;
}

static void make_mono(const struct job *j)
{
	make(j, j->c->arg);
}

#define V1 1, FLAG_NEWLINES | FLAG_RGD

static const uint32_t shuffled[] = {7, GRAIN_ABSENT, 0, 3, GRAIN_ABSENT, 6, 2, 5};

/* VirtualBox rounds the capacity up; the extent line has the size. */
static const struct mono round_cap = {
	{1024, 128, V1, shuffled, 8}, 1000, "RW 1000 SPARSE \"%s.vmdk\"\n"};
static const struct mono reversed = {
	{1000, 128, V1, shuffled, 8}, 1000, "RW 1000 SPARSE \"%s.vmdk\"\n"};
static const struct mono line_longer = {
	{1024, 128, V1, shuffled, 8}, 3000, "RW 3000 SPARSE \"%s.vmdk\"\n"};
static const struct mono other_name = {
	{1024, 128, V1, shuffled, 8}, 1024, "RW 1024 SPARSE \"somebody-else.vmdk\"\n"};
static const struct mono version_2 = {{1024, 128, 2, FLAG_NEWLINES | FLAG_RGD, shuffled, 8}, 1024,
	"RW 1024 SPARSE \"%s.vmdk\"\n"};
static const struct mono version_3 = {{1024, 128, 3, FLAG_NEWLINES | FLAG_RGD, shuffled, 8}, 1024,
	"RW 1024 SPARSE \"%s.vmdk\"\n"};
static const struct mono no_flags = {
	{1024, 128, 1, 0, shuffled, 8}, 1024, "RW 1024 SPARSE \"%s.vmdk\"\n"};
static const struct mono grain_1 = {{8, 1, V1, shuffled, 8}, 8, "RW 8 SPARSE \"%s.vmdk\"\n"};
static const struct mono grain_1m = {
	{8 * 2048, 2048, V1, shuffled, 8}, 8 * 2048, "RW 16384 SPARSE \"%s.vmdk\"\n"};

static const uint32_t zeroes[] = {1, GRAIN_ZERO, GRAIN_ABSENT, GRAIN_ZERO, 0};
static const struct mono zero_gte = {
	{5 * 128, 128, 2, FLAG_NEWLINES | FLAG_RGD | FLAG_ZERO_GRAIN, zeroes, 5}, 640,
	"RW 640 SPARSE \"%s.vmdk\"\n"};
/* Sector 1 is the descriptor, so an entry of 1 is a zero grain also without the flag. */
static const struct mono zero_gte_unflagged = {
	{5 * 128, 128, V1, zeroes, 5}, 640, "RW 640 SPARSE \"%s.vmdk\"\n"};

/* A grain directory entry of 1: all grains of the table are zero. */
static void make_zero_table(const struct job *j)
{
	int fd = make(j, &zero_gte);

	put_le32(fd, RGD_AT * SECTOR, 1);
	put_le32(fd, GD_AT * SECTOR, 1);
	expect_zero(j, 0, 5 * GRAIN);
}

/* Many grain tables, some of which are absent. */
#define FAR 1500

static void make_many_tables(const struct job *j, uint64_t grain, uint32_t flags)
{
	uint32_t map[FAR + 3];
	struct mono m = {{FAR * grain + 4 * grain - 1, grain, 1, flags, map, N_ELEMENTS(map)},
		FAR * grain + 2 * grain + 1, NULL};
	char line[64];

	for (size_t i = 0; i < N_ELEMENTS(map); i++)
		map[i] = GRAIN_ABSENT;
	map[0] = 2;
	map[GTES - 1] = 0;
	map[FAR] = 3;
	map[FAR + 2] = 1;
	snprintf(line, sizeof line, "RW %u SPARSE \"%%s.vmdk\"\n", (unsigned)m.sectors);
	m.line = line;
	make(j, &m);
}

static void make_grain_8k(const struct job *j)
{
	make_many_tables(j, 16, FLAG_NEWLINES | FLAG_RGD);
}

static void make_no_table(const struct job *j)
{
	make_many_tables(j, 128, FLAG_NEWLINES);
}

/* The file ends inside the last grain; the missing part reads as zeroes. */
static void make_cut(const struct job *j)
{
	int fd = make(j, &round_cap);

	file_resize(fd, DATA_AT * SECTOR + 7 * GRAIN + 512);
	expect_zero(j, 512, GRAIN - 512);
}

/* The file ends before the last grain, which must fail. */
static void make_lost(const struct job *j)
{
	int fd = make(j, &round_cap);

	file_resize(fd, DATA_AT * SECTOR + 7 * GRAIN);
}

/* The grain table is overwritten; the redundant one is used. */
static void make_overwritten(const struct job *j)
{
	int fd = make(j, j->c->arg);

	put_data(fd, GT_AT * SECTOR, NOISE, GTES * 4);
}

static void make_short_file(const struct job *j)
{
	int fd = make(j, &round_cap);

	file_resize(fd, j->c->n);
}

#define GOOD(name_, mono_)                                                                         \
	{                                                                                          \
		.name = "vmdk-" name_, .make = make_mono, .arg = &mono_                            \
	}
#define SPECIAL(name_, make_)                                                                      \
	{                                                                                          \
		.name = "vmdk-" name_, .make = make_                                               \
	}
#define GOOD_PATCHED(name_, pos_, width_, value_)                                                  \
	{                                                                                          \
		.name = "vmdk-" name_, .make = make_mono, .arg = &round_cap,                       \
		PATCH(pos_, width_, value_)                                                        \
	}
#define REFUSE(name_, pos_, width_, value_)                                                        \
	{                                                                                          \
		.name = "vmdk-" name_, .verdict = REFUSED, .make = make_mono, .arg = &round_cap,   \
		PATCH(pos_, width_, value_)                                                        \
	}
/* Without a redundant grain directory. */
#define REFUSE_ALONE(name_, pos_, width_, value_)                                                  \
	{                                                                                          \
		.name = "vmdk-" name_, .verdict = REFUSED, .make = make_mono, .arg = &no_flags,    \
		PATCH(pos_, width_, value_)                                                        \
	}
#define CUT_TO(name_, n_)                                                                          \
	{                                                                                          \
		.name = "vmdk-" name_, .verdict = REFUSED, .make = make_short_file, .n = n_        \
	}
/* Without a redundant grain directory, reads of grain 3, or of all grains, fail. */
#define BAD_GRAIN(name_, pos_, width_, value_)                                                     \
	{                                                                                          \
		.name = "vmdk-" name_, .verdict = READERROR, .bad = {3 * GRAIN, GRAIN},            \
		.make = make_mono, .arg = &no_flags, PATCH(pos_, width_, value_)                   \
	}
#define BAD_TABLE(name_, pos_, width_, value_)                                                     \
	{                                                                                          \
		.name = "vmdk-" name_, .verdict = READERROR, .bad = {0, 8 * GRAIN},                \
		.make = make_mono, .arg = &no_flags, PATCH(pos_, width_, value_)                   \
	}

static const struct image_case cases[] = {
	GOOD("round-cap", round_cap),
	GOOD("reversed", reversed),
	GOOD("line-longer", line_longer),
	GOOD("other-name", other_name),
	GOOD("version-2", version_2),
	GOOD("version-3", version_3),
	GOOD("no-flags", no_flags),
	GOOD("grain-1", grain_1),
	GOOD("grain-1m", grain_1m),
	GOOD("zero-gte", zero_gte),
	GOOD("zero-gte-unflagged", zero_gte_unflagged),
	SPECIAL("zero-table", make_zero_table),
	SPECIAL("grain-8k", make_grain_8k),
	SPECIAL("no-table", make_no_table),
	SPECIAL("cut", make_cut),
	GOOD_PATCHED("unclean", 72, 1, 1),
	GOOD_PATCHED("unknown-low-flag", 8, 4, 0x8003),
	GOOD_PATCHED("gd-far-twin", 56, 8, 0x100000),
	GOOD_PATCHED("gd-overflow-twin", 56, 8, UINT64_MAX - 1),
	GOOD_PATCHED("gd-entry-1", GD_AT *SECTOR, 4, 1),
	GOOD_PATCHED("bad-gd-entry", GD_AT *SECTOR, 4, 0x7fffffff),
	GOOD_PATCHED("bad-gt-entry", GT_AT *SECTOR + 12, 4, 0x7fffffff),
	{.name = "vmdk-bad-gt", .make = make_overwritten, .arg = &round_cap},

	{.name = "vmdk-lost", .verdict = READERROR, .bad = {0, GRAIN}, .make = make_lost},
	BAD_GRAIN("gte-past-end", GT_AT *SECTOR + 12, 4, 0x7fffffff),
	BAD_GRAIN("gte-all-ones", GT_AT *SECTOR + 12, 4, 0xffffffff),
	BAD_GRAIN("gte-in-tables", GT_AT *SECTOR + 12, 4, GD_AT),
	BAD_TABLE("gd-past-end", GD_AT *SECTOR, 4, 0x7fffffff),
	BAD_TABLE("gd-cut", GD_AT *SECTOR, 4, DATA_AT + 8 * 128 - 1),

	CUT_TO("empty-file", 0),
	CUT_TO("header-cut", 511),
	CUT_TO("gd-missing", GD_AT *SECTOR),
	REFUSE("version-0", 4, 4, 0),
	REFUSE("version-9", 4, 4, 9),
	REFUSE("unknown-high-flag", 8, 4, 0x40003),
	REFUSE("capacity-huge", 12, 8, (uint64_t)1 << 55),
	REFUSE("capacity-all-ones", 12, 8, UINT64_MAX),
	REFUSE("grain-0", 20, 8, 0),
	REFUSE("grain-3", 20, 8, 3),
	REFUSE("grain-4g", 20, 8, (uint64_t)1 << 32),
	REFUSE("grain-all-ones", 20, 8, UINT64_MAX),
	REFUSE("text-far", 28, 8, (uint64_t)1 << 54),
	REFUSE("text-long", 36, 8, (uint64_t)1 << 54),
	REFUSE("gtes-0", 44, 4, 0),
	REFUSE("gtes-all-ones", 44, 4, 0xffffffff),
	REFUSE_ALONE("gd-far", 56, 8, 0x100000),
	REFUSE_ALONE("gd-overflow", 56, 8, UINT64_MAX - 1),
	REFUSE("gd-at-end", 56, 8, UINT64_MAX),
	REFUSE("newlines", 73, 4, 0x0a0a200a),
	REFUSE("compression-9", 77, 2, 9),
};

const struct image_set vmdk_sparse_images = {"vmdk", cases, N_ELEMENTS(cases)};
