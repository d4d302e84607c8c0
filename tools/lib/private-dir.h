/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* private-dir.h - directories for mount points of vdisk, which no other user can write to. */
#ifndef VDISK_TOOLS_LIB_PRIVATE_DIR_H
#define VDISK_TOOLS_LIB_PRIVATE_DIR_H

struct err;

/* Creates the directory if needed, and returns a descriptor that holds the lock, LOCK_SH or LOCK_EX
 * of flock(2), or -errno.  EPERM: another user owns it or can write to it. */
int private_dir_lock(const char *path, int operation, struct err *e);

#endif
