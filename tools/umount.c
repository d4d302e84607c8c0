/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* umount.c - undoes what vdisk mount has done, and returns only when the image is released. */
#include "umount.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "child.h"
#include "mounts.h"
#include "report.h"
#include "run.h"

#define PATIENCE 60 /* seconds for a daemon to write out what it has and to end */

static bool unmount(const char *dir, bool by_kernel)
{
	struct command c = {.n = 0};
	int status;

	if (by_kernel || getuid() == 0) {
		command_add(&c, "umount");
	} else {
		command_add(&c, "fusermount3");
		command_add(&c, "-u");
	}
	command_add(&c, "--");
	command_add(&c, dir);
	status = command_run(&c, false);
	if (status == 127)
		report("%s is not installed", c.words[0]);
	return status == 0;
}

/* A loop device lets go of its file a moment after its last user is gone. */
static bool unmount_soon(const char *view)
{
	const struct timespec moment = {.tv_nsec = 20000000};

	for (int i = 0; getuid() == 0 && i < 250; i++) {
		if (umount2(view, UMOUNT_NOFOLLOW) == 0)
			return true;
		if (errno != EBUSY)
			break;
		nanosleep(&moment, NULL);
	}
	return unmount(view, false);
}

bool umount_view(const char *view, bool hidden)
{
	struct awaited daemon;

	await_begin(&daemon, "vdiskfs", view);
	if (!unmount_soon(view)) {
		await_end(&daemon, 0);
		return false;
	}
	if (!await_end(&daemon, PATIENCE)) {
		report("%s: its daemon has not ended yet", view);
		return false;
	}
	if (hidden && rmdir(view) < 0)
		report("%s: %s", view, strerror(errno));
	return true;
}

static bool is_used(const struct mounts *m, const char *view)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->list[i].file && strcmp(m->list[i].view, view) == 0)
			return true;
	return false;
}

/* A program that serves the file system has the name of its file on its command line. */
static bool umount_dir(const struct mounted *x)
{
	struct awaited program = {.n = 0};
	char file[2 * PATH_MAX];
	bool good;

	snprintf(file, sizeof file, "%s/%s", x->view, x->file);
	if (!x->by_kernel)
		await_begin(&program, "", file);
	good = unmount(x->dir, x->by_kernel);
	if (!await_end(&program, good ? PATIENCE : 0) && good) {
		report("%s: the program that served it has not ended yet", x->dir);
		return false;
	}
	return good;
}

/* A file system, and the view behind it if vdisk mount has made that and nothing else is on it. */
static bool umount_file(const struct mounted *x)
{
	struct mounts m;
	bool good;

	if (!umount_dir(x))
		return false;
	if (!x->hidden)
		return true;
	good = mounts_read(&m);
	if (good && !is_used(&m, x->view))
		good = umount_view(x->view, true);
	mounts_free(&m);
	return good;
}

int run_umount(const struct args *a)
{
	const struct mounted *x;
	struct mounts m;
	char *dir;
	bool good;

	if (a->n != 1)
		return args_misused("Expecting one directory");
	dir = realpath(a->operands[0], NULL);
	if (!dir)
		return report("%s: %s", a->operands[0], strerror(errno));
	good = mounts_read(&m);
	x = good ? mounts_find(&m, dir) : NULL;
	if (good && !x) {
		report("%s: nothing of a disk image is mounted there", dir);
		good = false;
	}
	if (x)
		good = x->file ? umount_file(x) : umount_view(x->view, x->hidden);
	mounts_free(&m);
	free(dir);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
