/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_snapshot.c - old-style snapshots of LVM: the exception store, valid and hostile. */
#include <errno.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "common/flat_view.h"
#include "common/unit.h"
#include "view/view.h"
#include "volume/lvm/snapshot.h"

#define SECTOR 512u
#define STORE  (1u << 20)
#define ORIGIN 300000u
#define CHUNK  4096u

/* The origin, a store, and the bytes that the snapshot must have. */
static struct fixture {
	unsigned char origin[ORIGIN], store[STORE], expected[ORIGIN];
	uint64_t chunk;
	uint64_t n, next; /* exceptions, and the first free chunk */
	struct view *view;
	struct err e;
} f;

static void put_header(unsigned char *p, uint64_t chunk)
{
	memcpy(p, "SnAp", 4);
	put_le(p + 4, 4, 1);
	put_le(p + 8, 4, 1);
	put_le(p + 12, 4, chunk / SECTOR);
}

static void setup_with(uint64_t chunk)
{
	f = (struct fixture){.chunk = chunk, .next = 2};
	fill_pattern(f.origin, ORIGIN, 1);
	memcpy(f.expected, f.origin, ORIGIN);
	put_header(f.store, chunk);
}

static void setup(void)
{
	setup_with(CHUNK);
}

static void teardown(void)
{
	view_free(f.view);
}

static void put_exception(uint64_t i, uint64_t old, uint64_t new)
{
	uint64_t area_len = f.chunk / 16;
	unsigned char *p =
		f.store + (1 + i / area_len * (area_len + 1)) * f.chunk + i % area_len * 16;

	put_le(p, 8, old);
	put_le(p + 8, 8, new);
}

/* Changes a chunk of the origin, as the kernel does: copies its bytes to the store before. */
static void change(uint64_t old)
{
	uint64_t off = old * f.chunk, len = MIN(f.chunk, ORIGIN - off);

	if (f.next % (f.chunk / 16 + 1) == 1) /* the next area */
		f.next++;
	ck_assert_uint_le((f.next + 1) * f.chunk, STORE);
	memcpy(f.store + f.next * f.chunk, f.origin + off, len);
	put_exception(f.n++, old, f.next++);
	fill_pattern(f.origin + off, len, 2 + f.n);
}

static struct view *open_view(void)
{
	struct view *origin = flat_view_new(f.origin, ORIGIN);
	struct view *store = flat_view_new(f.store, STORE);

	f.view = snapshot_view(ORIGIN, origin, store, &f.e);
	if (!f.view) {
		view_free(origin);
		view_free(store);
	}
	return f.view;
}

static void must_open(void)
{
	ck_assert_msg(open_view() != NULL, "%s", f.e.text);
}

START_TEST(reads_old_bytes)
{
	struct extent x;

	change(3);
	change(4);
	change(0);
	change(ORIGIN / CHUNK); /* the end of the origin cuts it */
	must_open();
	flat_view_compare(f.view, f.expected, ORIGIN);
	ck_assert_int_ne(memcmp(f.expected, f.origin, ORIGIN), 0);

	/* Extents are as long as their bytes lie together. */
	ck_assert_ok(view_map(f.view, 3 * CHUNK + 5, ORIGIN - 3 * CHUNK - 5, &x, &f.e), &f.e);
	ck_assert_uint_eq(x.len, 2 * CHUNK - 5);
	ck_assert_uint_eq(x.pos, 2 * CHUNK + 5);
	ck_assert_ok(view_map(f.view, 5 * CHUNK, ORIGIN - 5 * CHUNK, &x, &f.e), &f.e);
	ck_assert_uint_eq(x.len, ORIGIN / CHUNK * CHUNK - 5 * CHUNK);
	ck_assert_uint_eq(x.pos, 5 * CHUNK);
	ck_assert_ok(view_map(f.view, CHUNK, CHUNK, &x, &f.e), &f.e);
	ck_assert_uint_eq(x.len, CHUNK);
}
END_TEST

