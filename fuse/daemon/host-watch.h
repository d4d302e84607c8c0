/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* host-watch.h - what happens by itself in a mount of a directory: files that come, go and change
 * are noticed (inotify), images that nobody uses are closed, what could not be opened is tried
 * again.
 */
#ifndef VDISKFS_DAEMON_HOST_WATCH_H
#define VDISKFS_DAEMON_HOST_WATCH_H

#include <stdbool.h>

struct err;
struct log;
struct image_pool;
struct tree;
struct host_watch;

/* Before the sandbox: afterwards only what was opened here can be had. */
struct host_watch *host_watch_new(
	struct image_pool *pool, unsigned idle, struct log *log, struct err *e);

/* As of struct shown_dir; arg is a struct host_watch.  Any thread. */
bool host_watch_add(void *arg, const char *path);

/* Starts the thread; after the last fork. */
int host_watch_start(struct host_watch *w, struct tree *tree, struct err *e);

/* Ends it, if it was started, before the tree goes. */
void host_watch_end(struct host_watch *w);

void host_watch_free(struct host_watch *w); /* NULL is fine */

#endif
