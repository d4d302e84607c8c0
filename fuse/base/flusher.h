/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flusher.h - a thread that makes written data durable every 5 seconds, so that a crash loses no
 * more than that even if no program calls fsync(2). */
#ifndef VDISKFS_BASE_FLUSHER_H
#define VDISKFS_BASE_FLUSHER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

struct err;

typedef void flush_fn(void *arg);

struct flusher {
	flush_fn *flush;
	void *arg;
	sem_t wanted;
	atomic_bool ending;
	pthread_t thread;
};

/* Starts the thread.  To be called after the last fork. */
int flusher_start(struct flusher *f, flush_fn *flush, void *arg, struct err *e);

/* Makes it flush now, and does not wait for that. */
void flusher_hurry(struct flusher *f);

/* Flushes a last time and ends the thread. */
void flusher_end(struct flusher *f);

#endif
