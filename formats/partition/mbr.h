/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mbr.h - the partition table of a boot sector (MBR). */
#ifndef VDISK_PARTITION_MBR_H
#define VDISK_PARTITION_MBR_H

#include <stdbool.h>

struct err;
struct partition_table;
struct sectors;

#define MBR_SECTOR 512u /* bytes of sector 0 that an MBR takes, on any disk */

/* Can the four entries of a boot sector be a table?  The signature is there, no entry contradicts
 * it, and it is not the boot sector of a file system. */
bool mbr_is_valid(const unsigned char *boot, const struct sectors *d);
bool mbr_is_protective(const unsigned char *boot);
bool mbr_is_empty(const unsigned char *boot); /* no entry, or no signature */
bool mbr_is_filesystem(const unsigned char *boot);

/* Fills t from a valid MBR and its chains of logical partitions. */
int mbr_read(const struct sectors *d, const unsigned char *boot, struct partition_table *t,
	struct err *e);

#endif
