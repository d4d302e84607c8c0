/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* partition.h - partition tables: MBR with logical partitions and BSD disklabels, GPT with its
 * backup, Apple partition maps, BSD disklabels.
 *
 * Partitions are numbered as the Linux kernel numbers them.  Partitions wholly outside the disk
 * are not listed, nor are extended partitions, which are containers; the end of the disk cuts
 * others.
 */
#ifndef VDISK_PARTITION_PARTITION_H
#define VDISK_PARTITION_PARTITION_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct view;

#define PARTUUID_LEN 37 /* with the NUL */

struct partition {
	unsigned number;
	uint64_t start, len;         /* bytes; inside the disk, len > 0 */
	char partuuid[PARTUUID_LEN]; /* as under /dev/disk/by-partuuid; "" = none */
	char *partlabel;             /* UTF-8; of GPT and Apple; NULL = none */
	char type[PARTUUID_LEN];     /* GPT type GUID, "0x83", or "Apple_HFS" */
};

struct partition_table {
	const char *scheme;      /* "gpt", "dos", "mac", "bsd"; NULL: no table found */
	uint32_t sector;         /* bytes of a logical sector in the table's own terms */
	char id[PARTUUID_LEN];   /* disk GUID or signature; "" = none */
	const char *damage;      /* what is wrong with it, for a warning; NULL: nothing */
	struct partition *parts; /* by number */
	size_t n;
};

/* Reads the table of a disk.  sector: logical sector size if the image records it, else 0.  No
 * table is not an error: n = 0.  A damaged table gives what of it can be trusted.  Fails only when
 * the disk cannot be read.  Free with partition_table_free in either case. */
int partition_table_read(
	const struct view *disk, uint32_t sector, struct partition_table *t, struct err *e);
void partition_table_free(struct partition_table *t);

#endif
