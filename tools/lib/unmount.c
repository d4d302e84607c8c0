/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unmount.c - see unmount.h. */
#include "unmount.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <unistd.h>

#include "hidden-view.h"
#include "mount-table.h"
#include "subprocess.h"
#include "util/err.h"

void unmount_dead(const char *dir)
{
	struct subprocess c = {
		.words = {"fusermount3", "-u", "-z", "--", dir},
		.n = 5,
	};
	char ignored[256];

	if (umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && getuid() != 0)
		subprocess_run_quietly(&c, ignored, sizeof ignored);
}

void unmount_leftover(const struct mount_table *m, const char *view)
{
	struct subprocess_await daemon = {.n = 0};
	bool is_served;

	if (rmdir(view) == 0 || errno != EBUSY || mount_table_is_used(m, view))
		return;
	subprocess_await_begin(&daemon, "vdiskfs", view);
	is_served = daemon.n > 0;
	subprocess_await_end(&daemon, 0);
	if (is_served)
		return;
	unmount_dead(view);
	rmdir(view);
}

void unmount_leftovers(void)
{
	char *parent = hidden_view_parent(), path[PATH_MAX];
	DIR *dir = parent ? opendir(parent) : NULL;
	struct err ignored = ERR_INIT;
	struct mount_table m;
	struct dirent *d;

	/* A vdisk that is about to mount holds a shared lock: its mount point is still empty. */
	if (dir && flock(dirfd(dir), LOCK_EX | LOCK_NB) == 0) {
		if (mount_table_read(&m, &ignored) == 0)
			while ((d = readdir(dir)) != NULL)
				if (d->d_name[0] != '.' &&
					snprintf(path, sizeof path, "%s/%s", parent, d->d_name) <
						(int)sizeof path)
					unmount_leftover(&m, path);
		mount_table_free(&m);
	}
	if (dir)
		closedir(dir);
	free(parent);
}
