/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flusher.c - see flusher.h. */
#include "flusher.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "util/err.h"
#include "process.h"

#define PERIOD 5 /* seconds */

static void *flush_loop(void *arg)
{
	struct flusher *f = arg;
	struct timespec until;

	while (!atomic_load(&f->ending)) {
		/* With the real time, a clock that is set back would stall the flushes. */
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += PERIOD;
		while (sem_clockwait(&f->wanted, CLOCK_MONOTONIC, &until) < 0 && errno == EINTR)
			;
		f->flush(f->arg);
	}
	return NULL;
}

int flusher_start(struct flusher *f, flush_fn *flush, void *arg, struct err *e)
{
	int code;

	f->flush = flush;
	f->arg = arg;
	atomic_init(&f->ending, false);
	sem_init(&f->wanted, 0, 0);
	code = process_thread(&f->thread, flush_loop, f);
	return code == 0 ? 0 : err_set(e, code, "no thread: %s", strerror(code));
}

void flusher_hurry(struct flusher *f)
{
	sem_post(&f->wanted);
}

void flusher_end(struct flusher *f)
{
	atomic_store(&f->ending, true);
	flusher_hurry(f);
	pthread_join(f->thread, NULL);
	sem_destroy(&f->wanted);
}