/* Fisher and Yates. */
static void shuffle(uint64_t *order, size_t n)
{
	uint64_t seed = n;

	for (size_t i = 0; i < n; i++)
		order[i] = i;
	for (size_t i = n; i > 1; i--) {
		size_t k = next_random(&seed) % i;
		uint64_t swapped = order[i - 1];

		order[i - 1] = order[k];
		order[k] = swapped;
	}
}

/* Chunks of 512 bytes have areas of 32 exceptions. */
START_TEST(reads_many_areas)
{
	uint64_t order[ORIGIN / SECTOR];

	setup_with(SECTOR);
	shuffle(order, COUNT(order));
	for (size_t i = 0; i < 400; i++)
		change(order[i]);
	must_open();
	flat_view_compare(f.view, f.expected, ORIGIN);
}
END_TEST

START_TEST(reads_full_areas)
{
	setup_with(SECTOR);
	for (size_t i = 0; i < 64; i++)
		change(i);
	must_open();
	flat_view_compare(f.view, f.expected, ORIGIN);
}
END_TEST

START_TEST(unused_store)
{
	memset(f.store, 0, CHUNK);
	must_open();
	flat_view_compare(f.view, f.expected, ORIGIN);
}
END_TEST

/* A guest that runs on the image changes the origin, and the snapshot stays as it is. */
START_TEST(origin_changes_below)
{
	setup_with(SECTOR);
	must_open();
	for (size_t i = 0; i < 100; i++) {
		change(99 - i);
		if (i % 9 == 0)
			flat_view_compare(f.view, f.expected, ORIGIN);
	}
	flat_view_compare(f.view, f.expected, ORIGIN);
}
END_TEST

START_TEST(store_is_used_below)
{
	memset(f.store, 0, CHUNK);
	must_open();
	put_header(f.store, CHUNK);
	change(7);
	flat_view_compare(f.view, f.expected, ORIGIN);
}
END_TEST

static void must_fail_to_read(int code, const char *text)
{
	unsigned char byte;

	ck_assert_fails(view_read(f.view, &byte, 1, 0, &f.e), code, &f.e, text);
}

START_TEST(becomes_invalid_below)
{
	must_open();
	put_le(f.store + 4, 4, 0);
	must_fail_to_read(ENOTSUP, "marked as invalid");
	must_fail_to_read(ENOTSUP, "marked as invalid");
	put_le(f.store + 4, 4, 1);
	flat_view_compare(f.view, f.expected, ORIGIN);
	change(5);
	put_exception(1, 5, 3);
	must_fail_to_read(EUCLEAN, "two exceptions of chunk 5");
	must_fail_to_read(EUCLEAN, "two exceptions of chunk 5");
}
END_TEST

static const struct field_case headers[] = {
	{0, 4, 0x70416e54, EUCLEAN, "exception store: no header"},
	{0, 4, 0, EUCLEAN, "no header"},
	{4, 4, 0, ENOTSUP, "exception store: it is marked as invalid"},
	{8, 4, 0, ENOTSUP, "version 0"},
	{8, 4, 2, ENOTSUP, "version 2"},
	{12, 4, 0, EUCLEAN, "chunks of 0 sectors"},
	{12, 4, 7, EUCLEAN, "chunks of 7 sectors"},
	{12, 4, 1u << 22, EUCLEAN, "chunks of 4194304 sectors"},
	{12, 4, 0x80000000, EUCLEAN, "chunks of 2147483648 sectors"},
	{12, 4, 0xffffffff, EUCLEAN, "chunks of 4294967295 sectors"},
	{12, 4, 1u << 21, EUCLEAN, "the exceptions go on after its end"},
	{12, 4, 2048, EUCLEAN, "the exceptions go on after its end"},
};

START_TEST(hostile_header)
{
	const struct field_case *c = &headers[_i];

	change(3);
	put_le(f.store + c->pos, c->width, c->value);
	ck_assert_null_fails(open_view(), c->code, &f.e, c->text);
}
END_TEST

