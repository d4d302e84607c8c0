/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fusedev.h - which device numbers are FUSE file systems, told without asking these. */
#ifndef VDISK_IO_FUSEDEV_H
#define VDISK_IO_FUSEDEV_H

#include <stdbool.h>
#include <sys/types.h>

/* Opens what can be read in a sandbox later; 0 or -1 with errno. */
int fusedev_start(void);
void fusedev_end(void);

/* Any thread.  While the list of mounts cannot be read, every file system that has no block device
 * may be one. */
bool fusedev_is(dev_t dev);

#endif
