/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_raid.c - the layouts of RAID, against pictures of their rows, and arrays without some of
 * their members. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "volume/raid.h"
#include "view/view.h"
#include "common/memory_disk.h"
#include "common/unit.h"

#define CHUNK 1024u
#define POS   1536u /* where the data of a member begins */
#define MOST  6     /* members */

/* The rows of a layout: a digit is the number of a chunk in the row, P and Q its parity; after the
 * last row the first one follows. */
struct picture {
	unsigned level, layout;
	const char *rows; /* separated by spaces */
};

static const struct picture parities[] = {
	{4, 0, "012P"},
	{5, RAID_LEFT_ASYMMETRIC, "012P 01P2 0P12 P012"},
	{5, RAID_RIGHT_ASYMMETRIC, "P012 0P12 01P2 012P"},
	{5, RAID_LEFT_SYMMETRIC, "012P 12P0 2P01 P012"},
	{5, RAID_RIGHT_SYMMETRIC, "P012 2P01 12P0 012P"},
	{5, RAID_PARITY_0, "P012"},
	{5, RAID_PARITY_N, "012P"},
	{5, RAID_LEFT_SYMMETRIC, "0P P0"},
	{6, RAID_LEFT_ASYMMETRIC, "Q012P 012PQ 01PQ2 0PQ12 PQ012"},
	{6, RAID_RIGHT_ASYMMETRIC, "PQ012 0PQ12 01PQ2 012PQ Q012P"},
	{6, RAID_LEFT_SYMMETRIC, "Q012P 012PQ 12PQ0 2PQ01 PQ012"},
	{6, RAID_RIGHT_SYMMETRIC, "PQ012 2PQ01 12PQ0 012PQ Q012P"},
	{6, RAID_PARITY_0, "PQ012"},
	{6, RAID_PARITY_N, "012PQ"},
	{6, RAID_PARITY_N, "01PQ"},
	{6, RAID_ROTATING_ZERO_RESTART, "PQ012 0PQ12 01PQ2 012PQ Q012P"},
	{6, RAID_ROTATING_N_RESTART, "012PQ 01PQ2 0PQ12 PQ012 Q012P"},
	{6, RAID_ROTATING_N_CONTINUE, "012QP 12QP0 2QP01 QP012 P012Q"},
	{6, RAID_LEFT_ASYMMETRIC_6, "012PQ 01P2Q 0P12Q P012Q"},
	{6, RAID_RIGHT_ASYMMETRIC_6, "P012Q 0P12Q 01P2Q 012PQ"},
	{6, RAID_LEFT_SYMMETRIC_6, "012PQ 12P0Q 2P01Q P012Q"},
	{6, RAID_RIGHT_SYMMETRIC_6, "P012Q 2P01Q 12P0Q 012PQ"},
	{6, RAID_PARITY_0_6, "P012Q"},
};

/* The rows of level 10: letters are chunks.  All rows are there. */
static const struct picture copies[] = {
	{10, 2 | 1 << 8, "AABB CCDD EEFF GGHH"},
	{10, 2 | 1 << 8, "AAB BCC DDE EFF"},
	{10, 3 | 1 << 8, "AAA BBB CCC DDD"},
	{10, 1 | 1 << 8, "ABC DEF GHI JKL"},
	{10, 1 | 2 << 8, "ABC DEF CAB FDE"},
	{10, 1 | 3 << 8, "ABC CAB BCA"},
	{10, 1 | 2 << 8 | RAID10_OFFSET, "ABC CAB DEF FDE"},
	{10, 1 | 2 << 8 | RAID10_SETS, "ABCD EFGH BADC FEHG"},
	{10, 1 | 2 << 8 | RAID10_SETS, "ABCDE FGHIJ BAECD GFJHI"},
	{10, 1 | 2 << 8 | RAID10_SETS_OLD, "ABCD EFGH BADC FEHG"},
	{10, 2 | 2 << 8, "AABB CCDD BBAA DDCC"},
};

/* An array as the pictures have it. */
static struct array {
	struct raid raid;
	struct raid_member members[MOST];
	unsigned char *disk; /* expected */
	size_t size;
} a;

static size_t row_len(const struct picture *p)
{
	return strcspn(p->rows, " ");
}

static size_t nrows(const struct picture *p)
{
	return (strlen(p->rows) + 1) / (row_len(p) + 1);
}

static const char *row_of(const struct picture *p, size_t i)
{
	return p->rows + i % nrows(p) * (row_len(p) + 1);
}

