/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <unistd.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "io/cache.h"
#include "util/err.h"
#include "io/io.h"
#include "common/unit.h"
#include "table_view.h"

#define FILE_LEN 65536

static void expect(const struct view *v, uint64_t off, uint64_t len, enum extent_kind kind,
	uint64_t pos, uint64_t expected_len)
{
	struct err e = ERR_INIT;
	struct extent x;

	ck_assert_ok(view_resolve(v, off, len, &x, &e), &e);
	ck_assert_int_eq(x.kind, kind);
	ck_assert_uint_eq(x.len, expected_len);
	if (kind == EXTENT_FILE)
		ck_assert_uint_eq(x.pos, pos);
}

START_TEST(parents_of_different_size)
{
	static const struct extent lower[] = {{.kind = EXTENT_FILE, .len = 3000, .pos = 100}};
	static const struct extent upper[] = {
		{.kind = EXTENT_BELOW, .len = 5000},
		{.kind = EXTENT_FILE, .len = 1000, .pos = 9000},
		{.kind = EXTENT_BELOW, .len = 100, .pos = 6000},
		{.kind = EXTENT_BELOW, .len = 100, .pos = UINT64_MAX - 200},
	};
	static unsigned char data[FILE_LEN];
	struct io *io = pattern_io(data, sizeof data);
	struct table a = table_of(lower, COUNT(lower), io, NULL);
	struct table b = table_of(upper, COUNT(upper), io, NULL);

	expect(&b.view, 0, 6200, EXTENT_ZERO, 0, 5000); /* there is no view below */
	b.view.below = &a.view;
	expect(&b.view, 0, 6200, EXTENT_FILE, 100, 3000);
	expect(&b.view, 2000, 4000, EXTENT_FILE, 2100, 1000);
	expect(&b.view, 2999, 1, EXTENT_FILE, 3099, 1);
	expect(&b.view, 3000, 500, EXTENT_ZERO, 0, 500);
	expect(&b.view, 3000, 3200, EXTENT_ZERO, 0, 2000);
	expect(&b.view, 5500, 100, EXTENT_FILE, 9500, 100);
	expect(&b.view, 6000, 200, EXTENT_ZERO, 0, 100);
	expect(&b.view, 6100, 100, EXTENT_ZERO, 0, 100);
	io_unref(io);
}
END_TEST

START_TEST(zeroes_hide_the_view_below)
{
	static const struct extent lower[] = {{.kind = EXTENT_FILE, .len = 3000}};
	static const struct extent upper[] = {{.kind = EXTENT_ZERO, .len = 1000}};
	static unsigned char data[FILE_LEN], zeroes[1000];
	unsigned char buf[1000];
	struct io *io = pattern_io(data, sizeof data);
	struct table a = table_of(lower, 1, io, NULL), b = table_of(upper, 1, io, NULL);
	struct err e = ERR_INIT;

	b.view.below = &a.view;
	expect(&b.view, 0, 1000, EXTENT_ZERO, 0, 1000);
	ck_assert_ok(view_read(&b.view, buf, 1000, 0, &e), &e);
	ck_assert_mem_eq(buf, zeroes, 1000);
	io_unref(io);
}
END_TEST

START_TEST(slices)
{
	static const struct extent whole[] = {
		{.kind = EXTENT_ZERO, .len = 1000},
		{.kind = EXTENT_FILE, .len = 3000, .pos = 50},
	};
	static unsigned char data[FILE_LEN];
	unsigned char buf[2000];
	struct io *io = pattern_io(data, sizeof data);
	struct table t = table_of(whole, COUNT(whole), io, NULL);
	struct err e = ERR_INIT;
	struct view *a = view_slice(&t.view, 500, 3500, &e), *b = view_slice(a, 1000, 2000, &e);
	struct view *none = view_slice(&t.view, 4000, 0, &e);
	uint64_t found;

	expect(a, 0, 3500, EXTENT_ZERO, 0, 500);
	expect(a, 500, 3000, EXTENT_FILE, 50, 3000);
	expect(b, 0, 2000, EXTENT_FILE, 550, 2000);
	ck_assert_ok(view_read(b, buf, 2000, 0, &e), &e);
	ck_assert_mem_eq(buf, data + 550, 2000);
	ck_assert_fails(view_read(b, buf, 1, 2000, &e), EINVAL, &e, "end of a disk of 2000");
	ck_assert_ok(view_read(none, buf, 0, 0, &e), &e);
	ck_assert_int_eq(view_seek(none, 0, SEEK_HOLE, &found), -ENXIO);
	ck_assert_uint_eq(view_stored(none), 0);
	ck_assert_uint_eq(view_stored(a), 3000);
	view_free(none);
	view_free(b);
	view_free(a);
	view_free(NULL);
	io_unref(io);
}
END_TEST

