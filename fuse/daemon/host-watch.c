/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* host-watch.c - see host-watch.h.
 *
 * Events come in bursts (a copy: created, written, closed), so they are gathered for a moment.
 * Their details do not matter: a directory with an event is read again and compared with the tree.
 *
 * Lock rule: the lock protects the table of watched directories only.  It is not held while the
 * tree is refreshed, which calls host_watch_add.
 */
#include "io/host.h"
#include "host-watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <search.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/string-list.h"
#include "base/log.h"
#include "base/process.h"
#include "tree/image-pool.h"
#include "tree/node.h"
#include "tree/pooled-image.h"
#include "tree/tree.h"

#define EVENTS                                                                                     \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB |        \
		IN_ONLYDIR | IN_EXCL_UNLINK)

#define GATHER     50   /* ms without an event, after which the gathered ones are handled */
#define GATHER_MAX 20   /* maximum number of such waits */
#define PATIENCE   3600 /* s, limit of one wait */

struct watched {
	int wd;
	bool changed;
	struct watched *next; /* in the list of changed directories */
	char *path;
};

struct host_watch {
	struct image_pool *pool;
	struct tree *tree;
	struct log *log;
	unsigned idle;
	int inotify, wake;
	pthread_mutex_t lock; /* protects the next four members */
	void *dirs;           /* by wd */
	struct watched *changed;
	bool lost;      /* events were lost: anything may have changed */
	bool unwatched; /* some directory is not watched */
	atomic_bool ending;
	bool started;
	pthread_t thread;
};

static int by_wd(const void *a, const void *b)
{
	const struct watched *x = a, *y = b;

	return (x->wd > y->wd) - (x->wd < y->wd);
}

static void free_watched(void *dir)
{
	struct watched *d = dir;

	free(d->path);
	free(d);
}

/* True if the directory is new.  A directory that was moved has the same wd, and gets its new path.
 */
static bool remember(struct host_watch *w, int wd, const char *path)
{
	struct watched *d = calloc(1, sizeof *d), **slot = NULL;
	char *copy = strdup(path);
	bool new;

	if (d) {
		d->wd = wd;
		slot = tsearch(d, &w->dirs, by_wd);
	}
	new = slot && (*slot == d);
	if (slot && copy) {
		free((*slot)->path);
		(*slot)->path = copy;
	} else {
		free(copy);
	}
	if (!new)
		free(d);
	return new;
}

bool host_watch_add(void *arg, const char *path)
{
	struct host_watch *w = arg;
	bool new = false;
	int wd;

	pthread_mutex_lock(&w->lock);
	wd = host_watch(w->inotify, path, EVENTS);
	if (wd >= 0) {
		new = remember(w, wd, path);
	} else if (!w->unwatched && errno != EXDEV) { /* FUSE mounts are not watched */
		w->unwatched = true;
		log_error(w->log, "%s: cannot be watched: %s; changes are noticed late", path,
			strerror(errno));
	}
	pthread_mutex_unlock(&w->lock);
	return new;
}

/* Reads all pending events. */
static void read_events(struct host_watch *w)
{
	_Alignas(struct inotify_event) char buf[16384];
	ssize_t n;

	pthread_mutex_lock(&w->lock);
	while ((n = read(w->inotify, buf, sizeof buf)) > 0)
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *event = (const void *)p;
			struct watched key = {.wd = event->wd}, **d = tfind(&key, &w->dirs, by_wd);

			if (event->mask & IN_Q_OVERFLOW)
				w->lost = true;
			if (d && !(*d)->changed) {
				(*d)->changed = true;
				(*d)->next = w->changed;
				w->changed = *d;
			}
			p += sizeof *event + event->len;
		}
	pthread_mutex_unlock(&w->lock);
}

/* Directories to read again. */
struct look {
	bool all;
	struct string_list dirs;
};

/* Called for parents before children: a directory decides which files of those below belong to one
 * of its machines. */
