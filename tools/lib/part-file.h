/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* part-file.h - finds the file of a partition or volume in a mounted image, by the name that the
 * user gave.
 */
#ifndef VDISK_TOOLS_LIB_PART_FILE_H
#define VDISK_TOOLS_LIB_PART_FILE_H

#include <limits.h>
#include <stdbool.h>

#define PART_NAME 300

struct part_file {
	char path[PATH_MAX];
	char place[PART_NAME];   /* in the mounted image: "partitions/2.raw" */
	char title[PART_NAME];   /* for messages: "partition 2", "volume vg/root", "the disk" */
	char volumes[PART_NAME]; /* those that lie in a partition: "vg/root, vg/swap"; "" = none */
};

/* dir: the mount point of image.  name: the number, label or UUID of a partition, also as
 * "LABEL=...", "PARTUUID=..." and so on, or the name or path of a volume, or its label or UUID;
 * NULL: the only file system, or the disk if it has no partitions.  False after an error. */
bool part_file_find(struct part_file *file, const char *dir, const char *image, const char *name);

#endif
