/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_partition.c - MBRs and EBRs, valid and hostile; check_gpt.c tests GPT. */
#include <errno.h>

#include "util/limits.h"
#include "common/memory_disk.h"
#include "common/partition_disk.h"
#include "common/unit.h"
#include "view/view.h"

START_TEST(nothing)
{
	ck_assert_uint_eq(table_scan(), 0);
	ck_assert_ptr_null(td.table.scheme);
	ck_assert_ptr_null(td.table.damage);
	memdisk_resize(td.disk, 0);
	ck_assert_uint_eq(table_scan(), 0);
	memdisk_resize(td.disk, 511);
	ck_assert_uint_eq(table_scan(), 0);
}
END_TEST

START_TEST(mbr_primaries)
{
	table_put32(440, 0xdeadbeef);
	table_put_entry(0, 0, 0x83, 2048, 4096);
	table_put_entry(0, 2, 0x0c, 128, 64);
	ck_assert_uint_eq(table_scan(), 2);
	ck_assert_str_eq(td.table.scheme, "dos");
	ck_assert_str_eq(td.table.id, "deadbeef");
	ck_assert_uint_eq(td.table.sector, 512);
	table_check_part(0, 1, 2048 * 512, 4096 * 512);
	table_check_part(1, 3, 128 * 512, 64 * 512);
	ck_assert_str_eq(td.table.parts[0].type, "0x83");
	ck_assert_str_eq(td.table.parts[1].type, "0xc");
	ck_assert_str_eq(td.table.parts[0].partuuid, "deadbeef-01");
	ck_assert_str_eq(td.table.parts[1].partuuid, "deadbeef-03");
	ck_assert_ptr_null(td.table.parts[0].partlabel);
}
END_TEST

START_TEST(mbr_without_signature)
{
	table_put_entry(0, 0, 0x83, 2048, 4096);
	ck_assert_uint_eq(table_scan(), 1);
	ck_assert_str_eq(td.table.id, "");
	ck_assert_str_eq(td.table.parts[0].partuuid, "");
	table_put16(510, 0);
	ck_assert_uint_eq(table_scan(), 0);
}
END_TEST

START_TEST(mbr_status)
{
	table_put_entry(0, 0, 0x83, 2048, 4096);
	memdisk_put(td.disk, 446, "\x80", 1);
	ck_assert_uint_eq(table_scan(), 1);
	memdisk_put(td.disk, 446 + 48, "\x20", 1);
	ck_assert_uint_eq(table_scan(), 0);
	ck_assert_ptr_null(td.table.scheme);
}
END_TEST

START_TEST(mbr_aix)
{
	table_put_entry(0, 0, 0x83, 2048, 4096);
	memdisk_put(td.disk, 0, "\xc9\xc2\xd4\xc1", 4);
	ck_assert_uint_eq(table_scan(), 0);
}
END_TEST

START_TEST(mbr_end_of_disk)
{
	uint32_t sectors = td.disk->size / 512;

	table_put_entry(0, 0, 0x83, sectors - 10, 20);
	table_put_entry(0, 1, 0x83, sectors, 20);
	table_put_entry(0, 2, 0x83, 0xffffffff, 0xffffffff);
	table_put_entry(0, 3, 0x83, 1, 0xffffffff);
	ck_assert_uint_eq(table_scan(), 2);
	table_check_part(0, 1, td.disk->size - 5120, 5120);
	table_check_part(1, 4, 512, td.disk->size - 512);
	memdisk_resize(td.disk, td.disk->size - 1);
	ck_assert_uint_eq(table_scan(), 2);
	table_check_part(0, 1, (uint64_t)(sectors - 10) * 512, 9 * 512);
}
END_TEST

/* Hybrid ISO images: partition 1 is the whole disc, and the others are inside it. */
START_TEST(mbr_overlap)
{
	table_put_entry(0, 0, 0x17, 0, td.disk->size / 512);
	table_put_entry(0, 1, 0xef, 64, 128);
	ck_assert_uint_eq(table_scan(), 2);
	table_check_part(0, 1, 0, td.disk->size);
	table_check_part(1, 2, 64 * 512, 128 * 512);
}
END_TEST

START_TEST(mbr_large_sectors)
{
	table_put_entry(0, 0, 0x83, 256, 512);
	table_put_entry(0, 1, 0x05, 1024, 1024);
	table_put_entry(1024 * 4096, 0, 0x83, 8, 16);
	ck_assert_uint_eq(table_scan_hinted(4096), 2);
	ck_assert_uint_eq(td.table.sector, 4096);
	table_check_part(0, 1, 256 * 4096, 512 * 4096);
	table_check_part(1, 5, 1032 * 4096, 16 * 4096);
	/* An impossible sector size in the image is ignored. */
	table_scan_hinted(520);
	ck_assert_uint_eq(td.table.sector, 512);
	table_scan_hinted(65536);
	ck_assert_uint_eq(td.table.sector, 512);
}
END_TEST

