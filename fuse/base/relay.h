/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* relay.h - passes on the lines that another program prints into a pipe: to standard error as they
 * are, later to syslog, as the log has it.
 *
 * A thread does it, which can be ended and started again: none may run when the daemon confines
 * itself.
 */
#ifndef VDISKFS_BASE_RELAY_H
#define VDISKFS_BASE_RELAY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct err;
struct log;

struct relay {
	int from; /* the pipe, not blocking; owned; -1: none */
	struct log *log;
	const char *program; /* its name, for syslog; borrowed */
	atomic_bool ended;   /* the other program has closed the pipe, as it does when it ends */
	int stop;            /* a pipe to the thread: when it is closed, the thread ends */
	int stopped;         /* its other end */
	bool runs;
	pthread_t thread;
	char line[512]; /* not complete yet */
	size_t len;
};

/* Takes from. */
int relay_init(struct relay *r, int from, struct log *log, const char *program, struct err *e);

/* Starts the thread. */
int relay_start(struct relay *r, struct err *e);

/* Ends the thread, after everything that is in the pipe.  Does nothing if none runs. */
void relay_stop(struct relay *r);

/* Waits, at most ms milliseconds, until the other program has closed the pipe. */
void relay_await_end(const struct relay *r, int ms);

void relay_free(struct relay *r);

#endif
