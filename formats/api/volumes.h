/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* volumes.h - the volumes of a state, read once and shared by the disks that show them.
 *
 * A live disk may get other volumes when it is written: they are read again then, but not while
 * one of them is open, since two sets would encrypt the same sectors without knowing of each
 * other.
 */
#ifndef VDISK_API_VOLUMES_H
#define VDISK_API_VOLUMES_H

struct err;
struct place;
struct vdisk_image;
struct view;
struct volume;
struct volume_set;
struct volumes;

/* Reads the volumes in the disk of a place, unless they are known; they are held.  The image and
 * the place outlive them. */
int volumes_get(
	struct vdisk_image *image, const struct place *place, struct volumes **v, struct err *e);
void volumes_put(struct volumes *v); /* NULL is fine */

const struct volume_set *volumes_set(const struct volumes *v);

/* The bytes of a volume, as long as v is held; NULL: its error. */
struct view *volumes_view(struct volumes *v, const struct volume *volume, struct err *e);

/* Frees all of an image, of which none is held. */
void volumes_forget(struct vdisk_image *image);

#endif
