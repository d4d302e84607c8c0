/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache.c - sharded LRU with pinned entries and single-flight loading.
 *
 * Invariants, under the shard's mutex: an entry is in its hash chain from before it is loaded until
 * it is evicted, its load fails or a changed copy replaces it; it is in the LRU list exactly when
 * it is loaded, in its chain, without a note and without a pin.  used is the sum over all entries,
 * kept without a lock: it may exceed the budget for a moment.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "cache.h"
#include "util/err.h"

#define SHARDS     16
#define BUCKETS    1024 /* a shard */
#define DATA_ALIGN 64

struct entry {
	struct block block; /* first: callers hold a pointer to it */
	struct cache_key key;
	struct shard *shard;
	struct entry *next;          /* in the bucket */
	struct entry *newer, *older; /* in the LRU list */
	unsigned pins;
	bool loading;
	bool stale; /* replaced or dropped; freed with its last pin */
	void *note; /* see cache_change */
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
static uint64_t hash(const struct cache_key *key)
{
	uint64_t h = ((uintptr_t)key->source + key->space) * 0x9e3779b97f4a7c15u ^ key->id;

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

static void entry_free(struct cache *c, struct entry *t)
{
	atomic_fetch_sub(&c->used, entry_cost(t));
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
			entry_free(c, t);
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

static struct entry *find(struct shard *s, uint64_t h, const struct cache_key *key)
{
	struct entry *t = *bucket_of(s, h);

	while (t && (t->key.id != key->id || t->key.source != key->source ||
			    t->key.space != key->space))
		t = t->next;
	return t;
}

static void unchain(struct shard *s, struct entry *t)
{
	struct entry **p = bucket_of(s, hash(&t->key));

	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
}

/* Takes the entry out of the shard that was used least recently, unpinned and without a note; NULL:
 * there is none. */
static struct entry *evict_one(struct shard *s)
{
	struct entry *t = s->oldest;

	if (t) {
		lru_remove(s, t);
		unchain(s, t);
	}
	return t;
}

/* Evicts from other shards, too, until the budget is kept; no lock is held. */
static void shrink(struct cache *c, size_t first)
{
	for (size_t i = 0; i < SHARDS && atomic_load(&c->used) > c->budget;) {
		struct shard *s = &c->shards[(first + i) % SHARDS];
		struct entry *t;

		pthread_mutex_lock(&s->lock);
		t = evict_one(s);
		pthread_mutex_unlock(&s->lock);
		if (t)
			entry_free(c, t);
		else
			i++;
	}
}

/* An entry of len bytes: one that has to be evicted anyway, when it has the right size (memory that
 * is mapped already is far cheaper than new pages), or a new one.  Shard locked. */
static struct entry *entry_take(struct cache *c, struct shard *s, size_t len)
{
	struct entry *t;
	void *data;

	if (s->oldest && s->oldest->block.len == len && atomic_load(&c->used) + len > c->budget)
		return evict_one(s);
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

/* Shard locked on entry and on return, but not while the block is loaded. */
static int pin_locked(struct cache *c, struct shard *s, uint64_t h,
	const struct cache_request *request, struct entry **pinned, struct err *e)
{
	struct entry *t;
	int r;

	/* Another thread's load may fail and free the entry: it is searched for each time. */
	while ((t = find(s, h, &request->key)) && t->loading)
		pthread_cond_wait(&s->loaded, &s->lock);
	*pinned = t;
	if (t) {
		assert(t->block.len == request->len);
		if (t->pins++ == 0 && !t->note)
			lru_remove(s, t);
		return 0;
	}
	*pinned = t = entry_take(c, s, request->len);
	if (!t)
		return err_nomem(e);
	t->key = request->key;
	t->pins = 1;
	t->loading = true;
	t->next = *bucket_of(s, h);
	*bucket_of(s, h) = t;
	pthread_mutex_unlock(&s->lock);
	shrink(c, s - c->shards);
	r = request->load(request->arg, (void *)t->block.data, t->block.len, e);
	pthread_mutex_lock(&s->lock);
	t->loading = false;
	pthread_cond_broadcast(&s->loaded);
	if (r < 0) {
		unchain(s, t);
		entry_free(c, t);
	}
	return r;
}

int cache_pin(struct cache *c, const struct cache_request *request, const struct block **block,
	struct err *e)
{
	uint64_t h = hash(&request->key);
	struct shard *s = &c->shards[h % SHARDS];
	struct entry *t;
	int r;

	pthread_mutex_lock(&s->lock);
	r = pin_locked(c, s, h, request, &t, e);
	pthread_mutex_unlock(&s->lock);
	if (r == 0)
		*block = &t->block;
	return r;
}

/* Shard locked. */
static void unpin_locked(struct cache *c, struct shard *s, struct entry *t)
{
	assert(t->pins > 0);
	if (--t->pins > 0 || t->note)
		return;
	if (t->stale)
		entry_free(c, t);
	else
		lru_add(s, t);
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

/* Replaces t, which other threads have pinned, by a copy that is pinned once.  Shard locked. */
static struct entry *replace(struct cache *c, struct shard *s, struct entry *t)
{
	struct entry *copy = entry_take(c, s, t->block.len);

	if (!copy)
		return NULL;
	memcpy((void *)copy->block.data, t->block.data, t->block.len);
	copy->key = t->key;
	copy->pins = 1;
	copy->note = t->note;
	unchain(s, t);
	copy->next = *bucket_of(s, hash(&t->key));
	*bucket_of(s, hash(&t->key)) = copy;
	t->note = NULL;
	t->stale = true;
	return copy;
}

int cache_modify(struct cache *c, const struct cache_request *request, cache_change *change,
	void *arg, struct err *e)
{
	uint64_t h = hash(&request->key);
	struct shard *s = &c->shards[h % SHARDS];
	struct entry *t, *copy;
	int r;

	pthread_mutex_lock(&s->lock);
	r = pin_locked(c, s, h, request, &t, e);
	if (r == 0 && t->pins > 1) {
		copy = replace(c, s, t);
		unpin_locked(c, s, t);
		t = copy;
		r = t ? 0 : err_nomem(e);
	}
	if (r == 0) {
		change(arg, (unsigned char *)t->block.data, &t->note);
		unpin_locked(c, s, t);
	}
	pthread_mutex_unlock(&s->lock);
	if (atomic_load(&c->used) > c->budget)
		shrink(c, s - c->shards);
	return r;
}

/* Finds an entry and locks its shard. */
static struct entry *find_and_lock(
	struct cache *c, const struct cache_key *key, struct shard **shard)
{
	uint64_t h = hash(key);

	*shard = &c->shards[h % SHARDS];
	pthread_mutex_lock(&(*shard)->lock);
	return find(*shard, h, key);
}

bool cache_has_note(struct cache *c, const struct cache_key *key)
{
	struct shard *s;
	const struct entry *t = find_and_lock(c, key, &s);
	bool has = t && t->note;

	pthread_mutex_unlock(&s->lock);
	return has;
}

void cache_release(struct cache *c, const struct cache_key *key)
{
	struct shard *s;
	struct entry *t = find_and_lock(c, key, &s);

	assert(t && t->note);
	t->note = NULL;
	if (t->pins == 0)
		lru_add(s, t);
	pthread_mutex_unlock(&s->lock);
}

void cache_drop(struct cache *c, const struct cache_key *key)
{
	struct shard *s;
	struct entry *t = find_and_lock(c, key, &s);

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

void cache_forget(struct cache *c, const void *source)
{
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];

		pthread_mutex_lock(&s->lock);
		for (struct entry *t = s->oldest, *newer; t; t = newer) {
			newer = t->newer;
			if (t->key.source != source)
				continue;
			lru_remove(s, t);
			unchain(s, t);
			entry_free(c, t);
		}
		pthread_mutex_unlock(&s->lock);
	}
}
