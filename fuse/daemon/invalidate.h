/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* invalidate.h - tells the kernel what has changed in the tree.
 *
 * A thread of its own: what the kernel does when it is told may wait for the answer to a request,
 * so no thread that answers requests may tell it.
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

/* After the last fork. */
int invalidate_start(struct invalidate *n, struct fuse_session *session, struct tree *tree,
	struct coherence *coherence, struct err *e);

/* Once the session's loop has ended; only after invalidate_start has succeeded. */
void invalidate_end(struct invalidate *n);

#endif
