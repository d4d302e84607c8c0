/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mount-id.h - identifies the mount that a path leads to.
 *
 * The kernel gives a device number to the next mount as soon as the previous one is gone, so a
 * device number alone cannot tell our mount from a later one on the same directory.
 */
#ifndef VDISKFS_BASE_MOUNT_ID_H
#define VDISKFS_BASE_MOUNT_ID_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mount_id {
	dev_t dev;
	uint64_t id; /* never given to another mount; 0 before Linux 6.8 */
};

/* Sends no request to the file system at path.  False: path does not exist. */
bool mount_id_get(const char *path, struct mount_id *id);

#endif
