/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bsd.h - BSD disklabels, of a whole disk and of a slice, a partition of an MBR. */
#ifndef VDISK_PARTITION_BSD_H
#define VDISK_PARTITION_BSD_H

#include <stdint.h>

struct err;
struct partition_table;
struct sectors;

/* Fills t from the label of a disk; 1: there is one, 0: there is none, -errno: the disk cannot be
 * read. */
int bsd_read(const struct sectors *d, struct partition_table *t, struct err *e);

struct bsd_slice {
	uint8_t type;    /* as the MBR has it */
	uint64_t lba, n; /* sectors */
};

/* Adds the partitions of the slice to t, if it is one of BSD; they are numbered from *number on. */
int bsd_read_slice(const struct sectors *d, const struct bsd_slice *slice, unsigned *number,
	struct partition_table *t, struct err *e);

#endif
