/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flusher.h - makes what was written durable every few seconds, though nobody asks. */
#ifndef VDISKFS_BASE_FLUSHER_H
#define VDISKFS_BASE_FLUSHER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

struct err;

/* Flushes; on failure nothing more is written, and it is not called again. */
typedef int flush_fn(void *arg);

struct flusher {
	flush_fn *flush;
	void *arg;
	sem_t wanted;
	atomic_bool ending;
	pthread_t thread;
};

/* After the last fork. */
int flusher_start(struct flusher *f, flush_fn *flush, void *arg, struct err *e);

/* Now rather than in some seconds; does not wait for it. */
void flusher_hurry(struct flusher *f);

void flusher_end(struct flusher *f);

#endif
