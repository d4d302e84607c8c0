/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "io/cache.h"
#include "io/meta.h"
#include "util/err.h"
#include "common/fault_io.h"
#include "io/io.h"
#include "common/unit.h"

#define SOURCE ((const void *)0x1000)

/* The contents of a block: one byte, which depends on its id. */
static unsigned char byte_of(uint64_t id)
{
	return 1 + id % 255;
}

struct source {
	uint64_t id;
	atomic_uint *loads;
	bool fails;
};

static int load(void *arg, void *buf, size_t len, struct err *e)
{
	const struct source *s = arg;

	atomic_fetch_add(s->loads, 1);
	if (s->fails)
		return err_set(e, EIO, "block %d", (int)s->id);
	memset(buf, byte_of(s->id), len);
	return 0;
}

static int pin_block(struct cache *c, const void *source, uint64_t id, size_t len,
	cache_load *loader, void *arg, const struct block **block, struct err *e)
{
	struct cache_request request = {
		.key = {.source = source, .id = id}, .len = len, .load = loader, .arg = arg};

	return cache_pin(c, &request, block, e);
}

static const struct block *pin(struct cache *c, uint64_t id, size_t len, atomic_uint *loads)
{
	struct source s = {.id = id, .loads = loads};
	const struct block *b = NULL;
	struct err e = ERR_INIT;

	ck_assert_ok(pin_block(c, SOURCE, id, len, load, &s, &b, &e), &e);
	ck_assert_uint_eq(b->len, len);
	ck_assert_uint_eq(b->data[0], byte_of(id));
	ck_assert_uint_eq(b->data[len - 1], byte_of(id));
	return b;
}

static void touch(struct cache *c, uint64_t id, size_t len, atomic_uint *loads)
{
	cache_unpin(c, pin(c, id, len, loads));
}

static struct cache *new_cache(size_t budget)
{
	struct err e = ERR_INIT;
	struct cache *c = cache_new(budget, &e);

	ck_assert_ptr_nonnull(c);
	return c;
}

START_TEST(loaded_once)
{
	struct cache *c = new_cache(1 << 20);
	atomic_uint loads = 0;
	const struct block *a = pin(c, 1, 4096, &loads);

	ck_assert_ptr_eq(pin(c, 1, 4096, &loads), a);
	cache_unpin(c, a);
	cache_unpin(c, a);
	ck_assert_ptr_eq(pin(c, 1, 4096, &loads), a);
	cache_unpin(c, a);
	ck_assert_uint_eq(loads, 1);
	ck_assert_uint_ge(cache_used(c), 4096);
	cache_free(c);
	cache_free(NULL);
}
END_TEST

START_TEST(same_id_in_two_sources)
{
	struct cache *c = new_cache(1 << 20);
	atomic_uint loads = 0;
	struct source s = {.id = 7, .loads = &loads};
	const struct block *a, *b;
	struct err e = ERR_INIT;

	ck_assert_ok(pin_block(c, (void *)1, 7, 512, load, &s, &a, &e), &e);
	ck_assert_ok(pin_block(c, (void *)2, 7, 512, load, &s, &b, &e), &e);
	ck_assert_ptr_ne(a, b);
	ck_assert_uint_eq(loads, 2);
	cache_unpin(c, a);
	cache_unpin(c, b);
	cache_free(c);
}
END_TEST

START_TEST(budget_is_kept_without_pins)
{
	static const size_t sizes[] = {512, 4096, 65536, 100000};
	struct cache *c = new_cache(1 << 20);
	atomic_uint loads = 0;
	uint64_t seed = 1;

	for (int i = 0; i < 5000; i++) {
		uint64_t id = next_random(&seed) % 400;

		touch(c, id, sizes[id % COUNT(sizes)], &loads);
		ck_assert_uint_le(cache_used(c), 1 << 20);
	}
	/* The budget is used, too. */
	ck_assert_uint_ge(cache_used(c), (1 << 20) - 200000);
	ck_assert_uint_lt(loads, 5000);
	cache_free(c);
}
END_TEST

/* Evicted blocks are loaded again; the cache reuses their memory. */
START_TEST(evicted_blocks_are_reloaded)
{
	struct cache *c = new_cache(64 << 10);
	atomic_uint loads = 0;

	for (int round = 0; round < 3; round++)
		for (uint64_t id = 0; id < 200; id++)
			touch(c, id, 4096, &loads);
	ck_assert_uint_gt(loads, 400);
	ck_assert_uint_le(cache_used(c), 64 << 10);
	cache_free(c);
}
END_TEST

