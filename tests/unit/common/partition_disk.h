/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* partition_disk.h - a disk with a partition table, and assertions on what a scan finds. */
#ifndef UNIT_COMMON_PARTITION_DISK_H
#define UNIT_COMMON_PARTITION_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "util/err.h"
#include "partition/partition.h"

struct view;

#define MIB ((uint64_t)1 << 20)

/* Global, since fixtures take no argument; libcheck runs each test in its own process. */
extern struct table_disk {
	struct view *disk; /* 64 MiB */
	struct partition_table table;
	struct err error;
} td;

/* Fixtures for tcase_add_checked_fixture. */
void table_setup(void);
void table_teardown(void);

/* Scan the table again; return the number of partitions. */
size_t table_scan_hinted(uint32_t sector);
size_t table_scan(void);

void table_put16(uint64_t off, uint16_t v);
void table_put32(uint64_t off, uint32_t v);
void table_put64(uint64_t off, uint64_t v);

/* Writes the signature of an MBR or EBR. */
void table_put_magic(uint64_t off);

/* Writes entry number slot of the MBR or EBR at off, and the signature. */
void table_put_entry(uint64_t off, unsigned slot, uint8_t type, uint32_t start, uint32_t n);

/* Writes the boot sector of a FAT file system to sector 0. */
void table_put_fat(void);

void table_check_part(size_t i, unsigned number, uint64_t start, uint64_t len);

#endif