START_TEST(reads_beyond_the_end)
{
	static const struct extent whole[] = {{.kind = EXTENT_ZERO, .len = 1000}};
	struct table t = table_of(whole, 1, NULL, NULL);
	struct err e = ERR_INIT;
	char buf[8];

	ck_assert_fails(view_read(&t.view, buf, 2, 999, &e), EINVAL, &e, "2 bytes at 999");
	ck_assert_fails(view_read(&t.view, buf, 8, UINT64_MAX - 3, &e), EINVAL, &e, "pass the end");
	ck_assert_fails(view_read(&t.view, buf, SIZE_MAX, 1, &e), EINVAL, &e, "pass the end");
	ck_assert_ok(view_read(&t.view, buf, 0, 1000, &e), &e);
}
END_TEST

/* Callers that read the size before the disk shrank: a read, a partition of an old table. */
START_TEST(ranges_beyond_a_shrunk_disk)
{
	static const struct extent whole[] = {{.kind = EXTENT_ZERO, .len = 1000}};
	struct table t = table_of(whole, 1, NULL, NULL);
	struct err e = ERR_INIT;
	struct extent x;

	ck_assert_fails(view_resolve(&t.view, 900, 101, &x, &e), EINVAL, &e, "101 bytes at 900");
	ck_assert_fails(view_resolve(&t.view, 0, 0, &x, &e), EINVAL, &e, "pass the end");
	ck_assert_null_fails(view_slice(&t.view, 500, 501, &e), EINVAL, &e, "501 bytes at 500");
}
END_TEST

/* A map may return an extent outside of its unit only for a hostile image. */
START_TEST(extents_outside_their_unit)
{
	static const struct extent whole[] = {
		{.kind = EXTENT_GENERATED, .len = 1000, .unit_len = 500}};
	struct table t = table_of(whole, 1, NULL, NULL);
	const struct block *block;
	struct err e = ERR_INIT;
	struct extent x;

	ck_assert_ok(view_resolve(&t.view, 0, 1000, &x, &e), &e);
	ck_assert_fails(view_pin(&x, &block, &e), EUCLEAN, &e, "of a unit of 500");
}
END_TEST

/* A parent that could not be opened: every read fails, and seeking over it is fast. */
START_TEST(broken_views)
{
	static const struct extent upper[] = {
		{.kind = EXTENT_BELOW, .len = 1000},
		{.kind = EXTENT_FILE, .len = 1000},
		{.kind = EXTENT_BELOW, .len = LIMIT_DISK_SIZE - 2000},
	};
	static unsigned char data[FILE_LEN];
	unsigned char buf[1001];
	struct io *io = pattern_io(data, sizeof data);
	struct table t = table_of(upper, COUNT(upper), io, NULL);
	struct err e = ERR_INIT;
	uint64_t found;

	t.view.below = view_broken(LIMIT_DISK_SIZE, "left at home: 100%s", &e);
	ck_assert_ok(view_read(&t.view, buf, 1000, 1000, &e), &e);
	ck_assert_mem_eq(buf, data, 1000);
	ck_assert_fails(view_read(&t.view, buf, 1001, 1000, &e), EIO, &e, "left at home: 100%s");
	ck_assert_fails(view_read(&t.view, buf, 1, 999, &e), EIO, &e, "left at home");
	ck_assert_int_eq(view_seek(&t.view, 0, SEEK_DATA, &found), 0);
	ck_assert_uint_eq(found, 0);
	ck_assert_int_eq(view_seek(&t.view, 0, SEEK_HOLE, &found), 0);
	ck_assert_uint_eq(found, LIMIT_DISK_SIZE);
	ck_assert_uint_eq(view_stored(&t.view), LIMIT_DISK_SIZE);
	view_free(t.view.below);
	io_unref(io);
}
END_TEST

