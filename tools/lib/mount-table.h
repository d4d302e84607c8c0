/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mount-table.h - the mounts of disk images: views, which vdiskfs serves, and file systems that are
 * mounted from a file of a view. */
#ifndef VDISK_TOOLS_LIB_MOUNT_TABLE_H
#define VDISK_TOOLS_LIB_MOUNT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

struct mounted {
	char *image; /* the image or directory that vdiskfs shows */
	char *view;  /* the mount point of vdiskfs; "" if it is no longer mounted */
	char *file; /* mounted from this file below view, "partitions/1.raw"; NULL: this is the view
		     */
	char *dir;  /* the mount point */
	dev_t dev;
	bool hidden;    /* vdisk mount created the view for one file system */
	bool by_kernel; /* mounted by the kernel through a loop device */
};

/* Views come first, then file systems, each in the order in which they were mounted. */
struct mount_table {
	struct mounted *list;
	size_t n;
};

/* Reads the kernel's list of mounts.  Free the table also after an error. */
int mount_table_read(struct mount_table *m, struct err *e);
void mount_table_free(struct mount_table *m);

/* The topmost mount of a disk image on dir, an absolute path without links; NULL: none. */
const struct mounted *mount_table_find(const struct mount_table *m, const char *dir);

/* False for a hidden view from which a file system is mounted: users see that file system only. */
bool mount_table_is_shown(const struct mount_table *m, const struct mounted *x);

/* Is a file system mounted from this view? */
bool mount_table_is_used(const struct mount_table *m, const char *view);

/* The mount point at which file, or a directory that contains it, is mounted; malloc'ed.  NULL: not
 * found, for example because file is only a parent of the mounted image. */
char *mount_table_holder(const char *file);

#endif
