/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parallel.c - see parallel.h. */
#include "parallel.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "args.h"
#include "util/bytes.h"
#include "util/err.h"
#include "padded.h"
#include "progress.h"
#include "report.h"

#define BUFFER_ALIGN 4096

struct shared {
	const struct parallel *work;
	pthread_mutex_t lock;  /* protects all members below */
	pthread_cond_t turned; /* turn or ended changed */
	uint64_t next;         /* offset from which pieces are handed out */
	uint64_t handed, turn; /* number of pieces handed out; of second steps done */
	bool ended;
	uint64_t result_off; /* offset of the piece that result is of */
	int result;
	struct err e;
};

/* Hands out the next piece; false: none is left.  Caller holds the lock. */
static bool take_piece(struct shared *s, uint64_t *off, size_t *len)
{
	const struct parallel *w = s->work;
	uint64_t start = s->next, unit = MAX(w->unit, 1), piece = MAX(w->unit, PARALLEL_PIECE);

	if (!w->holes_too)
		start = MIN(padded_next_data(w->views[0], s->next, w->end),
			padded_next_data(w->views[1], s->next, w->end));
	if (start < w->end)
		start -= (start - w->start) % unit;
	if (w->progress)
		progress_add(w->progress, start - s->next);
	s->next = start;
	if (s->ended || start >= w->end)
		return false;
	*off = start;
	*len = MIN(w->end - start, piece - (start - w->start) % piece);
	s->next += *len;
	s->handed++;
	return true;
}

/* Keeps the result of the lowest piece.  Caller holds the lock. */
static void note_result(struct shared *s, uint64_t off, int result, const struct err *e)
{
	if (s->ended && s->result_off < off)
		return;
	s->ended = true;
	s->result_off = off;
	s->result = result;
	s->e = *e;
}

/* Runs the second step of piece number i when it is its turn, unless the work ends before that
 * piece. Caller holds the lock, which is released during the step. */
static int follow_up(
	struct shared *s, uint64_t i, uint64_t off, size_t len, void *buf, struct err *e)
{
	int r;

	while (s->turn != i && !(s->ended && s->result_off < off))
		pthread_cond_wait(&s->turned, &s->lock);
	if (s->turn != i)
		return 0;
	pthread_mutex_unlock(&s->lock);
	r = s->work->then(s->work->arg, off, len, buf, e);
	pthread_mutex_lock(&s->lock);
	if (r == 0)
		s->turn++;
	return r;
}

static void work_on(struct shared *s, void *buf)
{
	struct err e = ERR_INIT;
	uint64_t off;
	size_t len;

	pthread_mutex_lock(&s->lock);
	while (take_piece(s, &off, &len)) {
		uint64_t i = s->handed - 1;
		int r;

		pthread_mutex_unlock(&s->lock);
		r = s->work->piece(s->work->arg, off, len, buf, &e);
		pthread_mutex_lock(&s->lock);
		if (r == 0 && s->work->then)
			r = follow_up(s, i, off, len, buf, &e);
		if (r != 0)
			note_result(s, off, r, &e);
		else if (s->work->progress)
			progress_add(s->work->progress, len);
		pthread_cond_broadcast(&s->turned);
	}
	pthread_mutex_unlock(&s->lock);
}

static void *thread_main(void *arg)
{
	struct shared *s = arg;
	void *buf = aligned_alloc(BUFFER_ALIGN, round_up(s->work->buffer, BUFFER_ALIGN));
	struct err e = ERR_INIT;

	if (buf) {
		work_on(s, buf);
	} else {
		err_nomem(&e);
		pthread_mutex_lock(&s->lock);
		note_result(s, s->next, -ENOMEM, &e);
		pthread_mutex_unlock(&s->lock);
	}
	free(buf);
	return NULL;
}

int parallel_run(const struct parallel *w, struct err *e)
{
	struct shared s = {.work = w, .next = w->start};
	pthread_t threads[PARALLEL_THREADS];
	unsigned n = 0;

	pthread_mutex_init(&s.lock, NULL);
	pthread_cond_init(&s.turned, NULL);
	/* This thread works, too; threads that cannot be created are not needed. */
	while (n + 1 < w->threads && pthread_create(&threads[n], NULL, thread_main, &s) == 0)
		n++;
	thread_main(&s);
	while (n > 0)
		pthread_join(threads[--n], NULL);
	pthread_cond_destroy(&s.turned);
	pthread_mutex_destroy(&s.lock);
	if (s.result != 0)
		*e = s.e;
	return s.result;
}

unsigned parallel_threads(const struct args *a)
{
	const char *word = args_value(a, OPT_THREADS);
	unsigned long n = 0;
	char *end;

	if (!word)
		return (unsigned)MIN(PARALLEL_THREADS, MAX(1, get_nprocs()));
	if (word[0] >= '0' && word[0] <= '9')
		n = strtoul(word, &end, 10);
	if (n < 1 || *end || n > PARALLEL_THREADS) {
		report("Invalid number of threads '%s'; allowed are 1 to %d", word,
			PARALLEL_THREADS);
		return 0;
	}
	return (unsigned)n;
}
