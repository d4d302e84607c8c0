/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot-names.h - private to the Parallels driver: Snapshots.xml of the virtual machine. */
#ifndef VDISK_DRIVER_PARALLELS_SNAPSHOT_NAMES_H
#define VDISK_DRIVER_PARALLELS_SNAPSHOT_NAMES_H

struct image;
struct xml;

/* The snapshots of the machine that the bundle belongs to, or NULL. */
struct xml *parallels_snapshot_names_read(const struct image *img);

/* The element of the snapshot with this GUID, or NULL; names may be NULL. */
const struct xml *parallels_snapshot_names_find(const struct xml *names, const char *guid);

#endif
