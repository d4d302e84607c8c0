/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gpt.h - a GUID partition table, primary or backup. */
#ifndef VDISK_PARTITION_GPT_H
#define VDISK_PARTITION_GPT_H

#include <stdint.h>

struct err;
struct partition_table;
struct sectors;

#define GPT_PRIMARY_LBA 1u

/* Fills t from the GPT whose header is at lba: 1, or 0 when there is no sound one, or -errno. */
int gpt_read(const struct sectors *d, uint64_t lba, struct partition_table *t, struct err *e);

/* Reads the LBA of the backup from the primary header, even if the checksum of that is wrong; 0: it
 * has none on the disk. */
int gpt_alternate(const struct sectors *d, uint64_t *lba, struct err *e);

#endif
