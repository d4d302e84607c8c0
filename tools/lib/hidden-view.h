/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hidden-view.h - the mount points at which vdisk mount shows images, so that a file system in them
 * can be mounted.
 *
 * Each is a directory of its own in /run/vdisk for root, else in $XDG_RUNTIME_DIR/vdisk or
 * /tmp/vdisk-UID.  An empty one is either about to be mounted on or left over from processes that
 * were killed.  vdisk mount holds a shared lock on the parent directory (private-dir.h) until it
 * has mounted; removing leftovers takes an exclusive lock.
 */
#ifndef VDISK_TOOLS_LIB_HIDDEN_VIEW_H
#define VDISK_TOOLS_LIB_HIDDEN_VIEW_H

#include <stdbool.h>

/* The path of the parent directory, without symbolic links once it exists; malloc'ed, or NULL
 * without memory. */
char *hidden_view_parent(void);

/* Can root read the views of this user, too?  fusermount3 requires user_allow_other in
 * /etc/fuse.conf for that. */
bool hidden_view_admits_root(void);

#endif
