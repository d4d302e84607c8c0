/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* access.h - owner and permissions of the files of a mount, as stat(2) returns them.
 *
 * All files belong to the user who mounted.  The owner has read and write permission everywhere,
 * since cp -p copies permissions and a copy should be writable; writing to a read-only file fails
 * with EROFS instead.  Group and others can read if they can read every file of the image and of
 * its parents.  They can write nothing.
 */
#ifndef VDISKFS_BASE_ACCESS_H
#define VDISKFS_BASE_ACCESS_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

struct image;

/* The readers besides the owner: a set of S_IRGRP and S_IROTH. */
#define ACCESS_ALL (S_IRGRP | S_IROTH)

struct access {
	uid_t uid;
	gid_t gid;
	bool for_all;   /* allow_other: group and others can always read */
	bool has_umask; /* umask= replaces all of these rules: */
	mode_t umask;
};

/* The readers of a host file with this mode and group; ours is the group of the mount. */
mode_t access_readers(mode_t mode, gid_t gid, gid_t ours);

/* The readers of all files of an image and of its parents. */
mode_t access_image_readers(const struct image *top, gid_t ours);

/* The mode of a file of this type with these readers. */
mode_t access_mode(const struct access *a, mode_t type, mode_t readers);

/* Does chmod(2) from mode to wanted take a permission away that the mount cannot? */
bool access_is_narrower(const struct access *a, mode_t mode, mode_t wanted);

#endif