START_TEST(recently_used_blocks_are_kept)
{
	struct cache *c = new_cache(1 << 20);
	atomic_uint hot = 0, cold = 0;

	for (uint64_t id = 1; id < 2000; id++) {
		touch(c, 0, 4096, &hot);
		touch(c, id, 4096, &cold);
	}
	ck_assert_uint_eq(hot, 1);
	ck_assert_uint_eq(cold, 1999);
	cache_free(c);
}
END_TEST

START_TEST(pinned_blocks_are_not_evicted)
{
	struct cache *c = new_cache(64 << 10);
	const struct block *held[64];
	atomic_uint loads = 0;

	for (uint64_t id = 0; id < COUNT(held); id++)
		held[id] = pin(c, id, 4096, &loads);
	ck_assert_uint_ge(cache_used(c), 64 * 4096);
	for (uint64_t id = 1000; id < 1200; id++)
		touch(c, id, 4096, &loads);
	loads = 0;
	for (uint64_t id = 0; id < COUNT(held); id++) {
		for (size_t i = 0; i < 4096; i++)
			if (held[id]->data[i] != byte_of(id))
				ck_abort_msg("byte %zu of %ju", i, (uintmax_t)id);
		ck_assert_ptr_eq(pin(c, id, 4096, &loads), held[id]);
		cache_unpin(c, held[id]);
	}
	ck_assert_uint_eq(loads, 0);
	for (size_t i = 0; i < COUNT(held); i++)
		cache_unpin(c, held[i]);
	ck_assert_uint_le(cache_used(c), 64 << 10);
	cache_free(c);
}
END_TEST

START_TEST(blocks_larger_than_the_budget)
{
	struct cache *c = new_cache(1 << 20);
	atomic_uint loads = 0;
	const struct block *a = pin(c, 1, 2 << 20, &loads), *b = pin(c, 2, 2 << 20, &loads);

	ck_assert_uint_eq(a->data[(2 << 20) - 1], byte_of(1));
	ck_assert_uint_ge(cache_used(c), 4 << 20);
	cache_unpin(c, a);
	cache_unpin(c, b);
	ck_assert_uint_le(cache_used(c), 1 << 20);
	touch(c, 1, 2 << 20, &loads);
	ck_assert_uint_eq(loads, 3);
	ck_assert_uint_le(cache_used(c), 1 << 20);
	cache_free(c);
}
END_TEST

START_TEST(failed_load_is_not_cached)
{
	struct cache *c = new_cache(1 << 20);
	atomic_uint loads = 0;
	struct source s = {.id = 5, .loads = &loads, .fails = true};
	const struct block *b;
	struct err e = ERR_INIT;
	size_t before;

	touch(c, 1, 4096, &loads);
	before = cache_used(c);
	ck_assert_fails(pin_block(c, SOURCE, 5, 4096, load, &s, &b, &e), EIO, &e, "block 5");
	ck_assert_fails(pin_block(c, SOURCE, 5, 4096, load, &s, &b, &e), EIO, &e, "block 5");
	ck_assert_uint_eq(loads, 3);
	ck_assert_uint_eq(cache_used(c), before);
	touch(c, 5, 4096, &loads);
	ck_assert_uint_eq(loads, 4);
	cache_free(c);
}
END_TEST

/* A load that reuses the memory of an evicted block can fail. */
START_TEST(failed_load_in_a_full_cache)
{
	struct cache *c = new_cache(64 << 10);
	atomic_uint loads = 0;
	const struct block *b;
	struct err e = ERR_INIT;

	for (uint64_t id = 0; id < 1000; id++) {
		struct source s = {.id = id, .loads = &loads, .fails = id % 3 == 0};
		int r = pin_block(c, SOURCE, id, 4096, load, &s, &b, &e);

		ck_assert_int_eq(r, s.fails ? -EIO : 0);
		if (r == 0)
			cache_unpin(c, b);
		ck_assert_uint_le(cache_used(c), 64 << 10);
	}
	cache_free(c);
}
END_TEST

/* Several threads pin the same block; its load does not end before all of them are about to pin
 * it. */

#define THREADS 8

struct concurrent_pins {
	struct cache *cache;
	pthread_barrier_t asked; /* all threads are about to pin */
	pthread_mutex_t lock;
	pthread_cond_t go;
	bool released, fails;
	atomic_uint loads, succeeded, failed;
};

static int held_load(void *arg, void *buf, size_t len, struct err *e)
{
	struct concurrent_pins *pins = arg;

	atomic_fetch_add(&pins->loads, 1);
	pthread_mutex_lock(&pins->lock);
	while (!pins->released)
		pthread_cond_wait(&pins->go, &pins->lock);
	pthread_mutex_unlock(&pins->lock);
	if (pins->fails)
		return err_set(e, EIO, "bad sector");
	memset(buf, 0x5a, len);
	return 0;
}

