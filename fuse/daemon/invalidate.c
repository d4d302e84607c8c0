/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* invalidate.c - see invalidate.h. */
#include "invalidate.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/process.h"
#include "ops/coherence.h"
#include "ops/request.h"
#include "tree/tree.h"

#define PATIENCE 10 /* ms */

/* Drops the cached listing of a directory (as the data of a file is dropped) and one entry.  The
 * kernel may have neither, which is no error. */
static void drop_entry(void *arg, struct node *dir, const char *name)
{
	const struct invalidate *n = arg;
	fuse_ino_t ino = request_ino(dir);

	fuse_lowlevel_notify_inval_inode(n->session, ino, 0, 0);
	fuse_lowlevel_notify_inval_entry(n->session, ino, name, strlen(name));
}

static void drop_data(void *arg, struct node *node, uint64_t off, uint64_t len)
{
	const struct invalidate *n = arg;

	fuse_lowlevel_notify_inval_inode(n->session, request_ino(node), (off_t)off, (off_t)len);
}

static void *notify_loop(void *arg)
{
	struct invalidate *n = arg;

	while (!atomic_load(&n->ending)) {
		tree_notify(n->tree, drop_entry, n);
		coherence_notify(n->coherence, drop_data, n);
		while (sem_wait(&n->changed) < 0 && errno == EINTR)
			;
	}
	return NULL;
}

static void wake(void *arg)
{
	struct invalidate *n = arg;

	sem_post(&n->changed);
}

int invalidate_start(struct invalidate *n, struct fuse_session *session, struct tree *tree,
	struct coherence *coherence, struct err *e)
{
	n->session = session;
	n->tree = tree;
	n->coherence = coherence;
	atomic_init(&n->ending, false);
	sem_init(&n->changed, 0, 0);
	tree_on_change(tree, wake, n);
	coherence_on_stale(coherence, wake, n);
	return process_thread(&n->thread, notify_loop, n, e);
}

/* When a signal has ended the loop, the thread may be in a notification that waits for the answer
 * to a request; so requests are served until the thread ends. */
void invalidate_end(struct invalidate *n)
{
	struct pollfd request = {.fd = fuse_session_fd(n->session), .events = POLLIN};
	struct fuse_buf buf = {.mem = NULL};

	atomic_store(&n->ending, true);
	wake(n);
	fuse_session_reset(n->session);
	while (pthread_tryjoin_np(n->thread, NULL) != 0) {
		if (poll(&request, 1, PATIENCE) <= 0)
			continue;
		if (fuse_session_receive_buf(n->session, &buf) <= 0) {
			pthread_join(n->thread, NULL); /* the session has ended */
			break;
		}
		fuse_session_process_buf(n->session, &buf);
	}
	free(buf.mem);
	tree_on_change(n->tree, NULL, NULL);
	coherence_on_stale(n->coherence, NULL, NULL);
	sem_destroy(&n->changed);
}
