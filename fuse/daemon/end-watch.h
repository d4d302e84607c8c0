/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* end-watch.h - notices that the mount ends while workers wait.
 *
 * The loop of libfuse ends its workers one after the other, and waits for one that waits for a
 * server that does not answer.  A thread notices the unmount, or the signal that ends the daemon,
 * and calls a function that lets the workers go on.
 */
#ifndef VDISKFS_DAEMON_END_WATCH_H
#define VDISKFS_DAEMON_END_WATCH_H

#include <pthread.h>
#include <stdbool.h>

struct err;
struct fuse_session;

struct end_watch {
	int device; /* /dev/fuse */
	int ending; /* read end of a pipe: a signal has arrived, or end_watch_stop is called */
	void (*ended)(void *arg);
	void *arg;
	bool runs;
	pthread_t thread;
};

/* Only one in a process; ended is called once, also without an end before end_watch_stop. */
int end_watch_start(struct end_watch *w, struct fuse_session *se, void (*ended)(void *arg),
	void *arg, struct err *e);
void end_watch_stop(struct end_watch *w);

#endif