START_TEST(superfloppy_fat)
{
	table_put_fat();
	ck_assert_uint_eq(table_scan(), 0);
	ck_assert_ptr_null(td.table.scheme);
	/* mkfs.fat --mbr adds an entry of the whole disk, for firmware that requires one. */
	table_put_entry(0, 0, 0x0c, 0, td.disk->size / 512);
	ck_assert_uint_eq(table_scan(), 0);
	/* A partition table next to the boot code of an overwritten file system. */
	table_put_entry(0, 0, 0x83, 2048, 4096);
	ck_assert_uint_eq(table_scan(), 1);
}
END_TEST

START_TEST(superfloppy_ntfs)
{
	table_put_entry(0, 0, 0x83, 0xffff, 0xffffffff);
	ck_assert_uint_eq(table_scan(), 1);
	memdisk_put(td.disk, 3, "NTFS    ", 8);
	ck_assert_uint_eq(table_scan(), 0);
	memdisk_put(td.disk, 3, "EXFAT   ", 8);
	ck_assert_uint_eq(table_scan(), 0);
}
END_TEST

START_TEST(logicals)
{
	table_put32(440, 0x1234);
	table_put_entry(0, 0, 0x83, 2048, 4096);
	table_put_entry(0, 1, 0x0f, 22528, 65536);
	table_put_entry(22528 * 512, 0, 0x83, 2048, 1000);
	table_put_entry(22528 * 512, 1, 0x05, 40832, 24704);
	table_put_entry(63360 * 512, 0, 0x82, 128, 2000);
	table_put_entry(63360 * 512, 1, 0x85, 8192, 4096); /* links need not ascend */
	table_put_entry(30720 * 512, 0, 0x83, 2048, 500);
	ck_assert_uint_eq(table_scan(), 4);
	table_check_part(0, 1, 2048 * 512, 4096 * 512);
	table_check_part(1, 5, 24576 * 512, 1000 * 512);
	table_check_part(2, 6, 63488 * 512, 2000 * 512);
	table_check_part(3, 7, 32768 * 512, 500 * 512);
	ck_assert_str_eq(td.table.parts[2].partuuid, "00001234-06");
	ck_assert_str_eq(td.table.parts[2].type, "0x82");
	ck_assert_ptr_null(td.table.damage);
}
END_TEST

/* The first entry links to the next EBR, the second is the partition; an EBR without entries; a
 * valid third entry and an invalid fourth one. */
START_TEST(logicals_odd_records)
{
	table_put_entry(0, 3, 0x05, 10000, 20000);
	table_put_entry(10000 * 512, 0, 0x05, 1000, 2000);
	table_put_entry(11000 * 512, 1, 0x83, 63, 100);
	table_put_entry(11000 * 512, 0, 0x05, 5000, 1000);
	table_put_entry(15000 * 512, 2, 0x83, 500, 500);
	table_put_entry(15000 * 512, 3, 0x83, 500, 501);
	ck_assert_uint_eq(table_scan(), 2);
	table_check_part(0, 5, 11063 * 512, 100 * 512);
	table_check_part(1, 6, 15500 * 512, 500 * 512);
}
END_TEST

START_TEST(logicals_of_two_containers)
{
	table_put_entry(0, 0, 0x05, 1000, 1000);
	table_put_entry(0, 1, 0x83, 2000, 1000);
	table_put_entry(0, 2, 0x0f, 3000, 1000);
	table_put_entry(1000 * 512, 0, 0x83, 1, 10);
	table_put_entry(3000 * 512, 0, 0x83, 2, 20);
	ck_assert_uint_eq(table_scan(), 3);
	table_check_part(0, 2, 2000 * 512, 1000 * 512);
	table_check_part(1, 5, 1001 * 512, 10 * 512);
	table_check_part(2, 6, 3002 * 512, 20 * 512);
}
END_TEST

/* A logical partition outside the disk is not shown, but counts for the numbers of the others. */
START_TEST(logicals_outside)
{
	table_put_entry(0, 0, 0x05, 1000, 1000);
	table_put_entry(1000 * 512, 0, 0x83, 0x7fffffff, 10);
	table_put_entry(1000 * 512, 1, 0x05, 100, 100);
	table_put_entry(1100 * 512, 0, 0x83, 1, 10);
	ck_assert_uint_eq(table_scan(), 1);
	table_check_part(0, 6, 1101 * 512, 10 * 512);
}
END_TEST

