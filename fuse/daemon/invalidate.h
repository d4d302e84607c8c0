/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* invalidate.h - a thread that makes the kernel drop cached entries and data which have changed.
 *
 * Lock rule: a notification may wait inside the kernel until another request is answered, so no
 * thread that answers requests may send one.
 */
#ifndef VDISKFS_DAEMON_INVALIDATE_H
#define VDISKFS_DAEMON_INVALIDATE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

struct err;
struct fuse_session;
struct coherence;
struct tree;

struct invalidate {
	struct fuse_session *session;
	struct tree *tree;
	struct coherence *coherence;
	sem_t changed;
	atomic_bool ending;
	pthread_t thread;
};

/* Starts the thread.  To be called after the last fork. */
int invalidate_start(struct invalidate *n, struct fuse_session *session, struct tree *tree,
	struct coherence *coherence, struct err *e);

/* Ends the thread.  To be called after the loop of the session; only if it was started. */
void invalidate_end(struct invalidate *n);

#endif
