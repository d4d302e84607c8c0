/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parent.h - private to the VMDK driver: the parent that a descriptor names. */
#ifndef VDISK_DRIVER_VMDK_PARENT_H
#define VDISK_DRIVER_VMDK_PARENT_H

#include <stdbool.h>

struct err;
struct image;
struct vmdk_descriptor;

/* Sets the UUIDs of the image and what the descriptor records of its parent. */
int vmdk_parent_set(struct image *img, const struct vmdk_descriptor *d, struct err *e);

/* As knows_parent and check_parent of struct format.  base: the parent's descriptor; NULL when the
 * parent is of another format. */
bool vmdk_parent_matches(const struct image *img, const struct vmdk_descriptor *child,
	const struct image *parent, const struct vmdk_descriptor *base);
int vmdk_parent_check(const struct image *img, const struct vmdk_descriptor *child,
	const struct image *parent, const struct vmdk_descriptor *base, struct err *e);

#endif
