/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image-mount.c - see image-mount.h. */
#include "image-mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "args.h"
#include "subprocess.h"
#include "hidden-view.h"
#include "private-dir.h"
#include "report.h"
#include "unmount.h"
#include "util/err.h"
#include "util/string-list.h"

/* Prefers the daemon in the directory of this executable: both are of the same build.  Else PATH
 * has it. */
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

static bool add_option(struct string_list *options, const char *name, const char *value)
{
	char *option = subprocess_option(name, value);
	bool good = option && string_list_add(options, option);

	free(option);
	return good;
}

/* Passes on each value of the option key as the option name of the daemon. */
static bool pass_on(
	struct string_list *options, const struct args *a, enum option_key key, const char *name)
{
	const struct given *g = &a->options[key];
	bool good = true;

	for (size_t i = 0; i < g->n && good; i++)
		good = add_option(options, name, g->v[i] ? g->v[i] : "");
	return good;
}

/* Options of every mount. */
static bool make_options(struct string_list *options, const struct args *a, bool writable)
{
	return add_option(options, writable ? "rw" : "ro", "") &&
	       add_option(options, "hints=vdisk", "") &&
	       pass_on(options, a, OPT_FORMAT, "format=") &&
	       pass_on(options, a, OPT_SHARE, "share") &&
	       pass_on(options, a, OPT_ALLOW, "allow=") &&
	       pass_on(options, a, OPT_SEARCH, "search=") &&
	       pass_on(options, a, OPT_PARENT, "backing=") &&
	       pass_on(options, a, OPT_PARENT_FORMAT, "parent_format=") &&
	       pass_on(options, a, OPT_PASSPHRASE, "passphrase-file=") &&
	       pass_on(options, a, OPT_LUKS_HEADER, "luks-header=") &&
	       pass_on(options, a, OPT_LUKS_MEMORY, "luks-memory=") &&
	       pass_on(options, a, OPT_IGNORE_PARENT_ID, "ignore_parent_id") &&
	       pass_on(options, a, OPT_NO_SNAPSHOTS, "nosnapshots") &&
	       pass_on(options, a, OPT_NBD_TIMEOUT, "nbd-timeout=") &&
	       pass_on(options, a, OPT_TLS_CERTS, "tls-certs=") &&
	       pass_on(options, a, OPT_TLS_PSK, "tls-psk=") &&
	       pass_on(options, a, OPT_SNAPSHOT, "snapshot=");
}

/* -o allow_root is added for root to mount a file system from a user's view.  It needs
 * user_allow_other, since it gives access to set-user-ID programs, too. */
static bool add_holder(struct string_list *options, int pipe)
{
	char number[16];

	snprintf(number, sizeof number, "%d", pipe);
	return add_option(options, "holder=", number) &&
	       (getuid() == 0 || !hidden_view_admits_root() ||
		       add_option(options, "allow_root", ""));
}

static bool run_daemon(const struct string_list *options, const char *image, const char *dir)
{
	char path[PATH_MAX];
	struct subprocess c = {.n = 0};
	int status;

	if (2 * options->n + 4 > SUBPROCESS_WORDS)
		return !report("too many options");
	subprocess_add(&c, daemon_path(path, sizeof path));
	for (size_t i = 0; i < options->n; i++) {
		subprocess_add(&c, "-o");
		subprocess_add(&c, options->v[i]);
	}
	subprocess_add(&c, "--");
	subprocess_add(&c, image);
	subprocess_add(&c, dir);
	status = subprocess_run(&c);
	if (status == 127)
		report("vdiskfs is not installed");
	return status == 0;
}

/* The daemon inherits the read end of the pipe; no other program inherits the write end, so that
 * the daemon notices the end of this process. */
static bool show(struct image_mount *im, const struct args *a, const char *image, bool writable)
{
	struct string_list options = {0};
	int ends[2];
	bool good;

	if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETFD, 0) < 0)
		return !report("pipe: %s", strerror(errno));
	im->held = ends[1];
	good = make_options(&options, a, writable) && add_holder(&options, ends[0]);
	if (good)
		good = run_daemon(&options, image, im->dir);
	else
		report("out of memory");
	string_list_free(&options);
	close(ends[0]);
	if (!good)
		close(ends[1]);
	return good;
}

bool image_mount_begin(
	struct image_mount *im, const struct args *a, const char *image, bool writable)
{
	char *parent = hidden_view_parent();
	struct err e = ERR_INIT;
	bool good = false;
	int lock;

	*im = (struct image_mount){.held = -1};
	unmount_leftovers();
	lock = parent ? private_dir_lock(parent, LOCK_SH, &e) : err_nomem(&e);
	if (lock >= 0 && asprintf(&im->dir, "%s/XXXXXX", parent) < 0) {
		im->dir = NULL;
		err_nomem(&e);
	} else if (lock >= 0 && !mkdtemp(im->dir)) {
		err_set(&e, errno, "%s: %s", parent, strerror(errno));
	} else if (lock >= 0) {
		good = show(im, a, image, writable);
		if (!good)
			rmdir(im->dir);
	}
	if (e.code)
		report_failure(&e);
	if (lock >= 0)
		close(lock);
	free(parent);
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

bool image_mount_stay(const struct args *a, const char *image, const char *dir)
{
	struct string_list options = {0};
	bool good = make_options(&options, a, false);

	if (good)
		good = run_daemon(&options, image, dir);
	else
		report("out of memory");
	string_list_free(&options);
	return good;
}
