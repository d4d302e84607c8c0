/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* contents.h - describes the partitions and file systems of a disk as JSON. */
#ifndef VDISK_TOOLS_LIB_CONTENTS_H
#define VDISK_TOOLS_LIB_CONTENTS_H

struct image;
struct json_object;

/* Adds members to o for the live disk of img: "partition-table" with "partitions", or "content" if
 * the disk has no partition table.  A part that cannot be read gets an "error" instead. */
void contents_add(struct json_object *o, const struct image *img);

#endif
