/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* folder-scan.h - the names of files in a directory, and their heads. */
#ifndef VDISK_OPEN_FOLDER_SCAN_H
#define VDISK_OPEN_FOLDER_SCAN_H

#include <stdbool.h>

struct err;
struct folder;

/* Adds the images, packages and directories, and claims the parts of images. */
int folder_scan(struct folder *f, struct err *e);

/* Claims the files that the head of an image names; parents: also its parents. */
int folder_scan_names(struct folder *f, const char *path, bool parents, struct err *e);

#endif
