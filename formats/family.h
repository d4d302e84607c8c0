/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* family.h - images that know each other by their ids: what the file of a parent is called, its
 * child need not say.
 */
#ifndef VDISK_FAMILY_H
#define VDISK_FAMILY_H

struct err;
struct homes;
struct image;
struct io;

/* Takes io, also on failure: an image of this format, NULL for not known, that has the id.  0: it
 * is the parent. */
typedef int family_take(void *arg, struct io *io, const char *format, struct err *e);

/* Looks for the image whose id is img->parent_id: where the machines that img belongs to register
 * it, then under the name that VirtualBox gives to files of this id, then among all images in the
 * directory of img, in those of the machine's snapshots and in those that the user gave.  take
 * decides; a file that it does not want is passed over, as is what cannot be opened.  The error
 * tells of the first that had the id, or where it was looked for: ENOENT. */
int family_find(
	struct image *img, struct homes *homes, family_take *take, void *arg, struct err *e);

/* For formats, as check_parent: the id of the parent and of its last change, if both tell it. */
int family_check_parent(const struct image *img, const struct image *parent, struct err *e);

/* Refuses an image of whose bytes a description beside it says that they are not the disk's. */
int family_check_image(const struct image *img, struct homes *homes, struct err *e);

#endif