static const struct exception_case {
	uint64_t old, new;
	const char *text; /* NULL: it is valid, and of no byte */
} exceptions[] = {
	{5, 1, "exception 1 is in chunk 1 of 256"},
	{5, 256, "exception 1 is in chunk 256 of 256"},
	{5, UINT64_MAX, "is in chunk 18446744073709551615 of 256"},
	{5, UINT64_C(1) << 44, "is in chunk 17592186044416 of 256"},
	{UINT64_MAX, 3, "exception 1 is of chunk 18446744073709551615"},
	{UINT64_C(1) << 52, 3, "exception 1 is of chunk 4503599627370496"},
	{3, 3, "two exceptions of chunk 3"},
	{ORIGIN, 3, NULL},
};

START_TEST(hostile_exception)
{
	const struct exception_case *c = &exceptions[_i];

	change(3);
	put_exception(1, c->old, c->new);
	if (c->text) {
		ck_assert_null_fails(open_view(), EUCLEAN, &f.e, c->text);
		return;
	}
	must_open();
	flat_view_compare(f.view, f.expected, ORIGIN);
}
END_TEST

/* The chunk of the next area is none of data, also after the first area. */
START_TEST(exception_in_an_area)
{
	setup_with(SECTOR);
	for (size_t i = 0; i < 40; i++)
		change(i);
	put_exception(40, 100, 1 + 33 * 2);
	ck_assert_null_fails(open_view(), EUCLEAN, &f.e, "exception 40 is in chunk 67");
}
END_TEST

START_TEST(area_after_the_end)
{
	struct view *origin = flat_view_new(f.origin, ORIGIN), *store;

	setup_with(SECTOR);
	for (size_t i = 0; i < 32; i++)
		change(i);
	store = flat_view_new(f.store, 34 * SECTOR);
	ck_assert_null_fails(snapshot_view(ORIGIN, origin, store, &f.e), EUCLEAN, &f.e,
		"the exceptions go on after its end");
	view_free(store);
	store = flat_view_new(f.store, 35 * SECTOR);
	f.view = snapshot_view(ORIGIN, origin, store, &f.e);
	ck_assert_msg(f.view != NULL, "%s", f.e.text);
	flat_view_compare(f.view, f.expected, ORIGIN);
}
END_TEST

START_TEST(store_too_short)
{
	static const size_t lengths[] = {0, 1, 15, CHUNK, 2 * CHUNK - 1};
	struct view *origin = flat_view_new(f.origin, ORIGIN);
	struct view *store = flat_view_new(f.store, lengths[_i]);

	ck_assert_ptr_null(snapshot_view(ORIGIN, origin, store, &f.e));
	ck_assert_int_ne(f.e.code, 0);
	ck_assert_ptr_nonnull(strstr(f.e.text, "exception store: "));
	view_free(origin);
	view_free(store);
}
END_TEST

START_TEST(broken_store)
{
	struct view *origin = flat_view_new(f.origin, ORIGIN);
	struct view *store = flat_view_new(f.store, STORE);
	unsigned char byte;

	change(3);
	flat_view_break(store, CHUNK, 16);
	ck_assert_null_fails(snapshot_view(ORIGIN, origin, store, &f.e), EIO, &f.e,
		"exception store: a broken byte");
	flat_view_break(store, 0, 1);
	ck_assert_null_fails(snapshot_view(ORIGIN, origin, store, &f.e), EIO, &f.e,
		"exception store: a broken byte");
	flat_view_break(store, 2 * CHUNK, CHUNK);
	f.view = snapshot_view(ORIGIN, origin, store, &f.e);
	ck_assert_msg(f.view != NULL, "%s", f.e.text);
	ck_assert_fails(view_read(f.view, &byte, 1, 3 * CHUNK, &f.e), EIO, &f.e, "a broken byte");
	ck_assert_ok(view_read(f.view, &byte, 1, 3 * CHUNK - 1, &f.e), &f.e);
}
END_TEST

