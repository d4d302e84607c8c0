/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "io/cache.h"
#include "io/crypt.h"
#include "util/err.h"
#include "io/io.h"
#include "common/unit.h"
#include "view/view.h"

#define FILE_LEN 65536

/* A view with a table of consecutive extents.  Reading an extent of the additional kind DAMAGED
 * fails; its pos is the length of the damage that the map reports. */
#define DAMAGED ((enum extent_kind)99)

struct table {
	struct view view;
	struct io *io;
	const struct extent *x;
	size_t n;
	atomic_uint fills; /* number of units that were decoded */
	unsigned fail_fill;
};

static int table_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct table *t = (const struct table *)v;
	const struct extent *at = t->x;
	uint64_t skip = off;

	assert(len > 0 && range_fits(off, len, v->size)); /* precondition of every map */
	for (; skip >= at->len; at++)
		skip -= at->len;
	x->kind = at->kind;
	if (at->kind == DAMAGED) {
		x->len = at->pos;
		return err_set(e, EUCLEAN, "damaged at %d", (int)off);
	}
	x->len = at->len - skip;
	x->pos = at->pos + skip;
	x->io = t->io;
	x->unit_id = at->unit_id;
	x->unit_len = at->unit_len;
	x->crypt = at->crypt;
	x->sector = x->pos / CRYPT_SECTOR; /* number of the sector in the file, as in qcow2 */
	return 0;
}

static int table_fill(const struct view *v, const struct extent *x, void *buf, struct err *e)
{
	struct table *t = (struct table *)v;

	if (t->fail_fill)
		return err_set(e, EUCLEAN, "unit %d is damaged", (int)x->unit_id);
	atomic_fetch_add(&t->fills, 1);
	fill_pattern(buf, x->unit_len, x->unit_id);
	return 0;
}

static const struct view_ops table_ops = {.map = table_map, .fill = table_fill};

static struct table table_of(const struct extent *x, size_t n, struct io *io, struct cache *cache)
{
	struct table t = {.view = {.ops = &table_ops, .cache = cache}, .io = io, .x = x, .n = n};

	for (size_t i = 0; i < n; i++)
		t.view.size += x[i].len;
	return t;
}

static struct io *pattern_io(unsigned char *data, size_t len)
{
	struct err e = ERR_INIT;
	struct io *io;

	fill_pattern(data, len, 1);
	io = io_from_memory(data, len, "data", &e);
	ck_assert_ptr_nonnull(io);
	return io;
}

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

/* Random stacks of views, compared with arrays. */

#define LAYERS     4
#define LAYER_MAX  20000
#define EXTENT_MAX 900
#define UNIT_LEN   2000

struct layer {
	struct table table;
	struct extent x[LAYER_MAX];
	unsigned char bytes[LAYER_MAX];
	bool is_data[LAYER_MAX];
};

struct stack {
	unsigned char file[FILE_LEN], decrypted[FILE_LEN];
	struct io *io;
	struct cache *cache;
	struct crypt *crypt;
	struct layer layers[LAYERS]; /* [0] is the lowest */
	struct view *top;
	uint64_t seed;
	atomic_uint wrong;
};

static struct extent random_extent(struct stack *s, uint64_t off, uint64_t room)
{
	uint64_t *random = &s->seed;
	struct extent x = {.kind = next_random(random) % 5,
		.len = MIN(room, 1 + next_random(random) % EXTENT_MAX),
		.crypt = s->crypt};

	switch (x.kind) {
	case EXTENT_FILE:
	case EXTENT_CRYPT:
		x.pos = next_random(random) % (FILE_LEN - x.len);
		break;
	case EXTENT_BELOW: /* mostly the same offset */
		x.pos = next_random(random) % 3 ? off : next_random(random) % LAYER_MAX;
		break;
	case EXTENT_GENERATED:
		x.unit_id = next_random(random) % 20;
		x.unit_len = UNIT_LEN;
		x.pos = next_random(random) % (UNIT_LEN - x.len);
		break;
	case EXTENT_ZERO:
		break;
	}
	return x;
}

/* Copies the expected bytes of one extent to the model. */
static void model_extent(struct stack *s, struct layer *l, const struct layer *below,
	const struct extent *x, uint64_t off)
{
	unsigned char unit[UNIT_LEN];
	uint64_t size = below ? below->table.view.size : 0;

	memset(l->bytes + off, 0, x->len);
	memset(l->is_data + off, x->kind != EXTENT_ZERO && x->kind != EXTENT_BELOW, x->len);
	switch (x->kind) {
	case EXTENT_FILE:
		memcpy(l->bytes + off, s->file + x->pos, x->len);
		break;
	case EXTENT_CRYPT:
		memcpy(l->bytes + off, s->decrypted + x->pos, x->len);
		break;
	case EXTENT_GENERATED:
		fill_pattern(unit, sizeof unit, x->unit_id);
		memcpy(l->bytes + off, unit + x->pos, x->len);
		break;
	case EXTENT_BELOW:
		for (uint64_t i = 0; i < x->len && x->pos + i < size; i++) {
			l->bytes[off + i] = below->bytes[x->pos + i];
			l->is_data[off + i] = below->is_data[x->pos + i];
		}
		break;
	case EXTENT_ZERO:
		break;
	}
}

