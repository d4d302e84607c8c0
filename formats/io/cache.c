/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache.c - sharded LRU with pinned entries and single-flight loading.
 *
 * Invariants, under the shard's mutex: an entry is in its hash chain from the moment somebody means
 * to load it until it is evicted, its load fails or another one takes its place; it is in the LRU
 * list exactly when it is loaded, in its chain, without a note and nobody has it pinned.  used is
 * the sum over all entries, kept without a lock: it may be passed for a moment, never for good.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "cache.h"
#include "util/err.h"
#include "io.h"

#define SHARDS     16
#define BUCKETS    1024 /* a shard */
#define DATA_ALIGN 64

struct entry {
	struct block block; /* first: what callers hold is what we hold */
	const void *source;
	uint64_t id;
	struct shard *shard;
	struct entry *next;          /* in the bucket */
	struct entry *newer, *older; /* in the LRU list */
	unsigned pins;
	bool loading;
	bool stale; /* another has taken its place; the last to unpin it frees it */
	void *note; /* of whoever changed it */
};

struct shard {
	pthread_mutex_t lock;
	pthread_cond_t loaded; /* some load of this shard ended */
	struct entry *buckets[BUCKETS];
	struct entry *newest, *oldest;
};

struct cache {
	size_t budget;
	atomic_size_t used;
	struct shard shards[SHARDS];
};

static size_t entry_cost(const struct entry *t)
{
	return sizeof *t + t->block.len;
}

/* Ids are multiples of large powers of two, and low bits choose the shard and the bucket: high bits
 * are folded in before the product as well as after it. */
static uint64_t hash(const void *source, uint64_t id)
{
	uint64_t h = (uintptr_t)source * 0x9e3779b97f4a7c15u ^ id;

	h = (h ^ h >> 32) * 0xbf58476d1ce4e5b9u;
	return h ^ h >> 32;
}

struct cache *cache_new(size_t budget, struct err *e)
{
	struct cache *c = calloc(1, sizeof *c);

	if (!c) {
		err_nomem(e);
		return NULL;
	}
	c->budget = budget;
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&c->shards[i].lock, NULL);
		pthread_cond_init(&c->shards[i].loaded, NULL);
	}
	return c;
}

static void entry_free(struct entry *t)
{
	free((void *)t->block.data);
	free(t);
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	for (int i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];

		while (s->oldest) {
			struct entry *t = s->oldest;

			s->oldest = t->newer;
			entry_free(t);
		}
		pthread_cond_destroy(&s->loaded);
		pthread_mutex_destroy(&s->lock);
	}
	free(c);
}

size_t cache_used(const struct cache *c)
{
	return atomic_load(&((struct cache *)c)->used);
}

static void lru_remove(struct shard *s, struct entry *t)
{
	*(t->newer ? &t->newer->older : &s->newest) = t->older;
	*(t->older ? &t->older->newer : &s->oldest) = t->newer;
	t->newer = t->older = NULL;
}

static void lru_add(struct shard *s, struct entry *t)
{
	t->older = s->newest;
	*(s->newest ? &s->newest->newer : &s->oldest) = t;
	s->newest = t;
}

static struct entry **bucket_of(struct shard *s, uint64_t h)
{
	return &s->buckets[h / SHARDS % BUCKETS];
}

static struct entry *find(struct shard *s, uint64_t h, const void *source, uint64_t id)
{
	struct entry *t = *bucket_of(s, h);

	while (t && (t->id != id || t->source != source))
		t = t->next;
	return t;
}

static void unchain(struct shard *s, struct entry *t)
{
	struct entry **p = bucket_of(s, hash(t->source, t->id));

	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
}

/* Takes the oldest unpinned entry out of the shard, or NULL. */
static struct entry *evict_one(struct shard *s)
{
	struct entry *t = s->oldest;

	if (t) {
		lru_remove(s, t);
		unchain(s, t);
	}
	return t;
}

/* Throws out of other shards when one alone cannot make room; no lock is held. */
static void shrink(struct cache *c, size_t first)
{
	for (size_t i = 0; i < SHARDS && atomic_load(&c->used) > c->budget;) {
		struct shard *s = &c->shards[(first + i) % SHARDS];
		struct entry *t;

		pthread_mutex_lock(&s->lock);
		t = evict_one(s);
		pthread_mutex_unlock(&s->lock);
		if (!t) {
			i++;
			continue;
		}
		atomic_fetch_sub(&c->used, entry_cost(t));
		entry_free(t);
	}
}

/* An entry with room for len bytes: one that has to go anyway, when it has the right size (memory
 * that is mapped already is far cheaper than fresh pages), or a new one.  Shard locked. */
static struct entry *entry_take(struct cache *c, struct shard *s, size_t len)
{
	struct entry *t;
	void *data;

