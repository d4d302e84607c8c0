/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* access.h - whose the files of a mount are, and the permissions that stat(2) tells of them.
 *
 * All belong to the user who mounted.  Copies get the permissions of what they are copied from, so
 * the owner may read and write everything, as though there were no mount: what a mount lets nobody
 * write it refuses by EROFS.  The group and others may read what they may read of the image: of
 * each file that it and its parents consist of.  They may write nothing.
 */
#ifndef VDISKFS_BASE_ACCESS_H
#define VDISKFS_BASE_ACCESS_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

struct image;

/* Who may read, besides the owner: a set of S_IRGRP and S_IROTH. */
#define ACCESS_ALL (S_IRGRP | S_IROTH)

struct access {
	uid_t uid;
	gid_t gid;
	bool for_all;   /* others may read in any case: allow_other */
	bool has_umask; /* the user says who may do what: */
	mode_t umask;
};

/* Who may read a file of the host with this mode and group, where ours is the group of the mount.
 */
mode_t access_readers(mode_t mode, gid_t gid, gid_t ours);

/* Who may read all files of an image and of its parents. */
mode_t access_image_readers(const struct image *top, gid_t ours);

/* The mode of something of this type that these may read. */
mode_t access_mode(const struct access *a, mode_t type, mode_t readers);

/* Would a file of mode have to be hidden from somebody for chmod(2) to wanted to be true? */
bool access_is_narrower(const struct access *a, mode_t mode, mode_t wanted);

#endif
