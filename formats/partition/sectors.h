/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sectors.h - a disk in sectors, as the readers of the partition schemes see it.
 *
 * Positions in tables are sectors (LBA).  They are compared with the disk's size in sectors before
 * they become bytes, so that no product overflows.
 */
#ifndef VDISK_PARTITION_SECTORS_H
#define VDISK_PARTITION_SECTORS_H

#include <stddef.h>
#include <stdint.h>

#include "partition.h"

#define SECTOR_MAX 4096u

struct err;
struct view;

/* A disk cut into sectors of one size; a rest at the end is no sector. */
struct sectors {
	const struct view *view;
	uint32_t sector;
	uint64_t nsectors;
};

/* Reads len bytes from sector lba on.  A range beyond the end of the disk is EINVAL, which tells a
 * damaged table from a disk that fails. */
int sectors_read(const struct sectors *d, void *buf, size_t len, uint64_t lba, struct err *e);

/* Appends the partition [lba, lba+n), cut at the end of the disk, to a table.  *p is NULL when it
 * is wholly outside or the table is full. */
int sectors_add_partition(const struct sectors *d, struct partition_table *t, unsigned number,
	uint64_t lba, uint64_t n, struct partition **p, struct err *e);

#endif
