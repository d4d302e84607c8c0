/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* via-mount.h - images that are mounted by vdiskfs: what can be done to them is done through the
 * mount.
 */
#ifndef VDISK_TOOLS_LIB_VIA_MOUNT_H
#define VDISK_TOOLS_LIB_VIA_MOUNT_H

/* The directory in which a mount shows this very image as it is now; malloc'ed, NULL: none does. */
char *via_mount_find(const char *image);

/* Its snapshots; the exit status. */
int via_mount_create_snapshot(const char *dir, const char *name);
int via_mount_delete_snapshot(const char *dir, const char *name);

#endif
