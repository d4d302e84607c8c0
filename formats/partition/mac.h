/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mac.h - an Apple partition map. */
#ifndef VDISK_PARTITION_MAC_H
#define VDISK_PARTITION_MAC_H

struct err;
struct partition_table;
struct view;

/* Fills t from the map of a disk; boot is its first 512 bytes.  1: there is one, 0: there is none,
 * -errno: the disk cannot be read. */
int mac_read(const struct view *disk, const unsigned char *boot, struct partition_table *t,
	struct err *e);

#endif