static void begin(const struct picture *p, size_t rows, size_t chunks)
{
	a.raid = (struct raid){p->level, p->layout, CHUNK, rows * CHUNK + 512, row_len(p)};
	a.size = chunks * CHUNK;
	a.disk = malloc(a.size);
	fill_pattern(a.disk, a.size, p->level + p->layout);
	for (size_t i = 0; i < a.raid.n; i++)
		a.members[i] = (struct raid_member){memdisk_new(POS + a.raid.used), POS};
}

static void end(void)
{
	for (size_t i = 0; i < a.raid.n; i++)
		view_free(a.members[i].view);
	free(a.disk);
}

static void put(size_t member, size_t row, const void *chunk)
{
	memdisk_put(a.members[member].view, POS + row * CHUNK, chunk, CHUNK);
}

static unsigned char times_two(unsigned char v)
{
	return v & 0x80 ? v << 1 ^ 0x1d : v << 1;
}

/* Adds 2^power times a chunk. */
static void add(unsigned char *sum, const unsigned char *chunk, unsigned power)
{
	for (size_t i = 0; i < CHUNK; i++) {
		unsigned char v = chunk[i];

		for (unsigned k = 0; k < power; k++)
			v = times_two(v);
		sum[i] ^= v;
	}
}

/* Q of a row: the powers begin with the member after Q, or with the first of all members. */
static void make_q(const char *row, const unsigned char *data, bool ddf, unsigned char *q)
{
	size_t n = a.raid.n, after = (strchr(row, 'Q') - row + 1) % n;
	unsigned power = 0;

	memset(q, 0, CHUNK);
	for (size_t k = 0; k < n; k++) {
		char c = row[ddf ? k : (after + k) % n];

		if (c >= '0' && c <= '9')
			add(q, data + (c - '0') * CHUNK, power++);
		else if (ddf)
			power++;
	}
}

static void write_row(const char *row, size_t number)
{
	unsigned char p[CHUNK] = {0}, q[CHUNK];
	size_t n = a.raid.n, columns = n - (a.raid.level == 6 ? 2 : 1);
	const unsigned char *data = a.disk + number * columns * CHUNK;

	for (size_t c = 0; c < columns; c++)
		add(p, data + c * CHUNK, 0);
	if (a.raid.level == 6)
		make_q(row, data, a.raid.layout >= 8 && a.raid.layout <= 10, q);
	for (size_t i = 0; i < n; i++)
		put(i, number,
			row[i] == 'P'   ? p
			: row[i] == 'Q' ? q
					: data + (row[i] - '0') * CHUNK);
}

/* Two turns, and a part of a third one. */
static void make_parity(const struct picture *p)
{
	size_t rows = 2 * nrows(p) + 1, columns = row_len(p) - (p->level == 6 ? 2 : 1);

	begin(p, rows, rows * columns);
	for (size_t i = 0; i < rows; i++)
		write_row(row_of(p, i), i);
}

static void make_copies(const struct picture *p)
{
	size_t n = row_len(p), rows = nrows(p);

	begin(p, rows, rows * n / ((p->layout & 0xff) * (p->layout >> 8 & 0xff)));
	for (size_t row = 0; row < rows; row++)
		for (size_t i = 0; i < n; i++)
			put(i, row, a.disk + (row_of(p, row)[i] - 'A') * CHUNK);
}

/* A view of those members whose bit is set; NULL: refused. */
static struct view *open_with(unsigned present, struct err *e)
{
	struct raid_member some[MOST];
	struct view *v;

	for (size_t i = 0; i < a.raid.n; i++) {
		some[i] = a.members[i];
		some[i].view = NULL;
		if (present & 1u << i)
			some[i].view = view_slice(a.members[i].view, 0, a.members[i].view->size, e);
	}
	v = raid_view(&a.raid, some, e);
	for (size_t i = 0; !v && i < a.raid.n; i++)
		view_free(some[i].view);
	return v;
}

/* Reads the whole, then pieces at any place. */
static void compare(const struct view *v, uint64_t seed)
{
	unsigned char *buf = malloc(a.size);
	struct err e = ERR_INIT;

	ck_assert_uint_eq(v->size, a.size);
	ck_assert_ok(view_read(v, buf, a.size, 0, &e), &e);
	ck_assert_int_eq(memcmp(buf, a.disk, a.size), 0);
	for (int i = 0; i < 200; i++) {
		size_t off = next_random(&seed) % a.size;
		size_t len = 1 + next_random(&seed) % (a.size - off);

		memset(buf, 0, len);
		ck_assert_ok(view_read(v, buf, len, off, &e), &e);
		ck_assert_int_eq(memcmp(buf, a.disk + off, len), 0);
	}
	free(buf);
}

