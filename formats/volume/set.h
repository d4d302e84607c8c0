/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* set.h - a set while it is read, for discover.c. */
#ifndef VDISK_VOLUME_SET_H
#define VDISK_VOLUME_SET_H

#include "volume.h"

/* Adds a copy of from, whose name it takes on success. */
struct volume_device *volume_add_device(
	struct volume_set *set, const struct volume_device *from, struct err *e);

/* The bytes of a device over the views of the disks, as volume_view. */
struct view *volume_device_view(const struct volume_set *set, const struct volume_device *d,
	struct view *const *disks, struct err *e);

/* Frees the views of all devices. */
void volume_set_drop_views(struct volume_set *set);

#endif
