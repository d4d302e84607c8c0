/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_other_tables.c - BSD disklabels and Apple partition maps, valid and hostile. */
#include <errno.h>
#include <string.h>

#include "util/bytes.h"
#include "util/limits.h"
#include "common/memory_disk.h"
#include "common/partition_disk.h"
#include "common/unit.h"
#include "view/view.h"

/* A disklabel, which put_label writes. */
static unsigned char label[148 + 22 * 16];

static void begin_label(unsigned n)
{
	memset(label, 0, sizeof label);
	put_le(label, 4, 0x82564557);
	put_le(label + 40, 4, 512);
	put_le(label + 132, 4, 0x82564557);
	put_le(label + 138, 2, n);
}

static void set_entry(unsigned i, uint32_t start, uint32_t n, uint8_t type)
{
	put_le(label + 148 + 16 * i, 4, n);
	put_le(label + 152 + 16 * i, 4, start);
	label[160 + 16 * i] = type;
}

static void put_label(uint64_t pos)
{
	memdisk_put(td.disk, pos, label, sizeof label);
}

START_TEST(bsd_disk)
{
	uint32_t sectors = td.disk->size / 512;

	begin_label(8);
	set_entry(0, 64, 1000, 7);
	set_entry(1, 2000, 3000, 1);
	set_entry(2, 0, sectors, 2); /* c, the whole disk */
	set_entry(4, 10, 100, 0);    /* not used */
	set_entry(7, sectors - 8, 100, 7);
	put_label(_i ? 64 : 512);
	ck_assert_uint_eq(table_scan(), 3);
	ck_assert_str_eq(td.table.scheme, "bsd");
	table_check_part(0, 1, 64 * 512, 1000 * 512);
	table_check_part(1, 2, 2000 * 512, 3000 * 512);
	table_check_part(2, 8, td.disk->size - 8 * 512, 8 * 512);
	ck_assert_str_eq(td.table.parts[0].type, "0x7");
	/* A boot loader with the signature of an MBR, and no entries. */
	if (!_i)
		table_put_magic(0);
	ck_assert_uint_eq(table_scan(), 3);
	/* An MBR with entries, and a file system, come first. */
	table_put_entry(0, 0, 0x83, 2048, 4096);
	ck_assert_uint_eq(table_scan(), 1);
	ck_assert_str_eq(td.table.scheme, "dos");
}
END_TEST

START_TEST(bsd_file_system)
{
	begin_label(1);
	set_entry(0, 64, 1000, 7);
	put_label(512);
	table_put_fat();
	ck_assert_uint_eq(table_scan(), 0);
}
END_TEST

START_TEST(bsd_damage)
{
	begin_label(2);
	set_entry(0, 64, 1000, 7);
	put_label(512);
	ck_assert_uint_eq(table_scan(), 1);
	label[_i ? 132 : 0] ^= 1;
	put_label(512);
	ck_assert_uint_eq(table_scan(), 0);
	ck_assert_ptr_null(td.table.scheme);
}
END_TEST

START_TEST(bsd_ends)
{
	begin_label(UINT16_MAX);
	for (unsigned i = 0; i < 22; i++)
		set_entry(i, UINT32_MAX, UINT32_MAX, 7);
	set_entry(15, 1, UINT32_MAX, 7);
	put_label(512);
	ck_assert_uint_eq(table_scan(), 1);
	table_check_part(0, 16, 512, td.disk->size - 512);
	memdisk_resize(td.disk, 512 + 147);
	ck_assert_uint_eq(table_scan(), 0);
	memdisk_break(td.disk, 512);
	memdisk_resize(td.disk, 64 * MIB);
	ck_assert_int_eq(partition_table_read(td.disk, 0, &td.table, &td.error), -EIO);
}
END_TEST

/* As the Linux kernel has them: after the logical partitions, without c and what leaves the slice.
 */
START_TEST(slices)
{
	table_put_entry(0, 0, 0xa5, 2048, 20480);
	table_put_entry(0, 1, 0xa6, 30720, 10240);
	table_put_entry(0, 2, 0x05, 51200, 20480);
	table_put_entry(0, 3, 0xa9, 81920, 10240);
	table_put_entry(51200 * 512, 0, 0x83, 64, 1000);
	begin_label(8); /* of FreeBSD: c begins at 0, all count from the slice */
	set_entry(0, 16, 1000, 7);
	set_entry(1, 2000, 500, 1);
	set_entry(2, 0, 20480, 0);
	set_entry(3, 20000, 481, 7); /* one sector too long */
	put_label((2048 + 1) * 512);
	begin_label(16); /* of OpenBSD: all count from the disk */
	set_entry(0, 30720 + 64, 1000, 7);
	set_entry(2, 30720, 10240, 8);
	set_entry(3, 30719, 100, 7);
	set_entry(15, 40959, 1, 7);
	put_label((30720 + 1) * 512);
	begin_label(3);
	set_entry(0, 82000, 100, 7);
	set_entry(2, 0, 200, 7); /* NetBSD's is never relative */
	put_label((81920 + 1) * 512);
	ck_assert_uint_eq(table_scan(), 9);
	table_check_part(3, 5, (51200 + 64) * 512, 1000 * 512);
	table_check_part(4, 6, (2048 + 16) * 512, 1000 * 512);
	table_check_part(5, 7, (2048 + 2000) * 512, 500 * 512);
	table_check_part(6, 8, (30720 + 64) * 512, 1000 * 512);
	table_check_part(7, 9, 40959 * 512, 512);
	table_check_part(8, 10, 82000 * 512, 100 * 512);
	ck_assert_str_eq(td.table.scheme, "dos");
	ck_assert_str_eq(td.table.damage, "a partition of a BSD disklabel leaves its slice");
	/* A label that is damaged, cannot be read or lies outside. */
	memdisk_put(td.disk, 82064 * 512, "x", 1);
	memdisk_put(td.disk, (81920 + 1) * 512 + 132, "x", 1);
	memdisk_break(td.disk, (30720 + 1) * 512);
	ck_assert_uint_eq(table_scan(), 6);
	table_put_entry(0, 3, 0xa9, UINT32_MAX, UINT32_MAX);
	table_put_entry(0, 1, 0xa9, td.disk->size / 512 - 1, 10);
	ck_assert_uint_eq(table_scan(), 5);
}
END_TEST

