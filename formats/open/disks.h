/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disks.h - several images as one: the disks of a machine or of a directory, for the volumes that
 * lie on more than one of them.
 *
 * Only the images that hold members of such volumes stay open.  A volume whose members are all on
 * one disk is left to that disk: copies of an image do not disturb each other.
 */
#ifndef VDISK_OPEN_DISKS_H
#define VDISK_OPEN_DISKS_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct fingerprint;
struct image;
struct image_options;
struct volume_disk;

/* An image, below the directory root; see image_open_in and package_open_in. */
struct disk_place {
	const char *root, *path;
	bool in_package; /* path is a package, and the image is disk number disk of it */
	size_t disk;
};

/* Opens the image of a place. */
int disk_open(const struct disk_place *place, const struct image_options *o, struct image **img,
	struct err *e);

/* Opens the images, to be read, as an image of the format "disks" with an empty disk.  An image
 * that cannot be opened is left out, since its own directory tells the reason. */
int disks_open(const struct disk_place *places, size_t n, const struct image_options *o,
	struct image **img, struct err *e);

/* The files of the images that were left out, as they were: another content may be that of a
 * member. locked: one of them could not be opened since it is locked. */
const struct fingerprint *disks_left_out(const struct image *img, bool *locked);

/* The disks of such an image, with the partitions that are to be looked at, until it is closed;
 * NULL: it is another image. */
const struct volume_disk *disks_of(const struct image *img, size_t *n);

#endif
