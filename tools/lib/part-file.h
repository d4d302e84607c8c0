/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* part-file.h - which file of a mounted image is the partition that the user has named. */
#ifndef VDISK_TOOLS_LIB_PART_FILE_H
#define VDISK_TOOLS_LIB_PART_FILE_H

#include <limits.h>
#include <stdbool.h>

struct part_file {
	char path[PATH_MAX];
	unsigned number; /* 0: it is the whole disk */
};

/* dir: where image is mounted.  name: the number, label or UUID of a partition, also as
 * "LABEL=...", "PARTUUID=..." and so on; NULL: the only one, or the disk when there is none.
 * False: an error has been reported. */
bool part_file_find(struct part_file *file, const char *dir, const char *image, const char *name);

#endif
