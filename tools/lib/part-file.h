/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* part-file.h - finds the file of a partition in a mounted image, by the name that the user gave.
 */
#ifndef VDISK_TOOLS_LIB_PART_FILE_H
#define VDISK_TOOLS_LIB_PART_FILE_H

#include <limits.h>
#include <stdbool.h>

struct part_file {
	char path[PATH_MAX];
	unsigned number; /* of the partition; 0: the whole disk */
};

/* dir: the mount point of image.  name: the number, label or UUID of a partition, also as
 * "LABEL=...", "PARTUUID=..." and so on; NULL: the only partition, or the disk if it has none.
 * False after an error. */
bool part_file_find(struct part_file *file, const char *dir, const char *image, const char *name);

#endif
