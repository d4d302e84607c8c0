/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* umount.c - undoes what vdisk mount has done, and returns only when the image is released. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/args.h"
#include "lib/subprocess.h"
#include "lib/mount-table.h"
#include "lib/report.h"
#include "lib/unmount.h"
#include "util/err.h"
#include "verbs.h"

static bool unmount(const char *dir, bool by_kernel)
{
	struct subprocess c = {.n = 0};
	int status;

	if (by_kernel || getuid() == 0) {
		subprocess_add(&c, "umount");
	} else {
		subprocess_add(&c, "fusermount3");
		subprocess_add(&c, "-u");
	}
	subprocess_add(&c, "--");
	subprocess_add(&c, dir);
	status = subprocess_run(&c);
	if (status == 127)
		report("%s is not installed", c.words[0]);
	return status == 0;
}

static bool await(struct subprocess_await *a, const char *dir, const char *who)
{
	if (subprocess_await_end(a, SUBPROCESS_AWAIT_DAEMON))
		return true;
	report("%s: %s has not ended yet", dir, who);
	return false;
}

/* A view that somebody has mounted by vdiskfs. */
static bool umount_view(const char *view)
{
	struct subprocess_await daemon;

	subprocess_await_begin(&daemon, "vdiskfs", view);
	if (!unmount(view, false)) {
		subprocess_await_end(&daemon, 0);
		return false;
	}
	return await(&daemon, view, "its daemon");
}

/* A program that serves the file system has the name of its file on its command line. */
static bool umount_dir(const struct mounted *x)
{
	struct subprocess_await program = {.n = 0};
	char file[2 * PATH_MAX];
	bool good;

	snprintf(file, sizeof file, "%s/%s", x->view, x->file);
	if (!x->by_kernel)
		subprocess_await_begin(&program, "", file);
	good = unmount(x->dir, x->by_kernel);
	if (good)
		return await(&program, x->dir, "the program that served it");
	subprocess_await_end(&program, 0);
	return false;
}

/* The daemon behind it ends when nothing else is mounted from the image; a killed one leaves its
 * mount. */
static bool await_view(const struct mounted *x, struct subprocess_await *daemon)
{
	struct err e = ERR_INIT;
	struct mount_table m;
	bool good = mount_table_read(&m, &e) == 0;

	if (!good)
		report_failure(&e);
	else if (mount_table_is_used(&m, x->view))
		subprocess_await_end(daemon, 0);
	else if (daemon->n > 0)
		good = await(daemon, x->dir, "the daemon behind it");
	else
		unmount_leftover(&m, x->view);
	mount_table_free(&m);
	return good;
}

/* The file that is mounted; as long as it is open the daemon goes on.  -1: it cannot be had. */
static int open_file(const struct mounted *x)
{
	char file[2 * PATH_MAX];

	snprintf(file, sizeof file, "%s/%s", x->view, x->file);
	return x->view[0] ? open(file, O_RDONLY | O_CLOEXEC) : -1;
}

/* Closes fd, too.  0 or an errno. */
static int sync_by(int (*sync)(int fd), int fd)
{
	int code = fd < 0 || sync(fd) == 0 ? 0 : errno;

	if (fd >= 0)
		close(fd);
	return code == EINVAL || code == EROFS ? 0 : code;
}

/* umount(8) does not say that something could not be written: the kernel knows it of its file
 * system before, the daemon of the image afterwards. */
static bool sync_and_umount(const struct mounted *x)
{
	int file = open_file(x), before, after;
	bool good;

	before = sync_by(syncfs, open(x->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	good = umount_dir(x);
	after = sync_by(fsync, file);
	if (!good || (before == 0 && after == 0))
		return good;
	report("%s: not all that was written to %s is in it: %s", x->image, x->dir,
		strerror(before ? before : after));
	return false;
}

/* A file system, and what vdisk mount has put behind it. */
static bool umount_file(const struct mounted *x)
{
	struct subprocess_await daemon = {.n = 0};
	bool good;

	if (x->hidden)
		subprocess_await_begin(&daemon, "vdiskfs", x->view);
	good = sync_and_umount(x);
	if (x->hidden)
		return await_view(x, &daemon) && good;
	return good;
}

int run_umount(const struct args *a)
{
	const struct mounted *x;
	struct err e = ERR_INIT;
	struct mount_table m;
	char *dir;
	bool good;

	if (a->n != 1)
		return args_misused("Expecting one directory");
	dir = realpath(a->operands[0], NULL);
	if (!dir)
		return report("%s: %s", a->operands[0], strerror(errno));
	x = mount_table_read(&m, &e) == 0 ? mount_table_find(&m, dir) : NULL;
	if (e.code)
		good = !report_failure(&e);
	else if (!x)
		good = !report("%s: nothing of a disk image is mounted there", dir);
	else
		good = x->file ? umount_file(x) : umount_view(x->view);
	mount_table_free(&m);
	free(dir);
	unmount_leftovers();
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
