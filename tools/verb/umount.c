/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* umount.c - undoes what vdisk mount has done, and returns only when the image is released. */
#include "umount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <unistd.h>

#include "lib/args.h"
#include "lib/subprocess.h"
#include "lib/mount-table.h"
#include "lib/report.h"
#include "verbs.h"

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
	struct awaited daemon = {.n = 0};
	bool good;

	if (x->hidden)
		await_begin(&daemon, "vdiskfs", x->view);
	good = sync_and_umount(x);
	if (x->hidden)
		return await_view(x, &daemon) && good;
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
		good = x->file ? umount_file(x) : umount_view(x->view);
	mounts_free(&m);
	free(dir);
	umount_leftovers();
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