START_TEST(logicals_loops)
{
	table_put_entry(0, 0, 0x05, 1000, 1000);
	table_put_entry(1000 * 512, 0, 0x83, 1, 10);
	table_put_entry(1000 * 512, 1, 0x05, 0, 100);
	ck_assert_uint_eq(table_scan(), 1);
	ck_assert_ptr_nonnull(strstr(td.table.damage, "loop"));
	table_put_entry(1000 * 512, 1, 0x05, 100, 100);
	table_put_entry(1100 * 512, 1, 0x05, 200, 100);
	table_put_entry(1200 * 512, 1, 0x05, 100, 100);
	ck_assert_uint_eq(table_scan(), 1);
	ck_assert_ptr_nonnull(strstr(td.table.damage, "loop"));
}
END_TEST

START_TEST(logicals_escape)
{
	table_put_entry(0, 0, 0x05, 1000, 1000);
	table_put_entry(1000 * 512, 0, 0x83, 1, 10);
	table_put_entry(1000 * 512, 1, 0x05, 1000, 100);
	table_put_entry(2000 * 512, 0, 0x83, 1, 10);
	ck_assert_uint_eq(table_scan(), 1);
	ck_assert_ptr_nonnull(strstr(td.table.damage, "leaves"));
}
END_TEST

START_TEST(logicals_cut_off)
{
	table_put_entry(0, 0, 0x83, 10, 10);
	table_put_entry(0, 1, 0x05, 0x7fffffff, 0x7fffffff);
	ck_assert_uint_eq(table_scan(), 1);
	ck_assert_ptr_nonnull(strstr(td.table.damage, "missing"));
	table_put_entry(0, 1, 0x05, 1000, 1000);
	ck_assert_uint_eq(table_scan(), 1);
	ck_assert_ptr_nonnull(strstr(td.table.damage, "missing"));
	memdisk_break(td.disk, 1000 * 512);
	ck_assert_uint_eq(table_scan(), 1);
	ck_assert_ptr_nonnull(strstr(td.table.damage, "missing"));
}
END_TEST

START_TEST(logicals_without_end)
{
	table_put_entry(0, 0, 0x05, 1000, 100000);
	for (uint32_t i = 0; i < 2 * LIMIT_PARTITIONS; i++) {
		table_put_entry((1000 + i) * 512, 0, 0x83, 5000, 10);
		table_put_entry((1000 + i) * 512, 1, 0x05, i + 1, 10);
	}
	ck_assert_uint_eq(table_scan(), LIMIT_PARTITIONS);
	table_check_part(255, 260, 6255 * 512, 5120);
	ck_assert_ptr_nonnull(strstr(td.table.damage, "too long"));
}
END_TEST

START_TEST(unreadable)
{
	memdisk_break(td.disk, 0);
	ck_assert_int_eq(partition_table_read(td.disk, 0, &td.table, &td.error), -EIO);
	ck_assert_str_eq(td.error.text, "a broken sector");
	ck_assert_uint_eq(td.table.n, 0);
}
END_TEST

Suite *partition_suite(void)
{
	Suite *s = suite_create("partition");
	TCase *mbr = tcase_create("mbr");

	tcase_add_checked_fixture(mbr, table_setup, table_teardown);
	tcase_add_test(mbr, nothing);
	tcase_add_test(mbr, mbr_primaries);
	tcase_add_test(mbr, mbr_without_signature);
	tcase_add_test(mbr, mbr_status);
	tcase_add_test(mbr, mbr_aix);
	tcase_add_test(mbr, mbr_end_of_disk);
	tcase_add_test(mbr, mbr_overlap);
	tcase_add_test(mbr, mbr_large_sectors);
	tcase_add_test(mbr, superfloppy_fat);
	tcase_add_test(mbr, superfloppy_ntfs);
	tcase_add_test(mbr, logicals);
	tcase_add_test(mbr, logicals_odd_records);
	tcase_add_test(mbr, logicals_of_two_containers);
	tcase_add_test(mbr, logicals_outside);
	tcase_add_test(mbr, logicals_loops);
	tcase_add_test(mbr, logicals_escape);
	tcase_add_test(mbr, logicals_cut_off);
	tcase_add_test(mbr, logicals_without_end);
	tcase_add_test(mbr, unreadable);
	suite_add_tcase(s, mbr);
	return s;
}
