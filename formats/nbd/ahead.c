/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"
#include "util/bytes.h"
#include "util/err.h"

#define BUCKETS 256u /* a power of two */

enum block_state {
	FREE,
	LOADING,
	LOADED,
	FAILED,
};

struct ahead_block {
	struct nbd_request request;
	struct ahead *ahead;
	enum block_state state;
	bool found;    /* by ahead_pin: it is in its bucket */
	unsigned pins; /* of readers, and one while it is loading */
	uint64_t read; /* bytes that readers have had */
	uint64_t number;
	unsigned char *data;
	pthread_cond_t changed;
	struct ahead_block *in_bucket;     /* the next one */
	struct ahead_block *newer, *older; /* in the order of use, if nothing pins it */
};

struct ahead {
	uint64_t size;
	void (*send)(void *arg, struct nbd_request *r);
	void *arg;
	pthread_mutex_t lock;
	struct ahead_block *buckets[BUCKETS];
	struct ahead_block *newest, *oldest; /* that are pinned by none */
	unsigned n;                          /* blocks that have memory */
	struct ahead_block blocks[AHEAD_BLOCKS];
};

/* The order of use.  The lock is held in all that follows, but for the public functions. */

static void take_out(struct ahead *a, struct ahead_block *b)
{
	if (b->newer)
		b->newer->older = b->older;
	else
		a->newest = b->older;
	if (b->older)
		b->older->newer = b->newer;
	else
		a->oldest = b->newer;
}

static void add_newest(struct ahead *a, struct ahead_block *b)
{
	b->newer = NULL;
	b->older = a->newest;
	if (a->newest)
		a->newest->newer = b;
	else
		a->oldest = b;
	a->newest = b;
}

static void add_oldest(struct ahead *a, struct ahead_block *b)
{
	b->older = NULL;
	b->newer = a->oldest;
	if (a->oldest)
		a->oldest->older = b;
	else
		a->newest = b;
	a->oldest = b;
}

/* Buckets. */

static struct ahead_block **bucket_of(struct ahead *a, uint64_t number)
{
	return &a->buckets[number & (BUCKETS - 1)];
}

static struct ahead_block *find(struct ahead *a, uint64_t number)
{
	struct ahead_block *b = *bucket_of(a, number);

	while (b && b->number != number)
		b = b->in_bucket;
	return b;
}

static void hide(struct ahead *a, struct ahead_block *b)
{
	struct ahead_block **at = bucket_of(a, b->number);

	if (!b->found)
		return;
	while (*at != b)
		at = &(*at)->in_bucket;
	*at = b->in_bucket;
	b->found = false;
}

/* Pins. */

static void pin(struct ahead *a, struct ahead_block *b)
{
	if (b->pins++ == 0)
		take_out(a, b);
}

/* Has it been read as a whole, by one that reads in sequence?  Then it is the first to be replaced,
 * while it is in the cache of the processor. */
static bool is_used(const struct ahead_block *b)
{
	return !b->found || b->read >= b->request.len;
}

static void unpin(struct ahead *a, struct ahead_block *b)
{
	if (--b->pins > 0)
		return;
	if (is_used(b))
		add_oldest(a, b);
	else
		add_newest(a, b);
}

/* Loading. */

static struct ahead_block *add_block(struct ahead *a)
{
	struct ahead_block *b = &a->blocks[a->n];

	b->data = malloc(AHEAD_BLOCK);
	if (!b->data)
		return NULL;
	b->ahead = a;
	pthread_cond_init(&b->changed, NULL);
	a->n++;
	return b;
}

/* A block without a use, pinned; NULL: all are needed. */
static struct ahead_block *choose_block(struct ahead *a)
{
	struct ahead_block *b = a->oldest;

	if (b && (is_used(b) || a->n == AHEAD_BLOCKS)) {
		hide(a, b);
		pin(a, b);
		return b;
	}
	b = a->n < AHEAD_BLOCKS ? add_block(a) : NULL;
	if (b)
		b->pins = 1;
	return b;
}

