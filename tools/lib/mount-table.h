/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mount-table.h - what of images is mounted: views, which vdiskfs shows, and file systems on the
 * files of views. */
#ifndef VDISK_TOOLS_LIB_MOUNT_TABLE_H
#define VDISK_TOOLS_LIB_MOUNT_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct mounted {
	char *image; /* what vdiskfs was told to show */
	char *view;  /* where it is shown */
	char *file;  /* below view, "partitions/1.raw"; NULL: this is the view itself */
	char *dir;   /* where the file system is mounted that is in the file; or the view itself */
	bool hidden; /* a view that vdisk mount has made */
	bool by_kernel; /* a file system of the kernel's, through a loop device */
};

struct mounts {
	struct mounted *list;
	size_t n;
};

/* False: it cannot be known, and that has been told. */
bool mounts_read(struct mounts *m);
void mounts_free(struct mounts *m);

/* What is mounted on dir, an absolute path without links, last; NULL: nothing of ours. */
const struct mounted *mounts_find(const struct mounts *m, const char *dir);

/* Does it concern users?  A view that was made for a file system alone does not. */
bool mounts_is_shown(const struct mounts *m, const struct mounted *x);

/* Is something mounted from this view? */
bool mounts_is_used(const struct mounts *m, const char *view);

/* May a user let others, and root, read what he mounts? */
bool mounts_may_allow_other(void);

/* The directory in which vdisk mount puts its views, made if need be; malloc'ed, or NULL when it
 * cannot be had and make is set, which has been told. */
char *mounts_home(bool make);

#endif
