/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mount-home.h - the directory in which vdisk mount creates the mount points of its views:
 * /run/vdisk for root, else $XDG_RUNTIME_DIR/vdisk or /tmp/vdisk-UID.
 *
 * Each mount point is a directory of its own in it.  An empty one is either about to be mounted on
 * or left over from processes that were killed.  vdisk mount holds a shared lock on the directory
 * until it has mounted; removing leftovers takes an exclusive lock.
 */
#ifndef VDISK_TOOLS_LIB_MOUNT_HOME_H
#define VDISK_TOOLS_LIB_MOUNT_HOME_H

struct err;

/* Its path, without symbolic links once it exists; malloc'ed, or NULL without memory. */
char *mount_home_path(void);

/* Creates home if needed, and returns a descriptor that holds the shared lock, or -errno.  EPERM:
 * another user owns it or can write to it. */
int mount_home_lock(const char *home, struct err *e);

#endif
