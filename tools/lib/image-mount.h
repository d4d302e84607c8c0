/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image-mount.h - an image that vdiskfs shows at a mount point of its own, in mount_home_path(), so
 * that a file system in it can be mounted.
 *
 * It ends by itself: it lasts as long as we hold it, and then as long as a file of it is open,
 * which a loop device or a FUSE server has until its file system is unmounted by whatever means.
 * Nothing of it is left when we are killed (see fuse/ops/holder.h).
 */
#ifndef VDISK_TOOLS_LIB_IMAGE_MOUNT_H
#define VDISK_TOOLS_LIB_IMAGE_MOUNT_H

#include <stdbool.h>

struct args;

struct image_mount {
	char *dir; /* the mount point */
	int held;  /* the write end of the daemon's pipe */
};

/* False: an error has been reported, and there is nothing to end. */
bool image_mount_begin(
	struct image_mount *im, const struct args *a, const char *image, bool writable);

/* Holds it no longer.  await: and returns once it is gone, for no file of it is open. */
void image_mount_end(struct image_mount *im, bool await);

#endif
