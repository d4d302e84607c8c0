/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* contents.h - the contents of a disk as JSON: partitions, file systems, volumes. */
#ifndef VDISK_VOLUME_CONTENTS_H
#define VDISK_VOLUME_CONTENTS_H

#include <stdbool.h>

struct image;
struct json_object;
struct state;

/* Adds to o, of json-c: "partition-table" with "partitions", or "content" if the disk has no
 * partition table; and, if volumes, "volumes", for which encrypted ones are opened with the
 * passphrases that img was opened with.  A part that cannot be read has an "error" instead. */
void contents_add(
	struct json_object *o, const struct image *img, const struct state *state, bool volumes);

#endif
