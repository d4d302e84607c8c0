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
struct watch;

/* Before the sandbox: afterwards only what was opened here can be had. */
struct watch *watch_new(struct image_pool *pool, unsigned idle, struct log *log, struct err *e);

/* As of struct shown_dir; arg is a struct watch.  Any thread. */
bool watch_dir(void *arg, const char *path);

/* Starts the thread; after the last fork. */
int watch_start(struct watch *w, struct tree *tree, struct err *e);

/* Ends it, if it was started, before the tree goes. */
void watch_end(struct watch *w);

void watch_free(struct watch *w); /* NULL is fine */

#endif
