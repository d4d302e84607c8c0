/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unmount.h - removes mounts of vdiskfs whose daemon is gone.
 *
 * When the daemon and its supervisor are both killed, the mount stays, and every access to
 * it fails with ENOTCONN; its mount point in hidden_view_parent() stays, too.
 */
#ifndef VDISK_TOOLS_LIB_UNMOUNT_H
#define VDISK_TOOLS_LIB_UNMOUNT_H

struct mount_table;

/* Detaches the topmost mount on dir at once, even if it does not answer. */
void unmount_dead(const char *dir);

/* Removes the mount point view unless a daemon serves it or a mount of m depends on it. */
void unmount_leftover(const struct mount_table *m, const char *view);

/* Calls unmount_leftover for each mount point in hidden_view_parent(), unless another vdisk is
 * about to mount there. */
void unmount_leftovers(void);

#endif