static size_t missing_of(unsigned present)
{
	return a.raid.n - __builtin_popcount(present);
}

/* With each set of members. */
static void check_sets(size_t most)
{
	for (unsigned present = 0; present < 1u << a.raid.n; present++) {
		struct err e = ERR_INIT;
		struct view *v = open_with(present, &e);

		if (missing_of(present) > most) {
			ck_assert_null_fails(v, EIO, &e, "members are missing");
			continue;
		}
		ck_assert_msg(v, "%s", e.text);
		compare(v, present);
		view_free(v);
	}
}

START_TEST(parity)
{
	struct err e = ERR_INIT;

	make_parity(&parities[_i]);
	ck_assert_ok(raid_check(&a.raid, &e), &e);
	ck_assert_uint_eq(raid_size(&a.raid), a.size);
	check_sets(a.raid.level == 6 ? 2 : 1);
	end();
}
END_TEST

/* Has the set of members each letter of the picture? */
static bool has_letters(const struct picture *p, unsigned present)
{
	size_t n = row_len(p), letters = a.size / CHUNK;
	bool has[32] = {false};

	for (size_t row = 0; row < nrows(p); row++)
		for (size_t i = 0; i < n; i++)
			if (present & 1u << i)
				has[row_of(p, row)[i] - 'A'] = true;
	for (size_t i = 0; i < letters; i++)
		if (!has[i])
			return false;
	return true;
}

START_TEST(raid10)
{
	const struct picture *p = &copies[_i];
	struct err e = ERR_INIT;

	make_copies(p);
	ck_assert_ok(raid_check(&a.raid, &e), &e);
	ck_assert_uint_eq(raid_size(&a.raid), a.size);
	for (unsigned present = 0; present < 1u << a.raid.n; present++) {
		struct view *v = open_with(present, &e);

		ck_assert_int_eq(v != NULL, has_letters(p, present));
		if (v)
			compare(v, present);
		else
			ck_assert_fails(-e.code, EIO, &e, "all copies of some chunks");
		view_free(v);
	}
	end();
}
END_TEST

START_TEST(raid1)
{
	static const struct picture p = {1, 0, "000"};

	begin(&p, 4, 4);
	a.size += 512;
	a.disk = realloc(a.disk, a.size);
	fill_pattern(a.disk, a.size, 1);
	for (size_t i = 0; i < 3; i++)
		memdisk_put(a.members[i].view, POS, a.disk, a.size);
	check_sets(2);
	end();
}
END_TEST

/* Bytes that are there are read from the files of the members themselves. */
START_TEST(extents)
{
	static const struct picture p = {5, RAID_LEFT_SYMMETRIC, "012P 12P0 2P01 P012"};
	struct err e = ERR_INIT;
	struct extent x;
	struct view *v;

	make_parity(&p);
	v = open_with(0xf, &e);
	ck_assert_ok(view_resolve(v, 3 * CHUNK + 100, a.size - 3 * CHUNK - 100, &x, &e), &e);
	ck_assert_int_eq(x.kind, EXTENT_FILE);
	ck_assert_ptr_eq(x.owner, a.members[3].view);
	ck_assert_ok(view_map(v, 3 * CHUNK + 100, a.size - 3 * CHUNK - 100, &x, &e), &e);
	ck_assert_int_eq(x.kind, EXTENT_BELOW);
	ck_assert_uint_eq(x.pos, POS + CHUNK + 100);
	ck_assert_uint_eq(x.len, CHUNK - 100);
	ck_assert_int_eq(view_write(v, "x", 1, 0, &e), -EROFS);
	view_free(v);
	end();
}
END_TEST

