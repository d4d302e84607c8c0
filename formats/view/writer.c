/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* writer.c - locks, and the order in which changes of an image become durable. */
#include "writer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "util/bytes.h"
#include "view.h"
#include "io/writeback.h"

#define PENDING_MAX 1024 /* pages: 4 MiB */

struct writer *writer_new(struct view *v, struct err *e)
{
	struct writer *w = calloc(1, sizeof *w);
	pthread_rwlockattr_t attr;

	if (w)
		w->writeback = writeback_new(v->cache, e);
	if (!w || !w->writeback) {
		free(w);
		err_nomem(e);
		return NULL;
	}
	w->view = v;
	w->pending_max = PENDING_MAX;
	/* Readers arrive all the time: without this an exclusive change could wait for ever. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&w->request_lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&w->early, NULL);
	pthread_mutex_init(&w->meta, NULL);
	pthread_mutex_init(&w->range_lock, NULL);
	pthread_cond_init(&w->range_free, NULL);
	return w;
}

void writer_free(struct writer *w)
{
	if (!w)
		return;
	assert(!w->ranges);
	writeback_free(w->writeback);
	pthread_cond_destroy(&w->range_free);
	pthread_mutex_destroy(&w->range_lock);
	pthread_mutex_destroy(&w->meta);
	pthread_mutex_destroy(&w->early);
	pthread_rwlock_destroy(&w->request_lock);
	free(w);
}

void writer_begin_early(struct writer *w)
{
	pthread_mutex_lock(&w->early);
	pthread_rwlock_wrlock(&w->request_lock);
}

void writer_end_early(struct writer *w)
{
	pthread_rwlock_unlock(&w->request_lock);
	pthread_mutex_unlock(&w->early);
}

static void lock_exclusively(struct writer *w)
{
	pthread_rwlock_wrlock(&w->request_lock);
	pthread_mutex_lock(&w->meta);
}

static void unlock(struct writer *w)
{
	pthread_mutex_unlock(&w->meta);
	pthread_rwlock_unlock(&w->request_lock);
}

int writer_fail(struct writer *w, struct err *e)
{
	/* The error of an altered file has this in its message already. */
	if (!e->logged) {
		err_in(e, "nothing is written any more");
		e->logged = &w->logged;
	}
	w->failure = *e;
	w->failed = e->code;
	return -e->code;
}

/* meta is held. */
static int check_failed(struct writer *w, struct err *e)
{
	int r = w->failed ? 0 : writeback_check(w->writeback, e);

	if (r < 0)
		return writer_fail(w, e);
	if (w->failed)
		*e = w->failure;
	return -w->failed;
}

int writer_write_back(struct writer *w, struct err *e)
{
	int r = w->view->write->prepare ? w->view->write->prepare(w->view, e) : 0;

	if (r == 0)
		r = writeback_flush(w->writeback, e);
	return r < 0 ? writer_fail(w, e) : 0;
}

int writer_begin(struct writer *w, struct err *e)
{
	int r;

	if (w->begun && !w->failed && !writeback_is_stopped(w->writeback))
		return 0;
	pthread_mutex_lock(&w->meta);
	r = check_failed(w, e);
	if (r == 0 && !w->begun && w->view->write->begin) {
		r = w->view->write->begin(w->view, e);
		if (r == 0)
			r = writer_write_back(w, e);
	}
	if (r == 0)
		w->begun = true;
	pthread_mutex_unlock(&w->meta);
	return r;
}

int writer_flush(struct writer *w, struct err *e)
{
	const struct write_ops *ops = w->view->write;
	bool freed;
	int r;

	/* A write that was answered early may still be going on. */
	pthread_rwlock_rdlock(&w->request_lock);
	pthread_rwlock_unlock(&w->request_lock);
	pthread_mutex_lock(&w->meta);
	r = check_failed(w, e);
	if (r == 0)
		r = writer_write_back(w, e);
	freed = r == 0 && ops->durable && ops->durable(w->view);
	pthread_mutex_unlock(&w->meta);
	if (!freed)
		return r;
	lock_exclusively(w);
	r = ops->release_freed(w->view, e);
	unlock(w);
	return r;
}

int writer_begin_exclusive(struct writer *w, struct err *e)
{
	int r = w ? writer_begin(w, e) : err_set(e, EROFS, "it is not open for writing");

	if (r < 0)
		return r;
	lock_exclusively(w);
	r = check_failed(w, e);
	if (r == 0)
		r = writer_write_back(w, e);
	if (r < 0)
		unlock(w);
	return r;
}

int writer_end_exclusive(struct writer *w, int r, struct err *e)
{
	unlock(w);
	return r == 0 ? writer_flush(w, e) : r;
}

int writer_finish(struct writer *w, struct err *e)
{
	int r = writer_flush(w, e);

	if (r < 0 || !w->begun)
		return r;
	/* Releasing freed space has changed reference counts once more. */
	pthread_mutex_lock(&w->meta);
	r = writer_write_back(w, e);
	if (r == 0 && w->view->write->finish) {
		r = w->view->write->finish(w->view, e);
		if (r == 0)
			r = writer_write_back(w, e);
	}
	if (r == 0)
		w->begun = false;
	pthread_mutex_unlock(&w->meta);
	return r;
}

bool writer_is_full(const struct writer *w)
{
	return writeback_pending(w->writeback) > w->pending_max;
}

int reservation_end(struct view *v, const struct reservation *res, int r, struct err *e)
{
	pthread_mutex_lock(&v->writer->meta);
	if (r == 0)
		r = v->write->commit(v, res, e);
	if (r < 0)
		v->write->cancel(v, res);
	pthread_mutex_unlock(&v->writer->meta);
	return r;
}

struct range range_of_units(const struct view *v, uint64_t off, uint64_t len)
{
	return (struct range){
		.start = off - off % v->unit,
		.end = div_round_up(off + len, v->unit) * v->unit,
	};
}

static bool range_is_free(const struct writer *w, const struct range *r)
{
	for (const struct range *p = w->ranges; p; p = p->next)
		if (p->start < r->end && r->start < p->end)
			return false;
	return true;
}

bool range_take(struct writer *w, struct range *r, unsigned released)
{
	bool none;

	pthread_mutex_lock(&w->range_lock);
	while (!range_is_free(w, r))
		pthread_cond_wait(&w->range_free, &w->range_lock);
	r->next = w->ranges;
	w->ranges = r;
	none = w->ranges_released == released;
	pthread_mutex_unlock(&w->range_lock);
	return none;
}

void range_drop(struct writer *w, struct range *r)
{
	struct range **p = &w->ranges;

	pthread_mutex_lock(&w->range_lock);
	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	w->ranges_released++;
	pthread_cond_broadcast(&w->range_free);
	pthread_mutex_unlock(&w->range_lock);
}