static void *pin_main(void *arg)
{
	struct concurrent_pins *pins = arg;
	const struct block *b;
	struct err e = ERR_INIT;

	pthread_barrier_wait(&pins->asked);
	if (pin_block(pins->cache, SOURCE, 1, 65536, held_load, pins, &b, &e) == 0) {
		if (b->data[0] == 0x5a && b->data[65535] == 0x5a)
			atomic_fetch_add(&pins->succeeded, 1);
		cache_unpin(pins->cache, b);
	} else if (e.code == EIO && strcmp(e.text, "bad sector") == 0) {
		atomic_fetch_add(&pins->failed, 1);
	}
	return NULL;
}

static void run_concurrent_pins(struct concurrent_pins *pins)
{
	pthread_t threads[THREADS];

	pins->cache = new_cache(1 << 20);
	pthread_barrier_init(&pins->asked, NULL, THREADS + 1);
	pthread_mutex_init(&pins->lock, NULL);
	pthread_cond_init(&pins->go, NULL);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, pin_main, pins), 0);
	pthread_barrier_wait(&pins->asked);
	/* A thread that pins after the load has ended finds the block in the cache. */
	pthread_mutex_lock(&pins->lock);
	pins->released = true;
	pthread_cond_broadcast(&pins->go);
	pthread_mutex_unlock(&pins->lock);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_cond_destroy(&pins->go);
	pthread_mutex_destroy(&pins->lock);
	pthread_barrier_destroy(&pins->asked);
}

START_TEST(concurrent_pins_load_once)
{
	struct concurrent_pins pins = {.fails = false};

	run_concurrent_pins(&pins);
	ck_assert_uint_eq(pins.succeeded, THREADS);
	ck_assert_uint_eq(pins.loads, 1);
	cache_free(pins.cache);
}
END_TEST

START_TEST(concurrent_pins_get_the_error)
{
	struct concurrent_pins pins = {.fails = true};

	run_concurrent_pins(&pins);
	ck_assert_uint_eq(pins.failed, THREADS);
	ck_assert_uint_eq(cache_used(pins.cache), 0);
	cache_free(pins.cache);
}
END_TEST

/* During the load of one block, other blocks can be loaded and evicted. */
START_TEST(slow_load_blocks_no_other_pin)
{
	struct concurrent_pins pins = {.fails = false};
	atomic_uint loads = 0;
	pthread_t thread;

	pins.cache = new_cache(64 << 10);
	pthread_barrier_init(&pins.asked, NULL, 1);
	pthread_mutex_init(&pins.lock, NULL);
	pthread_cond_init(&pins.go, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, pin_main, &pins), 0);
	for (uint64_t id = 100; id < 1100; id++)
		touch(pins.cache, id, 4096, &loads);
	ck_assert_uint_eq(loads, 1000);
	pthread_mutex_lock(&pins.lock);
	pins.released = true;
	pthread_cond_signal(&pins.go);
	pthread_mutex_unlock(&pins.lock);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(pins.succeeded, 1);
	cache_free(pins.cache);
}
END_TEST

/* Threads pin a few keys in a cache that is too small for them; some loads fail. */

struct hammer {
	struct cache *cache;
	atomic_uint loads, wrong, failed;
	_Atomic uint64_t started; /* threads */
};

static int hammer_load(void *arg, void *buf, size_t len, struct err *e)
{
	const struct source *s = arg;

	if (atomic_fetch_add(s->loads, 1) % 7 == 0)
		return err_set(e, EIO, "now and then");
	memset(buf, byte_of(s->id), len);
	return 0;
}

static bool full_of(const struct block *b, unsigned char c)
{
	for (size_t i = 0; i < b->len; i++)
		if (b->data[i] != c)
			return false;
	return true;
}

static void hammer_one(struct hammer *h, uint64_t id)
{
	struct source s = {.id = id, .loads = &h->loads};
	size_t len = 512 << id % 3;
	const struct block *b;
	struct err e = ERR_INIT;

	if (pin_block(h->cache, SOURCE, id, len, hammer_load, &s, &b, &e) < 0) {
		atomic_fetch_add(&h->failed, 1);
		return;
	}
	if (b->len != len || !full_of(b, byte_of(id)))
		atomic_fetch_add(&h->wrong, 1);
	cache_unpin(h->cache, b);
}

static void *hammer_main(void *arg)
{
	struct hammer *h = arg;
	uint64_t random = atomic_fetch_add(&h->started, 1) << 32; /* a sequence for each thread */

	for (int i = 0; i < 4000; i++)
		hammer_one(h, next_random(&random) % 40);
	return NULL;
}