/* Holes of all other members are holes of the missing one; a member that changes is read anew. */
START_TEST(holes)
{
	static const struct picture p = {6, RAID_LEFT_SYMMETRIC, "Q012P 012PQ 12PQ0 2PQ01 PQ012"};
	unsigned char chunk[CHUNK];
	struct err e = ERR_INIT;
	uint64_t found;
	struct view *v;

	begin(&p, 5, 15);
	memset(a.disk, 0, a.size);
	fill_pattern(a.disk + 7 * CHUNK, CHUNK, 3);
	write_row(row_of(&p, 2), 2);
	/* memdisk takes what is written as data, also zeroes: row 2 is data in all members. */
	v = open_with(0x1d, &e);
	ck_assert_int_eq(view_seek(v, 0, SEEK_DATA, &found), 0);
	ck_assert_uint_eq(found, 6 * CHUNK);
	ck_assert_int_eq(view_seek(v, found, SEEK_HOLE, &found), 0);
	ck_assert_uint_eq(found, 9 * CHUNK);
	ck_assert_uint_eq(view_stored(v), 3 * CHUNK);
	compare(v, 1);
	fill_pattern(a.disk + 6 * CHUNK, 3 * CHUNK, 9);
	write_row(row_of(&p, 2), 2);
	compare(v, 1);
	memdisk_break(a.members[0].view, POS + 2 * CHUNK);
	ck_assert_int_eq(view_read(v, chunk, CHUNK, 8 * CHUNK, &e), -EIO);
	view_free(v);
	end();
}
END_TEST

static void *reader(void *arg)
{
	compare(arg, (uintptr_t)pthread_self());
	return NULL;
}

START_TEST(threads)
{
	pthread_t readers[6];
	struct err e = ERR_INIT;
	struct view *v;

	make_parity(&parities[_i]);
	v = open_with(a.raid.level == 6 ? 0x1a : 0xe, &e);
	ck_assert_msg(v, "%s", e.text);
	for (size_t i = 0; i < COUNT(readers); i++)
		pthread_create(&readers[i], NULL, reader, v);
	for (size_t i = 0; i < COUNT(readers); i++)
		pthread_join(readers[i], NULL);
	view_free(v);
	end();
}
END_TEST

static const struct {
	struct raid raid;
	int code;
	const char *text;
} refused[] = {
	{{2, 0, CHUNK, 4096, 4}, ENOTSUP, "raid2 is not supported"},
	{{0, 0, CHUNK, 4096, 4}, ENOTSUP, "raid0"},
	{{5, 6, CHUNK, 4096, 4}, ENOTSUP, "unknown layout, 6"},
	{{5, 8, CHUNK, 4096, 4}, ENOTSUP, "unknown layout, 8"},
	{{6, 21, CHUNK, 4096, 5}, ENOTSUP, "unknown layout, 21"},
	{{6, UINT32_MAX, CHUNK, 4096, 5}, ENOTSUP, "unknown layout"},
	{{6, 2, CHUNK, 4096, 3}, EINVAL, "raid6 with 3 members"},
	{{6, 2, CHUNK, 4096, RAID6_MAX_MEMBERS + 1}, EINVAL, "raid6 with 256 members"},
	{{5, 2, CHUNK, 4096, RAID_MAX_MEMBERS + 1}, EINVAL, "raid5 with 1921 members"},
	{{5, 2, CHUNK, 4096, 1}, EINVAL, "raid5 with 1 members"},
	{{1, 0, CHUNK, 4096, 0}, EINVAL, "raid1 with 0 members"},
	{{1, 0, CHUNK, 0, 2}, EINVAL, "raid1 of 0 bytes"},
	{{5, 2, 0, 4096, 3}, EINVAL, "chunks of 0 bytes"},
	{{5, 2, 513, 4096, 3}, EINVAL, "chunks of 513 bytes"},
	{{5, 2, 8192, 4096, 3}, EINVAL, "chunks of 8192 bytes"},
	{{5, 2, CHUNK, UINT64_MAX, 3}, EINVAL, "3 members of 18446744073709551615 bytes"},
	{{5, 2, CHUNK, INT64_MAX, 3}, EINVAL, "3 members of"},
	{{10, 0, CHUNK, 4096, 3}, ENOTSUP, "unknown layout, 0x0"},
	{{10, 0x100, CHUNK, 4096, 3}, ENOTSUP, "unknown layout, 0x100"},
	{{10, 2, CHUNK, 4096, 3}, ENOTSUP, "unknown layout, 0x2"},
	{{10, 0x60102, CHUNK, 4096, 3}, ENOTSUP, "unknown layout, 0x60102"},
	{{10, 0x80102, CHUNK, 4096, 3}, ENOTSUP, "unknown layout, 0x80102"},
	{{10, 0x80000102, CHUNK, 4096, 3}, ENOTSUP, "unknown layout, 0x80000102"},
	{{10, 0x104, CHUNK, 4096, 3}, EINVAL, "raid10 has 4 copies, but 3 members"},
	{{10, 0x20401, CHUNK, 4096, 3}, ENOTSUP, "unknown layout"},
	{{10, 0x40202, CHUNK, 4096, 3}, ENOTSUP, "unknown layout"},
	{{10, 0xffff, CHUNK, 4096, 3}, ENOTSUP, "raid10 has 65025 copies; at most 32"},
	{{10, 0x2020, CHUNK, 4096, 3}, EINVAL, "raid10 has 1024 copies, but 3 members"},
	{{10, 0x201, CHUNK, CHUNK, 3}, EINVAL, "raid10 of 0 bytes"},
};

