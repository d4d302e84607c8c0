/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* umount.c - unmounts a view or a file system, and waits until the image is released.
 *
 * umount(8) returns as soon as the mount is gone.  The programs that served it still write and
 * close the image then, so they are found before and waited for afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/args.h"
#include "lib/filenames.h"
#include "lib/subprocess.h"
#include "lib/mount-table.h"
#include "lib/opened.h"
#include "lib/report.h"
#include "lib/unmount.h"
#include "util/err.h"
#include "io/mountinfo.h"
#include "verbs.h"

static bool await(struct subprocess_await *a, const char *dir, const char *program)
{
	if (subprocess_await_end(a, SUBPROCESS_AWAIT_DAEMON))
		return true;
	report("%s: %s has not exited yet", dir, program);
	return false;
}

/* Unmounts dir and waits for the program that served it. */
static bool unmount(
	const char *dir, bool by_kernel, struct subprocess_await *a, const char *program)
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
	if (status == 0)
		return await(a, dir, program);
	subprocess_await_end(a, 0);
	return false;
}

/* The daemon ends unless something else is mounted from its view.  If it was killed, its mount is
 * left. */
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
		good = await(daemon, x->dir, "its daemon");
	else
		unmount_leftover(&m, x->view);
	mount_table_free(&m);
	return good;
}

/* Syncs and closes fd; returns 0 or an errno. */
static int sync_by(int (*sync)(int fd), int fd)
{
	int code = fd < 0 || sync(fd) == 0 ? 0 : errno;

	if (fd >= 0)
		close(fd);
	return code == EINVAL || code == EROFS ? 0 : code;
}

/* Unmounts a file system, and its view if vdisk mount created it.
 *
 * umount(8) does not report write errors.  The kernel reports those of its file system to syncfs(2)
 * before, the daemon those of the image to fsync(2) afterwards; the open file keeps it running. */
static bool umount_file(const struct mounted *x)
{
	struct subprocess_await daemon = {.n = 0}, program = {.n = 0};
	char path[2 * PATH_MAX];
	int file, before, after;
	bool good;

	snprintf(path, sizeof path, "%s/%s", x->view, x->file);
	if (x->hidden)
		subprocess_await_begin(&daemon, "vdiskfs", x->view);
	/* A FUSE program has the path of its file on its command line. */
	if (!x->by_kernel)
		subprocess_await_begin(&program, "", path);
	file = x->view[0] ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	before = sync_by(syncfs, open(x->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	good = unmount(x->dir, x->by_kernel, &program, "the program that served it");
	after = sync_by(fsync, file);
	if (good && (before || after))
		good = !report("%s: some data written to %s was lost: %s", x->image, x->dir,
			strerror(before ? before : after));
	return (!x->hidden || await_view(x, &daemon)) && good;
}

/* Unmounts a view, and removes the mount point that vdisk open created in parent.  The daemon was
 * perhaps started with another path of the mount point; its supervisor, whose name tells the mount,
 * ends when the image is closed. */
static bool umount_view(const struct mounted *x, const char *parent)
{
	struct subprocess_await daemon = {.n = 0};
	char supervisor[MOUNTINFO_NAME];
	bool good;

	mountinfo_process_name(supervisor, x->dev);
	subprocess_await_begin(&daemon, supervisor, NULL);
	subprocess_await_begin(&daemon, "vdiskfs", x->view);
	good = unmount(x->view, false, &daemon, "its daemon");
	if (good && parent && opened_has(parent, x))
		rmdir(x->dir);
	return good;
}

/* path is a mount point, or an image or directory that vdisk open has mounted. */
static bool umount_path(const struct mount_table *m, const char *path)
{
	struct err ignored = ERR_INIT;
	char *parent = opened_parent(&ignored);
	const struct mounted *x = mount_table_find(m, path);
	struct stat st;
	bool good;

	if (!x && parent)
		x = opened_find(m, parent, path);
	if (x) {
		good = x->file ? umount_file(x) : umount_view(x, parent);
	} else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		good = !report("%s: no disk image is mounted there", path);
	} else {
		good = !report("%s: not mounted by vdisk open", path);
		report_advice("vdisk list lists the mounts");
	}
	free(parent);
	return good;
}

int run_umount(const struct args *a)
{
	struct err e = ERR_INIT;
	struct mount_table m;
	char *path;
	bool good;

	if (a->n != 1)
		return args_misused("Expecting one directory or image");
	path = filenames_resolve(a->operands[0]);
	if (!path)
		return report("%s: %s", a->operands[0], strerror(errno));
	good = mount_table_read(&m, &e) == 0 ? umount_path(&m, path) : !report_failure(&e);
	mount_table_free(&m);
	free(path);
	unmount_leftovers();
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
