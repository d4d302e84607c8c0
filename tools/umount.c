/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* umount.c - undoes what vdisk mount has done, and returns only when the image is released. */
#include "umount.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <unistd.h>

#include "args.h"
#include "child.h"
#include "mounts.h"
#include "report.h"
#include "run.h"

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
	status = command_run(&c);
	if (status == 127)
		report("%s is not installed", c.words[0]);
	return status == 0;
}

static bool await(struct awaited *a, const char *dir, const char *who)
{
	if (await_end(a, AWAIT_DAEMON))
		return true;
	report("%s: %s has not ended yet", dir, who);
	return false;
}

/* A view that somebody has mounted by vdiskfs. */
static bool umount_view(const char *view)
{
	struct awaited daemon;

	await_begin(&daemon, "vdiskfs", view);
	if (!unmount(view, false)) {
		await_end(&daemon, 0);
		return false;
	}
	return await(&daemon, view, "its daemon");
}

void umount_dead(const char *dir)
{
	struct command c = {.n = 0};
	char said[256];

	if (umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || getuid() == 0)
		return;
	command_add(&c, "fusermount3");
	command_add(&c, "-u");
	command_add(&c, "-z");
	command_add(&c, "--");
	command_add(&c, dir);
	command_run_quietly(&c, said, sizeof said);
}

static bool is_served(const char *view)
{
	struct awaited daemon;
	bool served;

	await_begin(&daemon, "vdiskfs", view);
	served = daemon.n > 0;
	await_end(&daemon, 0);
	return served;
}

/* What a daemon and its attendant leave behind when both are killed. */
static void remove_leftover(const struct mounts *m, const char *view)
{
	if (rmdir(view) == 0 || errno != EBUSY || mounts_is_used(m, view) || is_served(view))
		return;
	umount_dead(view);
	rmdir(view);
}

/* Whoever is about to mount there has a shared lock. */
static void remove_leftovers(const char *home)
{
	char path[PATH_MAX];
	struct mounts m;
	struct dirent *d;
	DIR *dir = opendir(home);

	if (dir && flock(dirfd(dir), LOCK_EX | LOCK_NB) == 0 && mounts_read(&m)) {
		while ((d = readdir(dir)) != NULL)
			if (d->d_name[0] != '.' && snprintf(path, sizeof path, "%s/%s", home,
							   d->d_name) < (int)sizeof path)
				remove_leftover(&m, path);
		mounts_free(&m);
	}
	if (dir)
		closedir(dir);
}

void umount_leftovers(void)
{
	char *home = mounts_home(false);

	if (home)
		remove_leftovers(home);
	free(home);
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
	if (good)
		return await(&program, x->dir, "the program that served it");
	await_end(&program, 0);
	return false;
}

/* The daemon behind it ends when nothing else is mounted from the image; a killed one leaves its
 * mount. */
static bool await_view(const struct mounted *x, struct awaited *daemon)
{
	struct mounts m;
	bool good = mounts_read(&m);

	if (good && mounts_is_used(&m, x->view))
		await_end(daemon, 0);
	else if (good && daemon->n > 0)
		good = await(daemon, x->dir, "the daemon behind it");
	else if (good)
		remove_leftover(&m, x->view);
	mounts_free(&m);
	return good;
}

/* A file system, and what vdisk mount has put behind it. */
static bool umount_file(const struct mounted *x)
{
	struct awaited daemon = {.n = 0};

	if (x->hidden)
		await_begin(&daemon, "vdiskfs", x->view);
	if (umount_dir(x))
		return !x->hidden || await_view(x, &daemon);
	await_end(&daemon, 0);
	return false;
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
		good = x->file ? umount_file(x) : umount_view(x->view);
	mounts_free(&m);
	free(dir);
	umount_leftovers();
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