START_TEST(concurrent_random_pins)
{
	struct hammer h = {.cache = new_cache(20 << 10)};
	pthread_t threads[6];

	for (size_t i = 0; i < COUNT(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer_main, &h), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(h.wrong, 0);
	ck_assert_uint_gt(h.failed, 0);
	ck_assert_uint_gt(h.loads, 40);
	ck_assert_uint_le(cache_used(h.cache), 20 << 10);
	cache_free(h.cache);
}
END_TEST

START_TEST(pages_of_metadata)
{
	unsigned char data[10000], buf[10000];
	struct cache *c = new_cache(1 << 20);
	struct err e = ERR_INIT;
	struct io *io = fault_io_new(data, sizeof data);
	struct meta m;

	fill_pattern(data, sizeof data, 1);
	ck_assert_ok(meta_pin(c, io, 4100, &m, &e), &e);
	ck_assert_uint_eq(m.n, META_PAGE - 4);
	ck_assert_mem_eq(m.p, data + 4100, m.n);
	meta_unpin(c, &m);
	ck_assert_ok(meta_pin(c, io, 4095, &m, &e), &e);
	ck_assert_uint_eq(m.n, 1);
	ck_assert_uint_eq(*m.p, data[4095]);
	meta_unpin(c, &m);
	/* The last page is padded with zeroes. */
	ck_assert_ok(meta_pin(c, io, 9999, &m, &e), &e);
	ck_assert_uint_eq(m.p[0], data[9999]);
	ck_assert_uint_eq(m.p[1], 0);
	meta_unpin(c, &m);
	ck_assert_ok(meta_read(c, io, buf, 9990, 10, &e), &e);
	ck_assert_mem_eq(buf, data + 10, 9990);
	cache_free(c);
	io_unref(io);
}
END_TEST

START_TEST(unreadable_page)
{
	unsigned char data[10000] = {0}, buf[10000];
	struct cache *c = new_cache(1 << 20);
	struct err e = ERR_INIT;
	struct io *io = fault_io_new(data, sizeof data);

	for (unsigned n = 1; n <= 3; n++) {
		fault_io_arm(io, n, FAULT_EIO);
		ck_assert_fails(meta_read(c, io, buf, sizeof buf, 0, &e), EIO, &e, "faulty");
		io_unref(io);
		cache_free(c);
		c = new_cache(1 << 20);
		io = fault_io_new(data, sizeof data);
	}
	cache_free(c);
	io_unref(io);
}
END_TEST

/* A new io may have the address of a closed one, so the blocks of a closed io are dropped. */
START_TEST(blocks_of_closed_files_are_dropped)
{
	unsigned char data[10000] = {0}, buf[10000];
	struct cache *c = new_cache(1 << 20);
	atomic_uint loads = 0;
	struct err e = ERR_INIT;
	struct io *io = fault_io_new(data, sizeof data);
	struct source s = {.id = 3, .loads = &loads};
	const struct block *b;
	size_t before;

	touch(c, 1, 4096, &loads);
	before = cache_used(c);
	io->cache = c;
	ck_assert_ok(meta_read(c, io, buf, sizeof buf, 0, &e), &e);
	ck_assert_ok(pin_block(c, io, 3, 512, load, &s, &b, &e), &e);
	cache_unpin(c, b);
	ck_assert_uint_gt(cache_used(c), before);
	io_unref(io);
	ck_assert_uint_eq(cache_used(c), before);
	touch(c, 1, 4096, &loads);
	ck_assert_uint_eq(loads, 2);
	cache_free(c);
}
END_TEST

Suite *cache_suite(void)
{
	TCase *tc = tcase_create("cache");

	tcase_add_test(tc, loaded_once);
	tcase_add_test(tc, same_id_in_two_sources);
	tcase_add_test(tc, budget_is_kept_without_pins);
	tcase_add_test(tc, evicted_blocks_are_reloaded);
	tcase_add_test(tc, recently_used_blocks_are_kept);
	tcase_add_test(tc, pinned_blocks_are_not_evicted);
	tcase_add_test(tc, blocks_larger_than_the_budget);
	tcase_add_test(tc, failed_load_is_not_cached);
	tcase_add_test(tc, failed_load_in_a_full_cache);
	tcase_add_loop_test(tc, concurrent_pins_load_once, 0, 10);
	tcase_add_loop_test(tc, concurrent_pins_get_the_error, 0, 10);
	tcase_add_test(tc, slow_load_blocks_no_other_pin);
	tcase_add_test(tc, concurrent_random_pins);
	tcase_add_test(tc, pages_of_metadata);
	tcase_add_test(tc, unreadable_page);
	tcase_add_test(tc, blocks_of_closed_files_are_dropped);
	return suite_of("cache", tc);
}