START_TEST(seek_reports_damage_as_data)
{
	static const struct extent x[] = {
		{.kind = EXTENT_ZERO, .len = 1000},
		{.kind = DAMAGED, .len = 200000, .pos = 200000}, /* reported by the map */
		{.kind = EXTENT_ZERO, .len = 61144},             /* up to 256 KiB */
		{.kind = DAMAGED, .len = 100000},                /* not reported */
		{.kind = EXTENT_ZERO, .len = 500000},
	};
	struct table t = table_of(x, COUNT(x), NULL, NULL);
	struct err e = ERR_INIT;
	uint64_t found;
	char c;

	ck_assert_fails(view_read(&t.view, &c, 1, 1000, &e), EUCLEAN, &e, "damaged at 1000");
	ck_assert_int_eq(view_seek(&t.view, 0, SEEK_DATA, &found), 0);
	ck_assert_uint_eq(found, 1000);
	ck_assert_int_eq(view_seek(&t.view, 1000, SEEK_HOLE, &found), 0);
	ck_assert_uint_eq(found, 201000);
	ck_assert_int_eq(view_seek(&t.view, 201000, SEEK_DATA, &found), 0);
	ck_assert_uint_eq(found, 262144);
	/* Damage may be reported as more data than there is, never as a hole. */
	ck_assert_int_eq(view_seek(&t.view, 262144, SEEK_HOLE, &found), 0);
	ck_assert_uint_ge(found, 362144);
	ck_assert_uint_le(found, 362144 + 65536);
	ck_assert_int_eq(view_seek(&t.view, 500000, SEEK_DATA, &found), -ENXIO);
	ck_assert_uint_ge(view_stored(&t.view), 300000);
}
END_TEST

/* As many extents as bytes, all of one kind: walking them all would take too long. */

struct comb {
	struct view view;
	enum extent_kind kind;
};

static int single_bytes_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	(void)off;
	(void)len;
	(void)e;
	x->kind = ((const struct comb *)v)->kind;
	x->len = 1;
	return 0;
}

START_TEST(long_seeks_end_and_report_data)
{
	static const struct view_ops ops = {.map = single_bytes_map};
	struct comb c = {.view = {.ops = &ops, .size = LIMIT_DISK_SIZE}, .kind = EXTENT_GENERATED};
	uint64_t found;

	ck_assert_int_eq(view_seek(&c.view, 7, SEEK_HOLE, &found), 0);
	ck_assert_uint_eq(found, LIMIT_DISK_SIZE);
	ck_assert_uint_eq(view_stored(&c.view), LIMIT_DISK_SIZE);
	c.kind = EXTENT_ZERO;
	ck_assert_int_eq(view_seek(&c.view, 7, SEEK_DATA, &found), 0);
	ck_assert_uint_gt(found, 1000000);
	ck_assert_uint_gt(view_stored(&c.view), LIMIT_DISK_SIZE / 2);
	ck_assert_int_eq(view_seek(&c.view, LIMIT_DISK_SIZE - 100, SEEK_DATA, &found), -ENXIO);
}
END_TEST

