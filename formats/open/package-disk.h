/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* package-disk.h - opening the disks of a package. */
#ifndef VDISK_OPEN_PACKAGE_DISK_H
#define VDISK_OPEN_PACKAGE_DISK_H

#include <stddef.h>

struct err;
struct image;
struct image_options;
struct io;
struct package;

/* Opens a disk and all that it refers to.  A compressed file is read through once. */
int package_disk_open(struct package *p, size_t disk, struct image **img, struct err *e);

/* Opens the disk of this name, o->disk, or the only one of a package.  The package is in io, which
 * it takes, also on failure. */
int package_disk_open_chosen(
	struct io *io, const struct image_options *o, struct image **img, struct err *e);

#endif
