/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parallel.c - see parallel.h. */
#include "parallel.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <time.h>

#include "args.h"
#include "util/bytes.h"
#include "util/err.h"
#include "padded.h"
#include "progress.h"
#include "report.h"
#include "view/view.h"

#define BUFFER_ALIGN 4096
#define MAX_GIVEN    16 /* of -m, as of qemu-img, whose name for a thread is coroutine */

/* Fetched at most before it is read: a server that takes 20 ms for a request, but many at once, is
 * read by 1.6 GB a second. */
#define FETCH_WINDOW (32u << 20)

/* A piece that waits longer, us, waits for a disk or a server. */
#define SLOW_PIECE 300

struct shared {
	const struct parallel *work;
	pthread_mutex_t lock;  /* protects all members below */
	pthread_cond_t turned; /* turn or ended changed */
	uint64_t next;         /* offset from which pieces are handed out */
	bool is_slow;          /* a piece has waited long */
	uint64_t fetched;      /* offset up to which data has been fetched */
	uint64_t handed, turn; /* number of pieces handed out; of second steps done */
	bool ended;
	uint64_t result_off; /* offset of the piece that result is of */
	int result;
	struct err e;
};

/* Fetches the data of the pieces to come, without the lock, which the caller holds.  The window is
 * not longer than what has been handed out, so that work that ends early costs little. */
static void fetch_ahead(struct shared *s)
{
	const struct parallel *w = s->work;
	uint64_t window = MIN(s->next - w->start, FETCH_WINDOW);
	uint64_t from = MAX(s->next, s->fetched), end = MIN(w->end, s->next + window);

	if (!s->is_slow || from >= end)
		return;
	s->fetched = end;
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < 2; i++)
		if (w->views[i])
			view_fetch(w->views[i], from, end - from);
	pthread_mutex_lock(&s->lock);
}

/* Runs the first step.  *slow: it has waited for long, and not for a processor, which is worth a
 * fetch: one of data that is in memory already costs a tenth of a conversion. */
static int run_step(
	const struct parallel *w, uint64_t off, size_t len, void *buf, bool *slow, struct err *e)
{
	struct timespec start, end;
	struct rusage before, after;
	int r;

	getrusage(RUSAGE_THREAD, &before);
	clock_gettime(CLOCK_MONOTONIC, &start);
	r = w->piece(w->arg, off, len, buf, e);
	clock_gettime(CLOCK_MONOTONIC, &end);
	getrusage(RUSAGE_THREAD, &after);
	*slow = after.ru_nvcsw > before.ru_nvcsw &&
		(end.tv_sec - start.tv_sec) * 1000000 + (end.tv_nsec - start.tv_nsec) / 1000 >
			SLOW_PIECE;
	return r;
}

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
		bool slow;
		int r;

		fetch_ahead(s);
		pthread_mutex_unlock(&s->lock);
		r = run_step(s->work, off, len, buf, &slow, &e);
		pthread_mutex_lock(&s->lock);
		s->is_slow |= slow;
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
	if (n < 1 || *end || n > MAX_GIVEN) {
		report("Invalid number of coroutines. Allowed number of coroutines is between 1 "
		       "and %d",
			MAX_GIVEN);
		return 0;
	}
	return (unsigned)n;
}
