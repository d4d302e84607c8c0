/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* contents.h - what lies on a disk: its partitions and file systems, as JSON. */
#ifndef VDISK_TOOLS_LIB_CONTENTS_H
#define VDISK_TOOLS_LIB_CONTENTS_H

struct image;
struct json_object;

/* Adds to o what the live disk of img holds: "partition-table" with "partitions", or the "content"
 * of a disk that has no table.  A part that cannot be read has an "error". */
void contents_add(struct json_object *o, const struct image *img);

#endif