static void look_at_dir(void *arg, struct node *node)
{
	const struct look *look = arg;
	bool changed = look->all;

	if (node->kind != NODE_FOLDER)
		return;
	for (size_t i = 0; i < look->dirs.n && !changed; i++)
		changed = node_shows_dir(node, look->dirs.v[i]) ||
			  (node->parent != node && node_shows_dir(node->parent, look->dirs.v[i]));
	if (changed)
		tree_refresh(node);
}

static void look_at_image(void *arg, struct node *node)
{
	(void)arg;
	if (!node->image)
		return;
	if (pooled_image_has_changed(node->image))
		tree_reset(node);
	else
		tree_retry(node);
}

/* Refreshes the changed directories, or all, and then all images. */
static void look_again(struct host_watch *w, bool all)
{
	struct look look = {.all = all};

	pthread_mutex_lock(&w->lock);
	look.all |= w->lost;
	w->lost = false;
	for (struct watched *d; (d = w->changed) != NULL;) {
		w->changed = d->next;
		d->changed = false;
		look.all |= !d->path || !string_list_add(&look.dirs, d->path);
	}
	pthread_mutex_unlock(&w->lock);
	if (look.all || look.dirs.n > 0) {
		tree_each_top(w->tree, look_at_dir, &look);
		tree_each_top(w->tree, look_at_image, NULL);
	}
	string_list_free(&look.dirs);
}

static void retry(void *arg, struct node *node)
{
	(void)arg;
	tree_retry(node);
}

/* Waits up to ms; true if there is an event. */
static bool await_event(const struct host_watch *w, int ms)
{
	struct pollfd fds[] = {
		{.fd = w->inotify, .events = POLLIN},
		{.fd = w->wake, .events = POLLIN},
	};

	return poll(fds, 2, ms) > 0 && (fds[0].revents & POLLIN);
}

static void *watch_loop(void *arg)
{
	struct host_watch *w = arg;
	time_t period = MAX((time_t)w->idle, 1), due = process_now() + period;
	bool unwatched;

	while (!atomic_load(&w->ending)) {
		int left = image_pool_close_idle(w->pool);
		time_t wait = MAX(due - process_now(), 0);

		if (left >= 0)
			wait = MIN(wait, (time_t)left);
		if (await_event(w, (int)MIN(wait, PATIENCE) * 1000)) {
			for (int i = 0; i < GATHER_MAX && !atomic_load(&w->ending); i++) {
				read_events(w);
				if (!await_event(w, GATHER))
					break;
			}
			look_again(w, false);
		}
		if (process_now() < due)
			continue;
		/* Without an event: retries images, and reads directories that are not watched. */
		pthread_mutex_lock(&w->lock);
		unwatched = w->unwatched;
		pthread_mutex_unlock(&w->lock);
		if (tree_errors(w->tree) > 0)
			tree_each_top(w->tree, retry, NULL);
		if (unwatched)
			look_again(w, true);
		due = process_now() + period;
	}
	return NULL;
}

struct host_watch *host_watch_new(
	struct image_pool *pool, unsigned idle, struct log *log, struct err *e)
{
	struct host_watch *w = calloc(1, sizeof *w);

	if (!w) {
		err_nomem(e);
		return NULL;
	}
	w->pool = pool;
	w->idle = idle;
	w->log = log;
	w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&w->lock, NULL);
	if (w->inotify >= 0 && w->wake >= 0)
		return w;
	err_set(e, errno, "inotify: %s", strerror(errno));
	host_watch_free(w);
	return NULL;
}

int host_watch_start(struct host_watch *w, struct tree *tree, struct err *e)
{
	int ret;

	w->tree = tree;
	ret = process_thread(&w->thread, watch_loop, w, e);
	w->started = ret == 0;
	return ret;
}

void host_watch_end(struct host_watch *w)
{
	if (!w->started)
		return;
	atomic_store(&w->ending, true);
	eventfd_write(w->wake, 1);
	pthread_join(w->thread, NULL);
	w->started = false;
}

void host_watch_free(struct host_watch *w)
{
	if (!w)
		return;
	tdestroy(w->dirs, free_watched);
	pthread_mutex_destroy(&w->lock);
	if (w->inotify >= 0)
		close(w->inotify);
	if (w->wake >= 0)
		close(w->wake);
	free(w);
}
