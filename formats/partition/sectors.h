/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sectors.h - what the readers of the partition schemes share among themselves.
 *
 * Positions in tables are sectors (LBA).  They are compared with the disk's size in sectors before
 * they become bytes, so that no product overflows.
 */
#ifndef VDISK_PARTITION_SECTORS_H
#define VDISK_PARTITION_SECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "partition.h"

#define BOOT_SECTOR       512u /* the part of sector 0 that means anything, on any disk */
#define PTABLE_MAX_SECTOR 4096u
#define GPT_PRIMARY_LBA   1u

struct err;
struct view;

/* A disk cut into sectors of one size; a rest at the end is no sector. */
struct sectors {
	const struct view *view;
	uint32_t sector;
	uint64_t nsectors;
};

/* len bytes from sector lba on.  Past the end of the disk is EINVAL, so that a damaged table stays
 * apart from a disk that fails. */
int sectors_read(const struct sectors *d, void *buf, size_t len, uint64_t lba, struct err *e);

/* Appends [lba, lba+n), cut at the end of the disk.  *p is NULL when nothing of it is inside or the
 * table is full. */
int partition_table_add(struct partition_table *t, const struct sectors *d, unsigned number,
	uint64_t lba, uint64_t n, struct partition **p, struct err *e);

/* The four entries of a boot sector could be a table: the signature is there, no entry says
 * otherwise, and it is not the boot sector of a file system. */
bool mbr_valid(const unsigned char *boot, const struct sectors *d);
bool mbr_is_protective(const unsigned char *boot);
bool mbr_is_empty(const unsigned char *boot); /* no entry, or no signature to vouch for it */
bool mbr_is_filesystem(const unsigned char *boot);

/* Fills t from a valid MBR and its chains of logical partitions. */
int mbr_read(const struct sectors *d, const unsigned char *boot, struct partition_table *t,
	struct err *e);

/* Fills t from the GPT whose header is at lba: 1, or 0 when there is no sound one, or -errno. */
int gpt_read_table(const struct sectors *d, uint64_t lba, struct partition_table *t, struct err *e);

/* Where the primary header says that its backup is, even if its checksum is wrong; 0: it does not.
 */
int gpt_alternate(const struct sectors *d, uint64_t *lba, struct err *e);

#endif