START_TEST(refusals)
{
	struct err e = ERR_INIT;

	ck_assert_fails(raid_check(&refused[_i].raid, &e), refused[_i].code, &e, refused[_i].text);
}
END_TEST

START_TEST(short_member)
{
	static const struct picture p = {5, RAID_PARITY_N, "012P"};
	struct err e = ERR_INIT;

	make_parity(&p);
	memdisk_resize(a.members[1].view, a.members[1].view->size - 1);
	ck_assert_null_fails(open_with(0xf, &e), EUCLEAN, &e, "of member 1 pass its end");
	a.members[0].pos = UINT64_MAX;
	ck_assert_null_fails(open_with(0xf, &e), EUCLEAN, &e, "of member 0 pass its end");
	end();
}
END_TEST

/* The largest arrays: no product overflows, and the last byte is inside all members. */
START_TEST(large)
{
	static const struct raid cases[] = {
		{10, 0x102, 512, LIMIT_DISK_SIZE / RAID_MAX_MEMBERS, RAID_MAX_MEMBERS},
		{10, 0x201, 512, LIMIT_DISK_SIZE / 7, 7},
		{10, 0x303 | RAID10_OFFSET, 512, LIMIT_DISK_SIZE / 10, 10},
		{5, 2, 512, LIMIT_DISK_SIZE / RAID_MAX_MEMBERS, RAID_MAX_MEMBERS},
		{6, 18, 4096, LIMIT_DISK_SIZE / 255, 255},
	};
	const struct raid *r = &cases[_i];
	struct raid_member *members = calloc(r->n, sizeof members[0]);
	struct err e = ERR_INIT;
	unsigned char byte = 1;
	struct view *v;

	ck_assert_ok(raid_check(r, &e), &e);
	for (size_t i = 0; i < r->n; i++)
		members[i].view =
			i == 0 ? memdisk_new(r->used) : view_slice(members[0].view, 0, r->used, &e);
	v = raid_view(r, members, &e);
	ck_assert_msg(v, "%s", e.text);
	ck_assert_uint_le(v->size, LIMIT_DISK_SIZE);
	ck_assert_ok(view_read(v, &byte, 1, v->size - 1, &e), &e);
	ck_assert_uint_eq(byte, 0);
	free(members);
	view_free(v);
}
END_TEST

START_TEST(names)
{
	static const struct {
		struct raid raid;
		const char *name;
	} cases[] = {
		{{.level = 6}, "raid6"},
		{{.level = 10, .layout = 0x102}, "raid10 near=2"},
		{{.level = 10, .layout = 0x201}, "raid10 far=2"},
		{{.level = 10, .layout = 0x10201}, "raid10 offset=2"},
		{{.level = 10, .layout = 0x202}, "raid10 near=2 far=2"},
	};
	char name[64];

	for (size_t i = 0; i < COUNT(cases); i++) {
		raid_name(&cases[i].raid, name, sizeof name);
		ck_assert_str_eq(name, cases[i].name);
	}
}
END_TEST

Suite *raid_suite(void)
{
	TCase *tc = tcase_create("raid");

	tcase_add_loop_test(tc, parity, 0, COUNT(parities));
	tcase_add_loop_test(tc, raid10, 0, COUNT(copies));
	tcase_add_test(tc, raid1);
	tcase_add_test(tc, extents);
	tcase_add_test(tc, holes);
	tcase_add_loop_test(tc, threads, 3, COUNT(parities));
	tcase_add_loop_test(tc, refusals, 0, COUNT(refused));
	tcase_add_test(tc, short_member);
	tcase_add_loop_test(tc, large, 0, 5);
	tcase_add_test(tc, names);
	return suite_of("raid", tc);
}
