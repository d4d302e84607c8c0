/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image-mount.h - mounts an image with vdiskfs: on a given directory, or at a mount point of its
 * own in hidden_view_parent(), so that a file system in it can be mounted.
 *
 * For the latter, the daemon has one end of a pipe, and exits once the other end and all files of
 * the mount are closed (fuse/ops/holder.h).  A loop device or a FUSE program has a file open until
 * its file system is unmounted, by whatever means; and if vdisk is killed before, nothing is left
 * over.
 */
#ifndef VDISK_TOOLS_LIB_IMAGE_MOUNT_H
#define VDISK_TOOLS_LIB_IMAGE_MOUNT_H

#include <stdbool.h>

struct args;

struct image_mount {
	char *dir; /* the mount point */
	int held;  /* the write end of the daemon's pipe */
};

/* False after an error, with nothing to end. */
bool image_mount_begin(
	struct image_mount *im, const struct args *a, const char *image, bool writable);

/* Closes the write end of the pipe.  await: no file is open; waits until the daemon has ended. */
void image_mount_end(struct image_mount *im, bool await);

/* Mounts image read-only on dir, until it is unmounted.  False after an error. */
bool image_mount_stay(const struct args *a, const char *image, const char *dir);

#endif