	if (s->oldest && s->oldest->block.len == len && atomic_load(&c->used) + len > c->budget)
		return evict_one(s); /* unpinned and without a note, that is */
	t = calloc(1, sizeof *t);
	data = aligned_alloc(DATA_ALIGN, round_up(len, DATA_ALIGN));
	if (!t || !data) {
		free(t);
		free(data);
		return NULL;
	}
	t->block = (struct block){.data = data, .len = len};
	t->shard = s;
	atomic_fetch_add(&c->used, entry_cost(t));
	return t;
}

/* Loads a fresh entry that is in its bucket already; shard locked on entry and on return. */
static int entry_load(struct cache *c, struct shard *s, struct entry *t, cache_load *load,
	void *arg, struct err *e)
{
	int r;

	pthread_mutex_unlock(&s->lock);
	shrink(c, s - c->shards);
	r = load(arg, (void *)t->block.data, t->block.len, e);
	pthread_mutex_lock(&s->lock);
	t->loading = false;
	pthread_cond_broadcast(&s->loaded);
	if (r < 0) {
		unchain(s, t);
		atomic_fetch_sub(&c->used, entry_cost(t));
		entry_free(t);
	}
	return r;
}

static int pin_locked(struct cache *c, struct shard *s, uint64_t h, const void *source, uint64_t id,
	size_t len, cache_load *load, void *arg, const struct block **block, struct err *e)
{
	struct entry *t;
	int r;

	/* Somebody else's load may fail and take the entry away: look again each time. */
	while ((t = find(s, h, source, id)) && t->loading)
		pthread_cond_wait(&s->loaded, &s->lock);
	if (t) {
		assert(t->block.len == len);
		if (t->pins++ == 0 && !t->note)
			lru_remove(s, t);
		*block = &t->block;
		return 0;
	}
	t = entry_take(c, s, len);
	if (!t)
		return err_nomem(e);
	t->source = source;
	t->id = id;
	t->pins = 1;
	t->loading = true;
	t->next = *bucket_of(s, h);
	*bucket_of(s, h) = t;
	r = entry_load(c, s, t, load, arg, e);
	if (r == 0)
		*block = &t->block;
	return r;
}

