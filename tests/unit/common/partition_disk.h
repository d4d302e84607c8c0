/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* partition_disk.h - a disk for partition tables, and what tests say about the table on it. */
#ifndef UNIT_COMMON_PARTITION_DISK_H
#define UNIT_COMMON_PARTITION_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "util/err.h"
#include "partition/partition.h"

struct view;

#define MIB ((uint64_t)1 << 20)

/* Of the test that runs: each has a process of its own. */
extern struct table_disk {
	struct view *disk; /* 64 MiB */
	struct partition_table table;
	struct err error;
} td;

/* A checked fixture. */
void table_setup(void);
void table_teardown(void);

/* Reads the table anew and says how many partitions there are. */
size_t table_scan_hinted(uint32_t sector);
size_t table_scan(void);

void table_put16(uint64_t off, uint16_t v);
void table_put32(uint64_t off, uint32_t v);
void table_put64(uint64_t off, uint64_t v);

/* A boot sector's signature, or that of a record of logical partitions. */
void table_put_magic(uint64_t off);

/* Entry number slot of the record at off, and its signature. */
void table_put_entry(uint64_t off, unsigned slot, uint8_t type, uint32_t start, uint32_t n);

/* The first sector of a FAT file system. */
void table_put_fat(void);

void table_check_part(size_t i, unsigned number, uint64_t start, uint64_t len);

#endif
