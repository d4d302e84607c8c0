/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fs-mount.h - mounting the file system in a file: by the kernel for root, else by a FUSE program.
 */
#ifndef VDISK_TOOLS_LIB_FS_MOUNT_H
#define VDISK_TOOLS_LIB_FS_MOUNT_H

#include <stdbool.h>

struct fs_mount {
	const char *image; /* for messages */
	const char *file;  /* absolute, without links */
	unsigned number;   /* of the partition that it is; 0: the whole disk */
	const char *dir;   /* the mount point, likewise */
	bool writable;
};

/* False: an error has been reported, and nothing is mounted. */
bool fs_mount(const struct fs_mount *m);

#endif
