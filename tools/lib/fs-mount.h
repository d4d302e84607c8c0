/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fs-mount.h - mounts the file system in a file of a view: by the kernel for root, else by a FUSE
 * program. */
#ifndef VDISK_TOOLS_LIB_FS_MOUNT_H
#define VDISK_TOOLS_LIB_FS_MOUNT_H

#include <stdbool.h>

struct part_file;

struct fs_mount {
	const char *image; /* for messages */
	const char *dir;   /* the mount point, an absolute path without links */
	bool writable;
};

/* False after an error, with nothing mounted. */
bool fs_mount(const struct fs_mount *m, const struct part_file *file);

#endif