/* Seven units of 1000 bytes, each filled with its own pattern. */
START_TEST(generated_units_are_cached)
{
	struct err e = ERR_INIT;
	struct cache *cache = cache_new(1 << 20, &e);
	struct extent x[7];
	unsigned char buf[7000], one[1000], again;
	struct table t;

	for (size_t i = 0; i < COUNT(x); i++)
		x[i] = (struct extent){
			.kind = EXTENT_GENERATED, .len = 1000, .unit_id = i, .unit_len = 1000};
	t = table_of(x, COUNT(x), NULL, cache);
	t.fail_fill = 1;
	ck_assert_fails(view_read(&t.view, buf, 7000, 0, &e), EUCLEAN, &e, "unit 0 is damaged");
	t.fail_fill = 0;
	ck_assert_ok(view_read(&t.view, buf, 7000, 0, &e), &e);
	for (size_t i = 0; i < COUNT(x); i++) {
		fill_pattern(one, sizeof one, i);
		ck_assert_mem_eq(buf + 1000 * i, one, 1000);
		ck_assert_ok(view_read(&t.view, &again, 1, 1000 * i + 500, &e), &e);
		ck_assert_uint_eq(again, one[500]);
	}
	ck_assert_uint_eq(t.fills, 7);
	cache_free(cache);
}
END_TEST

/* A host file with holes; one flag per page. */

struct holey {
	struct io io;
	bool data[16];
};

static ssize_t holey_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	(void)io;
	(void)pos;
	memset(buf, 1, len);
	return len;
}

static int64_t holey_seek(struct io *io, uint64_t pos, int whence)
{
	const struct holey *h = (const struct holey *)io;

	for (size_t i = pos / 4096; i < COUNT(h->data); i++)
		if (h->data[i] == (whence == SEEK_DATA))
			return MAX(pos, i * 4096);
	return whence == SEEK_DATA ? -ENXIO : (int64_t)io->size;
}

static const struct io_ops holey_ops = {.read = holey_read, .seek = holey_seek};

START_TEST(holes_of_the_host_file)
{
	static const struct extent x[] = {
		{.kind = EXTENT_FILE, .len = 5 * 4096, .pos = 4096},     /* pages 1 to 5 */
		{.kind = EXTENT_FILE, .len = 4096, .pos = 4096 + 2048},  /* half of pages 1 and 2 */
		{.kind = EXTENT_FILE, .len = 2 * 4096, .pos = 8 * 4096}, /* pages 8 and 9, a hole */
		{.kind = EXTENT_FILE, .len = 4096, .pos = 15 * 4096},    /* the last page */
	};
	struct holey h = {
		.io = {.ops = &holey_ops, .size = 16 * 4096, .sparse = true, .fd = -1},
		.data = {[0] = true, [1] = true, [3] = true, [4] = true, [15] = true},
	};
	struct table t = table_of(x, COUNT(x), &h.io, NULL);
	static const uint64_t ends[] = {
		0, 4096, 8192, 4 * 4096, 5 * 4096, 5 * 4096 + 2048, 8 * 4096, 9 * 4096};
	uint64_t found, stored = 0;

	/* ends: positions at which data and holes begin, alternately. */
	for (size_t i = 0; i + 1 < COUNT(ends); i++) {
		ck_assert_int_eq(
			view_seek(&t.view, ends[i], i % 2 ? SEEK_DATA : SEEK_HOLE, &found), 0);
		ck_assert_uint_eq(found, ends[i + 1]);
		stored += i % 2 ? 0 : ends[i + 1] - ends[i];
	}
	ck_assert_uint_eq(view_stored(&t.view), stored);
}
END_TEST