int cache_pin(struct cache *c, const void *source, uint64_t id, size_t len, cache_load *load,
	void *arg, const struct block **block, struct err *e)
{
	uint64_t h = hash(source, id);
	struct shard *s = &c->shards[h % SHARDS];
	int r;

	pthread_mutex_lock(&s->lock);
	r = pin_locked(c, s, h, source, id, len, load, arg, block, e);
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* Shard locked. */
static void unpin_locked(struct cache *c, struct shard *s, struct entry *t)
{
	assert(t->pins > 0);
	if (--t->pins > 0 || t->note)
		return;
	if (!t->stale) {
		lru_add(s, t);
		return;
	}
	atomic_fetch_sub(&c->used, entry_cost(t));
	entry_free(t);
}

void cache_unpin(struct cache *c, const struct block *block)
{
	struct entry *t = (struct entry *)block;
	struct shard *s = t->shard;

	pthread_mutex_lock(&s->lock);
	unpin_locked(c, s, t);
	pthread_mutex_unlock(&s->lock);
	if (atomic_load(&c->used) > c->budget)
		shrink(c, s - c->shards);
}

/* A copy in the place of t, which others go on reading; pinned once.  Shard locked. */
static struct entry *replace(struct cache *c, struct shard *s, struct entry *t)
{
	struct entry *copy = entry_take(c, s, t->block.len);

	if (!copy)
		return NULL;
	memcpy((void *)copy->block.data, t->block.data, t->block.len);
	copy->source = t->source;
	copy->id = t->id;
	copy->pins = 1;
	copy->loading = false;
	copy->note = t->note;
	unchain(s, t);
	copy->next = *bucket_of(s, hash(t->source, t->id));
	*bucket_of(s, hash(t->source, t->id)) = copy;
	t->note = NULL;
	t->stale = true;
	return copy;
}

/* The caller has t pinned. */
static int modify_locked(struct cache *c, struct shard *s, struct entry *t, cache_change *change,
	void *arg, struct err *e)
{
	struct entry *fresh = t;

	if (t->pins > 1) {
		fresh = replace(c, s, t);
		if (!fresh)
			return err_nomem(e);
		unpin_locked(c, s, t);
	}
	change(arg, (unsigned char *)fresh->block.data, &fresh->note);
	unpin_locked(c, s, fresh);
	return 0;
}

int cache_modify(struct cache *c, const void *source, uint64_t id, size_t len, cache_load *load,
	void *arg, cache_change *change, void *change_arg, struct err *e)
{
	uint64_t h = hash(source, id);
	struct shard *s = &c->shards[h % SHARDS];
	const struct block *block;
	int r;

	pthread_mutex_lock(&s->lock);
	r = pin_locked(c, s, h, source, id, len, load, arg, &block, e);
	if (r == 0) {
		r = modify_locked(c, s, (struct entry *)block, change, change_arg, e);
		if (r < 0)
			unpin_locked(c, s, (struct entry *)block);
	}
	pthread_mutex_unlock(&s->lock);
	if (atomic_load(&c->used) > c->budget)
		shrink(c, s - c->shards);
	return r;
}

bool cache_has_note(struct cache *c, const void *source, uint64_t id)
{
	uint64_t h = hash(source, id);
	struct shard *s = &c->shards[h % SHARDS];
	const struct entry *t;
	bool has;

	pthread_mutex_lock(&s->lock);
	t = find(s, h, source, id);
	has = t && t->note;
	pthread_mutex_unlock(&s->lock);
	return has;
}

void cache_release(struct cache *c, const void *source, uint64_t id)
{
	uint64_t h = hash(source, id);
	struct shard *s = &c->shards[h % SHARDS];
	struct entry *t;

	pthread_mutex_lock(&s->lock);
	t = find(s, h, source, id);
	assert(t && t->note);
	t->note = NULL;
	if (t->pins == 0)
		lru_add(s, t);
	pthread_mutex_unlock(&s->lock);
}

void cache_drop(struct cache *c, const void *source, uint64_t id)
{
	uint64_t h = hash(source, id);
	struct shard *s = &c->shards[h % SHARDS];
	struct entry *t;

	pthread_mutex_lock(&s->lock);
	t = find(s, h, source, id);
	if (t) {
		assert(!t->note && !t->loading);
		if (t->pins++ == 0)
			lru_remove(s, t);
		unchain(s, t);
		t->stale = true;
		unpin_locked(c, s, t);
	}
	pthread_mutex_unlock(&s->lock);
}

/* Pages of metadata.  Decoded units of an io are named by ids of the driver's choice; so that pages
 * never meet them, their source is the address behind io's first byte. */

static const void *page_source(const struct io *io)
{
	return (const char *)io + 1;
}

struct page {
	struct io *io;
	uint64_t pos;
};

static int page_load(void *arg, void *buf, size_t len, struct err *e)
{
	const struct page *page = arg;

	return io_read_padded(page->io, buf, len, page->pos, e);
}

int meta_pin(struct cache *c, struct io *io, uint64_t pos, struct meta *m, struct err *e)
{
	size_t skip = pos % META_PAGE;
	struct page page = {.io = io, .pos = pos - skip};
	int r = cache_pin(c, page_source(io), page.pos, META_PAGE, page_load, &page, &m->block, e);

	if (r < 0)
		return r;
	m->p = m->block->data + skip;
	m->n = META_PAGE - skip;
	return 0;
}

int meta_modify(struct cache *c, struct io *io, uint64_t pos, cache_change *change, void *arg,
	struct err *e)
{
	struct page page = {.io = io, .pos = pos - pos % META_PAGE};

	return cache_modify(
		c, page_source(io), page.pos, META_PAGE, page_load, &page, change, arg, e);
}

bool meta_has_note(struct cache *c, struct io *io, uint64_t pos)
{
	return cache_has_note(c, page_source(io), pos - pos % META_PAGE);
}

void meta_release(struct cache *c, struct io *io, uint64_t pos)
{
	cache_release(c, page_source(io), pos - pos % META_PAGE);
}

void meta_unpin(struct cache *c, struct meta *m)
{
	cache_unpin(c, m->block);
}

int meta_read(struct cache *c, struct io *io, void *buf, size_t len, uint64_t pos, struct err *e)
{
	while (len > 0) {
		struct meta m;
		size_t n;
		int r = meta_pin(c, io, pos, &m, e);

		if (r < 0)
			return r;
		n = MIN(len, m.n);
		memcpy(buf, m.p, n);
		meta_unpin(c, &m);
		buf = (char *)buf + n;
		pos += n;
		len -= n;
	}
	return 0;
}

static bool is_of(const struct entry *t, const void *source)
{
	return t->source == source || t->source == page_source(source);
}

void cache_forget(struct cache *c, const void *source)
{
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];

		pthread_mutex_lock(&s->lock);
		for (struct entry *t = s->oldest, *newer; t; t = newer) {
			newer = t->newer;
			if (!is_of(t, source))
				continue;
			lru_remove(s, t);
			unchain(s, t);
			atomic_fetch_sub(&c->used, entry_cost(t));
			entry_free(t);
		}
		pthread_mutex_unlock(&s->lock);
	}
}
