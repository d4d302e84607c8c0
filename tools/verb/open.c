/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* open.c - mounts an image and opens its folder in the file manager.
 *
 * The mount is not tied to this process: a desktop starts it for a double click, and the windows
 * that show the folder are of another process.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/args.h"
#include "lib/filenames.h"
#include "lib/image-mount.h"
#include "lib/mount-table.h"
#include "lib/opened.h"
#include "lib/private-dir.h"
#include "lib/report.h"
#include "lib/subprocess.h"
#include "lib/unmount.h"
#include "util/err.h"
#include "util/protocol.h"
#include "verbs.h"

/* Removes a mount whose daemon was killed.  stat(2) may answer from the cache of the kernel. */
static bool is_alive(const struct mounted *x)
{
	struct statvfs st;

	if (statvfs(x->dir, &st) == 0 || errno != ENOTCONN)
		return true;
	unmount_dead(x->dir);
	return false;
}

/* Mounts image, or finds its mount; returns the mount point, malloc'ed, or NULL after an error. */
static char *mount_once(const struct args *a, const char *parent, const char *image)
{
	struct err e = ERR_INIT;
	const struct mounted *x;
	struct mount_table m;
	char *dir = NULL;

	if (mount_table_read(&m, &e) < 0) {
		mount_table_free(&m);
		report_failure(&e);
		return NULL;
	}
	x = opened_find(&m, parent, image);
	dir = x ? strdup(x->dir) : opened_new_dir(&m, parent, image, &e);
	if (!dir && x)
		err_nomem(&e);
	if (!dir) {
		report_failure(&e);
	} else if ((!x || !is_alive(x)) && !image_mount_stay(a, image, dir)) {
		rmdir(dir);
		free(dir);
		dir = NULL;
	}
	mount_table_free(&m);
	return dir;
}

/* Two vdisk open of an image at a time create one mount. */
static char *open_image(const struct args *a, const char *image)
{
	char *dir = NULL, *parent;
	struct err e = ERR_INIT;
	int lock;

	parent = opened_parent(&e);
	if (!parent) {
		report_failure(&e);
		report_advice("vdiskfs IMAGE DIR mounts an image on any directory");
		return NULL;
	}
	lock = private_dir_lock(parent, LOCK_EX, &e);
	if (lock < 0) {
		report_failure(&e);
	} else {
		dir = mount_once(a, parent, image);
		close(lock);
	}
	free(parent);
	return dir;
}

/* Opens dir in the file manager, or prints it. */
static int show(const char *dir, bool print)
{
	struct subprocess c = {.words = {"xdg-open", dir}, .n = 2};
	char path[PATH_MAX];
	int status;

	if (print || !subprocess_find("xdg-open", path, sizeof path)) {
		puts(dir);
		return EXIT_SUCCESS;
	}
	status = subprocess_run(&c);
	if (status == 0)
		return EXIT_SUCCESS;
	return report("%s: mounted, but not opened: xdg-open failed with status %d", dir, status);
}

int run_open(const struct args *a)
{
	struct err e = ERR_INIT;
	char *image, *dir;
	int status;

	if (a->n != 1)
		return args_misused("Expecting one image or directory");
	if (!protocol_is_nbd(a->operands[0]) && protocol_refuse(a->operands[0], &e) < 0)
		return report_failure(&e);
	image = filenames_resolve(a->operands[0]);
	if (!image)
		return report("%s: %s", a->operands[0], strerror(errno));
	dir = open_image(a, image);
	status = dir ? show(dir, args_has(a, OPT_PRINT)) : EXIT_FAILURE;
	free(dir);
	free(image);
	return status;
}