static const struct {
	uint64_t start, skip, len, unit;
	int r;
	enum extent_kind kind;
	uint64_t pos, expected_len;
} in_file[] = {
	{0, 0, 100, 0, 0, EXTENT_FILE, 0, 100},
	{0, 0, 20000, 0, 0, EXTENT_FILE, 0, 10000},
	{0, 9999, 100, 0, 0, EXTENT_FILE, 9999, 1},
	{0, 10000, 100, 0, 0, EXTENT_ZERO, 0, 100},
	{0, UINT64_MAX, 1, 0, 0, EXTENT_ZERO, 0, 1},
	{9999, 0, 100, 0, 0, EXTENT_FILE, 9999, 1},
	{10000, 0, 100, 0, -EIO, 0, 0, 100},
	{UINT64_MAX, 0, 100, 0, -EIO, 0, 0, 100},
	{UINT64_MAX, 100, 100, 512, -EIO, 0, 0, 100},
	{9999, UINT64_MAX, 100, 0, -EIO, 0, 0, 100},
	{8000, 0, 5000, 1000, 0, EXTENT_FILE, 8000, 2000},
	{8000, 500, 300, 1000, 0, EXTENT_FILE, 8500, 300},
	{8000, 1999, 5000, 1000, 0, EXTENT_FILE, 9999, 1},
	{8000, 2000, 5000, 1000, -EIO, 0, 0, 5000},
	{9500, 0, 3000, 1000, 0, EXTENT_FILE, 9500, 500},
	{9500, 500, 3000, 1000, 0, EXTENT_ZERO, 0, 500},
	{9500, 999, 3000, 1000, 0, EXTENT_ZERO, 0, 1},
	{9500, 1000, 3000, 1000, -EIO, 0, 0, 3000},
	{9999, 0, 3000, 1000, 0, EXTENT_FILE, 9999, 1},
	{9999, 1, 3000, 1000, 0, EXTENT_ZERO, 0, 999},
	{1, 9998, UINT64_MAX, UINT64_MAX, 0, EXTENT_FILE, 9999, 1},
	{1, 9999, 1000, UINT64_MAX, 0, EXTENT_ZERO, 0, 1000},
	{1, UINT64_MAX - 1, 1000, UINT64_MAX, 0, EXTENT_ZERO, 0, 1},
	{1, UINT64_MAX, 1000, UINT64_MAX, -EIO, 0, 0, 1000},
};

START_TEST(extents_in_a_file)
{
	static unsigned char data[10000];
	struct io *io = pattern_io(data, sizeof data);
	struct err e = ERR_INIT;
	struct extent x = {.kind = EXTENT_BELOW};
	int r = extent_in_file(
		&x, io, in_file[_i].start, in_file[_i].skip, in_file[_i].len, in_file[_i].unit, &e);

	ck_assert_int_eq(r, in_file[_i].r);
	ck_assert_uint_eq(x.len, in_file[_i].expected_len);
	if (r < 0) {
		ck_assert_fails(r, EIO, &e, "past the end of the file, 10000");
	} else {
		ck_assert_int_eq(x.kind, in_file[_i].kind);
		if (x.kind == EXTENT_FILE)
			ck_assert_uint_eq(x.pos, in_file[_i].pos);
	}
	io_unref(io);
}
END_TEST

START_TEST(extents_in_the_largest_file)
{
	static unsigned char data[1];
	struct io *io = pattern_io(data, sizeof data);
	struct err e = ERR_INIT;
	struct extent x;

	io->size = INT64_MAX;
	ck_assert_ok(extent_in_file(&x, io, 1, 1, UINT64_MAX, 1ull << 62, &e), &e);
	ck_assert_int_eq(x.kind, EXTENT_FILE);
	ck_assert_uint_eq(x.len, INT64_MAX - 2);
	ck_assert_ok(extent_in_file(&x, io, INT64_MAX - 1, 1, 1000, 1u << 31, &e), &e);
	ck_assert_int_eq(x.kind, EXTENT_ZERO);
	io_unref(io);
}
END_TEST

Suite *view_suite(void)
{
	TCase *tc = tcase_create("view");

	tcase_add_test(tc, parents_of_different_size);
	tcase_add_test(tc, zeroes_hide_the_view_below);
	tcase_add_test(tc, slices);
	tcase_add_test(tc, reads_beyond_the_end);
	tcase_add_test(tc, ranges_beyond_a_shrunk_disk);
	tcase_add_test(tc, extents_outside_their_unit);
	tcase_add_test(tc, broken_views);
	tcase_add_test(tc, seek_reports_damage_as_data);
	tcase_add_test(tc, long_seeks_end_and_report_data);
	tcase_add_test(tc, generated_units_are_cached);
	tcase_add_test(tc, holes_of_the_host_file);
	tcase_add_loop_test(tc, extents_in_a_file, 0, COUNT(in_file));
	tcase_add_test(tc, extents_in_the_largest_file);
	return suite_of("view", tc);
}