/* An Apple map with blocks of this size. */
static void put_map(uint32_t block, uint32_t n)
{
	unsigned char boot[4] = {'E', 'R', block >> 8, block & 0xff};

	memdisk_put(td.disk, 0, boot, sizeof boot);
	for (uint32_t i = 1; i <= MIN(MAX(n, 1), 300); i++) {
		unsigned char p[512] = {'P', 'M'};

		put_be(p + 4, 4, n);
		put_be(p + 8, 4, i == 1 ? 1 : 64 + 32 * i);
		put_be(p + 12, 4, 32);
		strcpy((char *)p + 16, i == 1 ? "Apple" : "data");
		strcpy((char *)p + 48, i == 1   ? "Apple_partition_map"
				       : i == 3 ? "Apple_Free"
						: "Apple_HFS");
		memdisk_put(td.disk, (uint64_t)i * block, p, sizeof p);
	}
}

START_TEST(mac)
{
	uint32_t block = 512u << _i;

	put_map(block, 4);
	ck_assert_uint_eq(table_scan(), 2);
	ck_assert_str_eq(td.table.scheme, "mac");
	ck_assert_uint_eq(td.table.sector, block);
	table_check_part(0, 2, 128 * block, 32 * block);
	table_check_part(1, 4, 192 * block, 32 * block);
	ck_assert_str_eq(td.table.parts[0].type, "Apple_HFS");
	ck_assert_str_eq(td.table.parts[0].partlabel, "data");
	/* The map ends where an entry is not one. */
	memdisk_put(td.disk, 4 * block, "XX", 2);
	ck_assert_uint_eq(table_scan(), 1);
	memdisk_put(td.disk, block, "XX", 2);
	ck_assert_uint_eq(table_scan(), 0);
	ck_assert_ptr_null(td.table.scheme);
}
END_TEST

START_TEST(mac_hostile)
{
	unsigned char name[64];

	put_map(512, UINT32_MAX);
	ck_assert_uint_eq(table_scan(), LIMIT_PARTITIONS - 3);
	put_map(512, 0);
	ck_assert_uint_eq(table_scan(), 0);
	put_map(512, 2);
	memset(name, 0xff, sizeof name);
	memdisk_put(td.disk, 1024 + 16, name, sizeof name); /* without a NUL, and no UTF-8 */
	ck_assert_uint_eq(table_scan(), 1);
	ck_assert_ptr_null(td.table.parts[0].partlabel);
	memset(name, 'a', sizeof name);
	memdisk_put(td.disk, 1024 + 16, name, sizeof name);
	ck_assert_uint_eq(table_scan(), 1);
	ck_assert_uint_eq(strlen(td.table.parts[0].partlabel), 32);
	memdisk_put(td.disk, 1024 + 8, name, 8);
	ck_assert_uint_eq(table_scan(), 0); /* far outside */
	for (unsigned size = 0; size <= 0x10000 - 256; size += 256) {
		unsigned char be[2] = {size >> 8, 0};

		memdisk_put(td.disk, 2, be, 2);
		table_scan();
	}
	put_map(512, 2);
	memdisk_resize(td.disk, 1024 + 100);
	ck_assert_uint_eq(table_scan(), 0);
	ck_assert_str_eq(td.table.scheme, "mac");
	memdisk_break(td.disk, 512);
	ck_assert_int_eq(partition_table_read(td.disk, 0, &td.table, &td.error), -EIO);
}
END_TEST

Suite *other_tables_suite(void)
{
	TCase *tc = tcase_create("other_tables");

	tcase_add_checked_fixture(tc, table_setup, table_teardown);
	tcase_add_loop_test(tc, bsd_disk, 0, 2);
	tcase_add_test(tc, bsd_file_system);
	tcase_add_loop_test(tc, bsd_damage, 0, 2);
	tcase_add_test(tc, bsd_ends);
	tcase_add_test(tc, slices);
	tcase_add_loop_test(tc, mac, 0, 4);
	tcase_add_test(tc, mac_hostile);
	return suite_of("other_tables", tc);
}
