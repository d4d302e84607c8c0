/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* partition_disk.c - a disk whose partition table is written field by field. */
#include "partition_disk.h"

#include "util/bytes.h"
#include "memory_disk.h"
#include "unit.h"
#include "view/view.h"

struct table_disk td;

void table_setup(void)
{
	td.disk = memdisk_new(64 * MIB);
}

void table_teardown(void)
{
	partition_table_free(&td.table);
	view_free(td.disk);
}

/* Scans the table again; returns the number of partitions. */
size_t table_scan_hinted(uint32_t sector)
{
	partition_table_free(&td.table);
	ck_assert_msg(partition_table_read(td.disk, sector, &td.table, &td.error) == 0, "%s",
		td.error.text);
	return td.table.n;
}

size_t table_scan(void)
{
	return table_scan_hinted(0);
}

void table_put16(uint64_t off, uint16_t v)
{
	v = htole16(v);
	memdisk_put(td.disk, off, &v, sizeof v);
}

void table_put32(uint64_t off, uint32_t v)
{
	v = htole32(v);
	memdisk_put(td.disk, off, &v, sizeof v);
}

void table_put64(uint64_t off, uint64_t v)
{
	v = htole64(v);
	memdisk_put(td.disk, off, &v, sizeof v);
}

/* Writes the signature of an MBR or EBR. */
void table_put_magic(uint64_t off)
{
	memdisk_put(td.disk, off + 510, "\x55\xaa", 2);
}

void table_put_entry(uint64_t off, unsigned slot, uint8_t type, uint32_t start, uint32_t n)
{
	off += 446 + 16 * slot;
	memdisk_put(td.disk, off + 4, &type, 1);
	table_put32(off + 8, start);
	table_put32(off + 12, n);
	table_put_magic(off - 446 - 16 * slot);
}

void table_put_fat(void)
{
	static const unsigned char fat_head[] = {0xeb, 0x3c, 0x90, 'm', 'k', 'f', 's', '.', 'f',
		'a', 't', 0x00, 0x02, 4, 4, 0, 2, 0, 2, 0, 0, 0xf8, 32, 0};

	memdisk_put(td.disk, 0, fat_head, sizeof fat_head);
	table_put_magic(0);
}

void table_check_part(size_t i, unsigned number, uint64_t start, uint64_t len)
{
	ck_assert_uint_lt(i, td.table.n);
	ck_assert_uint_eq(td.table.parts[i].number, number);
	ck_assert_uint_eq(td.table.parts[i].start, start);
	ck_assert_uint_eq(td.table.parts[i].len, len);
}
