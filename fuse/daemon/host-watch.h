/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* host-watch.h - a thread for the mount of a directory: it notices files that are created, deleted
 * and changed (inotify), closes idle images, and retries images that could not be opened.
 */
#ifndef VDISKFS_DAEMON_HOST_WATCH_H
#define VDISKFS_DAEMON_HOST_WATCH_H

#include <stdbool.h>

struct err;
struct log;
struct image_pool;
struct tree;
struct host_watch;

/* To be called before the sandbox, in which inotify cannot be opened. */
struct host_watch *host_watch_new(
	struct image_pool *pool, unsigned idle, struct log *log, struct err *e);

/* Watches a directory; true if it was not watched before.  arg is a struct host_watch: see struct
 * shown_dir.  Any thread. */
bool host_watch_add(void *arg, const char *path);

/* Starts the thread.  To be called after the last fork. */
int host_watch_start(struct host_watch *w, struct tree *tree, struct err *e);

/* Ends the thread, if it was started.  To be called before tree_free. */
void host_watch_end(struct host_watch *w);

void host_watch_free(struct host_watch *w); /* NULL is fine */

#endif
