/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "io/crypt.h"
#include "util/err.h"
#include "io/io.h"
#include "common/unit.h"
#include "table_view.h"

#define FILE_LEN 65536

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
	_Atomic uint64_t readers;
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
	ck_assert_ok(crypt_convert(s->crypt, CRYPT_DECRYPT, s->decrypted, FILE_LEN, 0, &e), &e);
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
	uint64_t random = s->seed + (atomic_fetch_add(&s->readers, 1) << 32); /* one for each */

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

Suite *view_random_suite(void)
{
	TCase *tc = tcase_create("view_random");

	tcase_add_loop_test(tc, random_stacks_match_models, 0, 10);
	tcase_add_loop_test(tc, random_stacks_under_threads, 0, 3);
	return suite_of("view_random", tc);
}