static void loaded(struct nbd_request *r, int error)
{
	struct ahead_block *b = (struct ahead_block *)r;
	struct ahead *a = b->ahead;

	pthread_mutex_lock(&a->lock);
	b->state = error ? FAILED : LOADED;
	if (error)
		hide(a, b);
	pthread_cond_broadcast(&b->changed);
	unpin(a, b);
	pthread_mutex_unlock(&a->lock);
}

/* Prepares the request for a block; NULL: it is there, or there is no space for it. */
static struct ahead_block *begin_loading(struct ahead *a, uint64_t number)
{
	struct ahead_block *b = find(a, number) ? NULL : choose_block(a);
	struct ahead_block **at = bucket_of(a, number);

	if (!b)
		return NULL;
	b->number = number;
	b->state = LOADING;
	b->read = 0;
	b->found = true;
	b->in_bucket = *at;
	*at = b;
	b->request = (struct nbd_request){
		.command = NBD_READ,
		.pos = number * AHEAD_BLOCK,
		.len = MIN(AHEAD_BLOCK, a->size - number * AHEAD_BLOCK),
		.buf = b->data,
		.done = loaded,
	};
	return b;
}

void ahead_fetch(struct ahead *a, uint64_t pos, uint64_t len)
{
	uint64_t number = pos / AHEAD_BLOCK, end = div_round_up(pos + len, AHEAD_BLOCK);
	struct ahead_block *b;

	for (; number < end; number++) {
		pthread_mutex_lock(&a->lock);
		b = begin_loading(a, number);
		pthread_mutex_unlock(&a->lock);
		if (b)
			a->send(a->arg, &b->request);
	}
}

/* Reading. */

struct ahead_block *ahead_pin(struct ahead *a, uint64_t pos)
{
	struct ahead_block *b;

	pthread_mutex_lock(&a->lock);
	b = find(a, pos / AHEAD_BLOCK);
	if (b)
		pin(a, b);
	pthread_mutex_unlock(&a->lock);
	return b;
}

bool ahead_read(struct ahead *a, struct ahead_block *b, void *buf, size_t len, uint64_t pos)
{
	size_t from = pos - b->number * AHEAD_BLOCK;
	bool good;

	pthread_mutex_lock(&a->lock);
	while (b->state == LOADING)
		pthread_cond_wait(&b->changed, &a->lock);
	good = b->state == LOADED;
	pthread_mutex_unlock(&a->lock);
	if (good)
		memcpy(buf, b->data + from, len);
	pthread_mutex_lock(&a->lock);
	b->read += len;
	unpin(a, b);
	pthread_mutex_unlock(&a->lock);
	return good;
}

void ahead_forget(struct ahead *a, uint64_t pos, uint64_t len)
{
	uint64_t number = pos / AHEAD_BLOCK, end = div_round_up(pos + len, AHEAD_BLOCK);

	pthread_mutex_lock(&a->lock);
	if (end - number > AHEAD_BLOCKS) {
		for (unsigned i = 0; i < a->n; i++)
			if (a->blocks[i].number >= number && a->blocks[i].number < end)
				hide(a, &a->blocks[i]);
	} else {
		for (; number < end; number++) {
			struct ahead_block *b = find(a, number);

			if (b)
				hide(a, b);
		}
	}
	pthread_mutex_unlock(&a->lock);
}

struct ahead *ahead_new(
	uint64_t size, void (*send)(void *arg, struct nbd_request *r), void *arg, struct err *e)
{
	struct ahead *a = calloc(1, sizeof *a);

	if (!a) {
		err_nomem(e);
		return NULL;
	}
	a->size = size;
	a->send = send;
	a->arg = arg;
	pthread_mutex_init(&a->lock, NULL);
	return a;
}

void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	for (unsigned i = 0; i < a->n; i++) {
		pthread_cond_destroy(&a->blocks[i].changed);
		free(a->blocks[i].data);
	}
	pthread_mutex_destroy(&a->lock);
	free(a);
}
