/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* via-mount.h - changes the snapshots of an image that vdiskfs has mounted, through the mount: the
 * daemon has the image locked and cached.
 */
#ifndef VDISK_TOOLS_LIB_VIA_MOUNT_H
#define VDISK_TOOLS_LIB_VIA_MOUNT_H

/* The directory in which a mount shows this image itself, not an overlay on it; malloc'ed.  NULL:
 * none. */
char *via_mount_find(const char *image);

/* Both return the exit status. */
int via_mount_create_snapshot(const char *dir, const char *name);
int via_mount_delete_snapshot(const char *dir, const char *name);

#endif
