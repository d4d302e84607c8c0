/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image-mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "subprocess.h"
#include "fuse-conf.h"
#include "mount-home.h"
#include "report.h"
#include "unmount.h"
#include "util/err.h"

#define MAX_WORDS 24 /* -o of vdiskfs */

/* The daemon that was built with us, or else the one in PATH. */
static const char *daemon_path(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - sizeof "vdiskfs");
	char *slash;

	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		strcpy(slash + 1, "vdiskfs");
		if (access(path, X_OK) == 0)
			return path;
	}
	return "vdiskfs";
}

/* Words of -o. */

struct option_list {
	char *v[MAX_WORDS];
	unsigned n;
};

static void add_word(struct option_list *w, const char *option, const char *value)
{
	if (w->n == MAX_WORDS)
		return;
	w->v[w->n] = subprocess_option(option, value);
	if (w->v[w->n])
		w->n++;
}

static void add_words(
	struct option_list *w, const struct args *a, enum option_key key, const char *option)
{
	const struct given *g = &a->options[key];

	for (size_t i = 0; i < g->n; i++)
		add_word(w, option, g->v[i] ? g->v[i] : "");
}

/* Root may read what a user has mounted only if this is asked for; it lets programs that are
 * set-user-ID root read it, too. */
static void add_root(struct option_list *w)
{
	if (getuid() != 0 && fuse_conf_allows_other())
		add_word(w, "allow_root", "");
}

static void make_words(struct option_list *w, const struct args *a, int pipe, bool writable)
{
	char number[16];

	snprintf(number, sizeof number, "%d", pipe);
	w->n = 0;
	add_word(w, writable ? "rw" : "ro", "");
	add_word(w, "hints=vdisk", "");
	add_word(w, "holder=", number);
	add_root(w);
	add_words(w, a, OPT_FORMAT, "format=");
	add_words(w, a, OPT_SHARE, "share");
	add_words(w, a, OPT_ALLOW, "allow=");
	add_words(w, a, OPT_SEARCH, "search=");
	add_words(w, a, OPT_PARENT_FORMAT, "parent_format=");
	add_words(w, a, OPT_PASSPHRASE, "passphrase-file=");
	add_words(w, a, OPT_IGNORE_PARENT_ID, "ignore_parent_id");
	add_words(w, a, OPT_NO_SNAPSHOTS, "nosnapshots");
	add_words(w, a, OPT_SNAPSHOT, "snapshot=");
}

static bool run_daemon(const struct option_list *w, const char *image, const char *dir)
{
	char path[PATH_MAX];
	struct subprocess c = {.n = 0};
	int status;

	subprocess_add(&c, daemon_path(path, sizeof path));
	for (unsigned i = 0; i < w->n; i++) {
		subprocess_add(&c, "-o");
		subprocess_add(&c, w->v[i]);
	}
	subprocess_add(&c, "--");
	subprocess_add(&c, image);
	subprocess_add(&c, dir);
	status = w->n < MAX_WORDS ? subprocess_run(&c) : report("too many options");
	if (status == 127)
		report("vdiskfs is not installed");
	return status == 0;
}

/* The read end of the pipe is for the daemon alone, the write end for no other program. */
static bool show(struct image_mount *im, const struct args *a, const char *image, bool writable)
{
	struct option_list w;
	int ends[2];
	bool good;

	if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETFD, 0) < 0) {
		report("pipe: %s", strerror(errno));
		return false;
	}
	im->held = ends[1];
	make_words(&w, a, ends[0], writable);
	good = run_daemon(&w, image, im->dir);
	for (unsigned i = 0; i < w.n; i++)
		free(w.v[i]);
	close(ends[0]);
	if (!good)
		close(ends[1]);
	return good;
}

bool image_mount_begin(
	struct image_mount *im, const struct args *a, const char *image, bool writable)
{
	char *home = mount_home_path();
	struct err e = ERR_INIT;
	bool good = false;
	int lock;

	*im = (struct image_mount){.held = -1};
	unmount_leftovers();
	lock = home ? mount_home_lock(home, &e) : err_nomem(&e);
	if (lock >= 0 && asprintf(&im->dir, "%s/XXXXXX", home) < 0) {
		im->dir = NULL;
		err_nomem(&e);
	} else if (lock >= 0 && !mkdtemp(im->dir)) {
		err_set(&e, errno, "%s: %s", home, strerror(errno));
	} else if (lock >= 0) {
		good = show(im, a, image, writable);
		if (!good)
			rmdir(im->dir);
	}
	if (e.code)
		report_failure(&e);
	if (lock >= 0)
		close(lock);
	free(home);
	if (!good)
		free(im->dir);
	return good;
}

void image_mount_end(struct image_mount *im, bool await)
{
	struct subprocess_await daemon = {.n = 0};

	if (await)
		subprocess_await_begin(&daemon, "vdiskfs", im->dir);
	close(im->held);
	subprocess_await_end(&daemon, SUBPROCESS_AWAIT_DAEMON);
	free(im->dir);
}