static void build_layer(struct stack *s, struct layer *l, struct layer *below)
{
	uint64_t size = 1 + next_random(&s->seed) % LAYER_MAX;
	size_t n = 0;

	for (uint64_t off = 0; off < size; off += l->x[n++].len) {
		l->x[n] = random_extent(s, off, size - off);
		model_extent(s, l, below, &l->x[n], off);
	}
	l->table = table_of(l->x, n, s->io, s->cache);
	l->table.view.below = below ? &below->table.view : NULL;
}

static struct stack *stack_new(uint64_t seed)
{
	struct stack *s = calloc(1, sizeof *s);
	struct err e = ERR_INIT;

	s->seed = seed;
	s->io = pattern_io(s->file, sizeof s->file);
	s->cache = cache_new(8 << 10, &e);
	memcpy(s->decrypted, s->file, FILE_LEN);
	ck_assert_ok(crypt_new("aes", "cbc-plain64", s->file, 16, &s->crypt, &e), &e);
	ck_assert_ok(crypt_decrypt(s->crypt, s->decrypted, FILE_LEN, 0, &e), &e);
	for (int i = 0; i < LAYERS; i++)
		build_layer(s, &s->layers[i], i > 0 ? &s->layers[i - 1] : NULL);
	s->top = &s->layers[LAYERS - 1].table.view;
	return s;
}

static void stack_free(struct stack *s)
{
	cache_free(s->cache);
	crypt_free(s->crypt);
	io_unref(s->io);
	free(s);
}

static const struct layer *top_of(const struct stack *s)
{
	return &s->layers[LAYERS - 1];
}

static bool range_matches(const struct stack *s, uint64_t off, uint64_t len)
{
	unsigned char buf[LAYER_MAX];
	struct err e = ERR_INIT;

	return view_read(s->top, buf, len, off, &e) == 0 &&
	       memcmp(buf, top_of(s)->bytes + off, len) == 0;
}

static bool seek_matches(const struct stack *s, uint64_t off, int whence)
{
	const bool *is_data = top_of(s)->is_data;
	uint64_t found = 0, expected = off;
	int r = view_seek(s->top, off, whence, &found);

	while (expected < s->top->size && is_data[expected] != (whence == SEEK_DATA))
		expected++;
	if (whence == SEEK_DATA && expected == s->top->size)
		return r == -ENXIO;
	return r == 0 && found == expected;
}

static void *read_at_random(void *arg)
{
	struct stack *s = arg;
	uint64_t random = (uintptr_t)&random; /* differs from thread to thread */

	for (int i = 0; i < 300; i++) {
		uint64_t off = next_random(&random) % s->top->size;
		uint64_t len = next_random(&random) % (s->top->size - off) + 1;

		if (!range_matches(s, off, len) || !seek_matches(s, off, SEEK_DATA) ||
			!seek_matches(s, off, SEEK_HOLE))
			atomic_fetch_add(&s->wrong, 1);
	}
	return NULL;
}

START_TEST(random_stacks_match_models)
{
	struct stack *s = stack_new(_i);
	uint64_t stored = 0;

	ck_assert(range_matches(s, 0, s->top->size));
	for (uint64_t off = 0; off < s->top->size; off++)
		stored += top_of(s)->is_data[off];
	ck_assert_uint_eq(view_stored(s->top), stored);
	read_at_random(s);
	ck_assert_uint_eq(s->wrong, 0);
	stack_free(s);
}
END_TEST

START_TEST(random_stacks_under_threads)
{
	struct stack *s = stack_new(1000 + _i);
	pthread_t threads[4];

	for (size_t i = 0; i < COUNT(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, read_at_random, s), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(s->wrong, 0);
	stack_free(s);
}
END_TEST

/* extent_in_file with positions around the end of a file of 10000 bytes. */
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
	tcase_add_loop_test(tc, random_stacks_match_models, 0, 10);
	tcase_add_loop_test(tc, random_stacks_under_threads, 0, 3);
	tcase_add_loop_test(tc, extents_in_a_file, 0, COUNT(in_file));
	tcase_add_test(tc, extents_in_the_largest_file);
	return suite_of("view", tc);
}