/* A large store, all areas of which are the same bytes, as a hostile image can have it. */

static int endless_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	(void)len, (void)e;
	x->kind = EXTENT_BELOW;
	x->below = v->below;
	x->pos = off < f.chunk ? off : f.chunk + off % f.chunk;
	x->len = f.chunk - off % f.chunk;
	return 0;
}

static void refuse_endless(const char *text)
{
	static const struct view_ops ops = {.map = endless_map};
	struct view *store = flat_view_new(f.store, STORE);
	struct view *origin = flat_view_new(f.origin, ORIGIN);
	struct view endless = {.ops = &ops, .size = UINT64_C(1) << 60, .below = store};

	ck_assert_null_fails(snapshot_view(ORIGIN, origin, &endless, &f.e), E2BIG, &f.e, text);
	view_free(store);
	view_free(origin);
}

START_TEST(endless_exceptions)
{
	for (size_t i = 0; i < CHUNK / 16; i++)
		put_exception(i, 2 * i, 2 + i);
	refuse_endless("more than 4194304 exceptions that do not follow");
}
END_TEST

/* They follow each other in each area, so that they need little memory. */
START_TEST(endless_runs)
{
	setup_with(64 << 10);
	for (size_t i = 0; i < f.chunk / 16; i++)
		put_exception(i, i, 2 + i);
	refuse_endless("more than 134217728 exceptions");
}
END_TEST

/* Three snapshots with nearly as many runs as one may have. */
START_TEST(many_snapshots)
{
	const size_t chunk = (size_t)SNAPSHOT_MAX_RUNS * 16;
	unsigned char *store = calloc(2, chunk);
	struct view *views[2];

	ck_assert_ptr_nonnull(store);
	put_header(store, chunk);
	for (size_t i = 0; i + 1 < SNAPSHOT_MAX_RUNS; i++) {
		put_le(store + chunk + i * 16, 8, 2 * i);
		put_le(store + chunk + i * 16 + 8, 8, 2);
	}
	for (size_t i = 0; i < 3; i++) {
		struct view *origin = flat_view_new(f.origin, ORIGIN);
		struct view *cow = flat_view_new(store, 2 * chunk);
		struct view *v;

		cow->size = 3 * chunk; /* the chunk that all exceptions are in */
		v = snapshot_view(ORIGIN, origin, cow, &f.e);
		if (i < 2) {
			ck_assert_msg(v, "%s", f.e.text);
			views[i] = v;
			continue;
		}
		ck_assert_null_fails(v, E2BIG, &f.e, "all snapshots in use have more than 8388608");
		view_free(views[0]);
		v = snapshot_view(ORIGIN, origin, cow, &f.e);
		ck_assert_msg(v, "%s", f.e.text);
		view_free(v);
		view_free(views[1]);
	}
	free(store);
}
END_TEST

Suite *snapshot_suite(void)
{
	TCase *tc = tcase_create("snapshot");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, reads_old_bytes);
	tcase_add_test(tc, reads_many_areas);
	tcase_add_test(tc, reads_full_areas);
	tcase_add_test(tc, unused_store);
	tcase_add_test(tc, origin_changes_below);
	tcase_add_test(tc, store_is_used_below);
	tcase_add_test(tc, becomes_invalid_below);
	tcase_add_loop_test(tc, hostile_header, 0, COUNT(headers));
	tcase_add_loop_test(tc, hostile_exception, 0, COUNT(exceptions));
	tcase_add_test(tc, exception_in_an_area);
	tcase_add_test(tc, area_after_the_end);
	tcase_add_loop_test(tc, store_too_short, 0, 5);
	tcase_add_test(tc, broken_store);
	tcase_add_test(tc, endless_exceptions);
	tcase_add_test(tc, endless_runs);
	tcase_add_test(tc, many_snapshots);
	return suite_of("snapshot", tc);
}
