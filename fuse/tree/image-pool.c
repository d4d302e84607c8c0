/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image-pool.h"

#include <errno.h>
#include <stdlib.h>

#include "util/err.h"
#include "base/process.h"
#include "pooled-image-impl.h"

#define FLUSH_PERIOD 5 /* seconds */

struct image_pool *image_pool_new(
	const struct image_options *how, const char *snapshot, unsigned idle, struct err *e)
{
	struct image_pool *pool = calloc(1, sizeof *pool);

	if (!pool) {
		err_nomem(e);
		return NULL;
	}
	pool->how = how;
	pool->to_write = *how;
	pool->to_write.write = true;
	pool->snapshot = snapshot;
	pool->idle_max = (time_t)idle;
	TAILQ_INIT(&pool->idle);
	LIST_INIT(&pool->writable);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->done, NULL);
	sem_init(&pool->flush_wanted, 0, 0);
	return pool;
}

void image_pool_free(struct image_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->done);
	sem_destroy(&pool->flush_wanted);
	free(pool);
}

int image_pool_close_idle(struct image_pool *pool)
{
	struct pooled_image *s;
	time_t left = -1;

	pthread_mutex_lock(&pool->lock);
	while ((s = TAILQ_FIRST(&pool->idle)) != NULL) {
		left = s->since + pool->idle_max - process_now();
		if (left > 0)
			break;
		pooled_image_close_idle(s);
		left = -1;
	}
	pthread_mutex_unlock(&pool->lock);
	return (int)left;
}

bool image_pool_close_one(void *arg)
{
	struct image_pool *pool = arg;
	struct pooled_image *s;

	pthread_mutex_lock(&pool->lock);
	s = TAILQ_FIRST(&pool->idle);
	if (s)
		pooled_image_close_idle(s);
	pthread_mutex_unlock(&pool->lock);
	return s != NULL;
}

/* A writable image that was not visited in this round, or NULL. */
static struct pooled_image *next_writable(const struct image_pool *pool)
{
	struct pooled_image *s;

	for (s = LIST_FIRST(&pool->writable); s; s = LIST_NEXT(s, writable))
		if (s->round != pool->round)
			return s;
	return NULL;
}

/* Visits all writable images without the lock, each pinned and referenced, so that it stays open
 * and in the list.  A visit makes no image look used: it has been idle for as long as before. */
static int each_writable(struct image_pool *pool, int (*visit)(struct pooled_image *s))
{
	struct pooled_image *s;
	int ret = 0;

	pthread_mutex_lock(&pool->lock);
	pool->round++;
	while ((s = next_writable(pool)) != NULL) {
		time_t since = s->pins == 0 ? s->since : 0;

		s->round = pool->round;
		pooled_image_ref(s);
		if (since)
			pooled_image_leave_idle(s);
		s->pins++;
		pthread_mutex_unlock(&pool->lock);
		if (visit(s) < 0)
			ret = -EIO;
		pthread_mutex_lock(&pool->lock);
		pooled_image_unpin_since(s, since);
		pthread_mutex_unlock(&pool->lock);
		pooled_image_unref(s);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return ret;
}

static int flush(struct pooled_image *s)
{
	struct err e = ERR_INIT;
	int ret = s->failed ? 0 : image_flush(s->img, &e);

	if (ret < 0) {
		s->failed = true;
		err_in(&e, "flush");
		pooled_image_warn(s, &e);
	}
	return ret;
}

void image_pool_flush(struct image_pool *pool)
{
	each_writable(pool, flush);
}

static void *flush_loop(void *arg)
{
	struct image_pool *pool = arg;
	struct timespec until;

	while (!atomic_load(&pool->ending)) {
		/* With the real time, a clock that is set back would stall the flushes. */
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += FLUSH_PERIOD;
		while (sem_clockwait(&pool->flush_wanted, CLOCK_MONOTONIC, &until) < 0 &&
			errno == EINTR)
			;
		image_pool_flush(pool);
	}
	return NULL;
}

int image_pool_start_flushing(struct image_pool *pool, struct err *e)
{
	int ret = process_thread(&pool->flusher, flush_loop, pool, e);

	pool->flushes = ret == 0;
	return ret;
}

void image_pool_flush_soon(struct image_pool *pool)
{
	sem_post(&pool->flush_wanted);
}

void image_pool_end_flushing(struct image_pool *pool)
{
	if (!pool->flushes)
		return;
	atomic_store(&pool->ending, true);
	image_pool_flush_soon(pool);
	pthread_join(pool->flusher, NULL);
	pool->flushes = false;
}

int image_pool_finish(struct image_pool *pool)
{
	return each_writable(pool, pooled_image_finish);
}
