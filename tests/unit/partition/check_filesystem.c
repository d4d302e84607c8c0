/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_filesystem.c - file systems are recognised by superblocks written field by field. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "util/bytes.h"
#include "util/err.h"
#include "partition/filesystem.h"
#include "common/memory_disk.h"
#include "common/unit.h"
#include "view/view.h"

#define MIB ((uint64_t)1 << 20)

static struct view *part;
static struct filesystem id;
static struct err error;

static void setup(void)
{
	part = memdisk_new(64 * MIB);
}

static void teardown(void)
{
	view_free(part);
}

static void read_id(void)
{
	ck_assert_msg(filesystem_read(part, &id, &error) == 0, "%s", error.text);
}

static void is(const char *type, const char *label, const char *uuid)
{
	read_id();
	ck_assert_str_eq(id.type, type);
	ck_assert_str_eq(id.label, label);
	ck_assert_str_eq(id.uuid, uuid);
}

static void put_byte(uint64_t off, uint8_t v)
{
	memdisk_put(part, off, &v, 1);
}

static void put16(uint64_t off, uint16_t v)
{
	v = htole16(v);
	memdisk_put(part, off, &v, sizeof v);
}

static void put32(uint64_t off, uint32_t v)
{
	v = htole32(v);
	memdisk_put(part, off, &v, sizeof v);
}

/* The fields that all FATs have. */
static void put_fat(uint16_t reserved, uint16_t root_entries)
{
	memdisk_put(part, 0, "\xeb\x3c\x90mkfs.fat", 11);
	put16(11, 512);
	put_byte(13, 4);
	put16(14, reserved);
	put_byte(16, 2);
	put16(17, root_entries);
	put_byte(21, 0xf8);
	put32(32, 64 * MIB / 512);
	memdisk_put(part, 510, "\x55\xaa", 2);
}

static void put_fat16(void)
{
	put_fat(4, 512);
	put16(22, 128);
	put_byte(38, 0x29);
	put32(39, 0x1234abcd);
	memdisk_put(part, 43, "BOOT LABEL FAT16   ", 19);
	memdisk_put(part, (4 + 2 * 128) * 512, "ROOT LABEL \x08", 12);
	memdisk_put(part, 4 * 512, "\xf8\xff\xff\xff", 4);
}

/* The root directory is far behind the boot sector: the FATs are longer than necessary. */
static uint64_t put_fat32(void)
{
	put_fat(32, 0);
	put32(36, 10000);
	put32(44, 1002);
	put16(48, 1);
	put_byte(66, 0x29);
	put32(67, 0x1234abcd);
	memdisk_put(part, 71, "NO NAME    FAT32   ", 19);
	memdisk_put(part, 512, "RRaA", 4);
	memdisk_put(part, 512 + 484, "rrAa", 4);
	memdisk_put(part, 512 + 508, "\0\0\x55\xaa", 4);
	put32(32 * 512, 0x0ffffff8);
	put32(32 * 512 + 4, 0x0fffffff);
	put32(32 * 512 + 4 * 1002, 0x0fffffff);
	return (32 + 2 * 10000 + 1000 * 4) * 512;
}

static void put_ext2(const char *label)
{
	static const unsigned char uuid[16] = {
		0x8f, 0x1b, 0x3c, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16};
	uint64_t sb = 1024;

	put32(sb, 16384);
	put32(sb + 4, 65536);
	put32(sb + 20, 1);
	put16(sb + 56, 0xef53);
	put32(sb + 76, 1);
	put32(sb + 96, 2); /* directories with file types: ext2, no journal */
	memdisk_put(part, sb + 104, uuid, sizeof uuid);
	memdisk_put(part, sb + 120, label, strlen(label));
}

static void put_ntfs(uint64_t mft_cluster)
{
	static const unsigned char mft[] = {'F', 'I', 'L', 'E'};
	uint64_t volume = mft_cluster * 4096 + 3 * 1024;

	memdisk_put(part, 0, "\xeb\x52\x90NTFS    ", 11);
	put16(11, 512);
	put_byte(13, 8);
	put_byte(21, 0xf8);
	put32(40, 64 * MIB / 512 - 1);
	put32(48, mft_cluster);
	put32(56, 2);
	put_byte(64, 0xf6);
	put_byte(68, 1);
	put32(72, 0xcafe0001);
	put32(76, 0x01020304);
	memdisk_put(part, 510, "\x55\xaa", 2);
	memdisk_put(part, mft_cluster * 4096, mft, sizeof mft);
	memdisk_put(part, volume, mft, sizeof mft);
	put16(volume + 20, 56);
	put32(volume + 28, 1024);
	put32(volume + 56, 0x60); /* $VOLUME_NAME */
	put32(volume + 60, 32);
	put32(volume + 72, 4);
	put16(volume + 76, 24);
	memdisk_put(part, volume + 80, "C\0:", 4);
}

/* The boot checksum of sectors 0 to 10, without the fields that change, fills sector 11. */
static void exfat_seal(void)
{
	unsigned char boot[11 * 512];
	uint32_t sum = 0;

	memdisk_get(part, 0, boot, sizeof boot);
	for (size_t i = 0; i < sizeof boot; i++)
		if (i != 106 && i != 107 && i != 112)
			sum = (sum >> 1 | sum << 31) + boot[i];
	for (uint64_t off = sizeof boot; off < 12 * 512; off += 4)
		put32(off, sum);
}

/* The root directory is at the end. */
static void put_exfat(const char *label)
{
	uint64_t root = (4096 + (15000 - 2) * 8) * 512;

	memdisk_put(part, 0,
		"\xeb\x76\x90"
		"EXFAT   ",
		11);
	put32(72, 64 * MIB / 512);
	put32(80, 2048);
	put32(84, 128);
	put32(88, 4096);
	put32(92, 15000);
	put32(96, 15000);
	put32(100, 0xcafe0102);
	put16(104, 0x100);
	put_byte(108, 9);
	put_byte(109, 3);
	put_byte(110, 1);
	put_byte(111, 0x80);
	memdisk_put(part, 510, "\x55\xaa", 2);
	exfat_seal();
	put_byte(root, 0x83);
	put_byte(root + 1, strlen(label));
	for (size_t i = 0; label[i]; i++)
		put16(root + 2 + 2 * i, label[i]);
}

START_TEST(nothing)
{
	is("", "", "");
	memdisk_resize(part, 0);
	read_id();
	memdisk_resize(part, 513);
	read_id();
	ck_assert_str_eq(id.type, "");
}
END_TEST

START_TEST(fat16)
{
	put_fat16();
	is("vfat", "ROOT LABEL", "1234-ABCD");
}
END_TEST

START_TEST(fat32_label_in_root)
{
	uint64_t root = put_fat32();

	ck_assert_uint_gt(root, 2 * MIB);
	memdisk_put(part, root, "ROOT LABEL \x08", 12);
	is("vfat", "ROOT LABEL", "1234-ABCD");
}
END_TEST

START_TEST(exfat_label_in_root)
{
	put_exfat("Card 1");
	is("exfat", "Card 1", "CAFE-0102");
}
END_TEST

/* Fields that point anywhere: nothing is found, and nothing is read out of bounds. */
START_TEST(exfat_hostile)
{
	put_exfat("Card 1");
	put32(96, _i % 2 ? 0xffffffff : 1);
	put_byte(108, 9 + 60 * _i);
	put_byte(109, 100 * _i);
	exfat_seal();
	read_id();
	ck_assert_str_eq(id.label, "");
}
END_TEST

START_TEST(ext2)
{
	put_ext2("my disk/\xc3\xbc");
	is("ext2", "my disk/\xc3\xbc", "8f1b3c04-0506-4708-890a-0b0c0d0e0f10");
}
END_TEST

START_TEST(ntfs_far_table)
{
	put_ntfs(8192);
	is("ntfs", "C:", "01020304CAFE0001");
}
END_TEST

/* Fields that point anywhere: nothing is found, and nothing is read out of bounds. */
START_TEST(ntfs_hostile)
{
	static const uint64_t at[] = {
		UINT64_MAX, (uint64_t)1 << 62, (uint64_t)1 << 50, 16384, 16383};

	put_ntfs(8192);
	put32(48, at[_i]);
	put32(52, at[_i] >> 32);
	put_byte(13, _i % 2 ? 0x80 : 0xe1);
	read_id();
	put16(11, _i % 2 ? 0 : 0x8000);
	read_id();
	ck_assert_str_eq(id.type, "");
}
END_TEST

START_TEST(tail)
{
	/* The superblock of metadata version 1.0 is 8 KiB before the end. */
	uint64_t sb = part->size - 8192;
	unsigned char block[256];
	uint64_t sum = 0;

	put32(sb, 0xa92b4efc);
	put32(sb + 4, 1);
	memdisk_put(part, sb + 16, "0123456789abcdef", 16);
	memdisk_put(part, sb + 32, "host:0", 6);
	put32(sb + 144, sb / 512);
	memdisk_get(part, sb, block, sizeof block);
	for (size_t i = 0; i < sizeof block; i += 4)
		sum += load_le32(block + i);
	put32(sb + 216, (uint32_t)(sum + (sum >> 32)));
	is("linux_raid_member", "host:0", "30313233-3435-3637-3839-616263646566");
}
END_TEST

/* A type that is not a file system has a description in words. */
START_TEST(lvm)
{
	unsigned char label[512] = "LABELONE";
	uint32_t crc;

	put_le(label + 8, 8, 1);
	put_le(label + 20, 4, 32);
	memcpy(label + 24, "LVM2 001", 8);
	memset(label + 32, 'a', 32);
	/* CRC-32 with the initial value of LVM, without the final inversion. */
	crc = ~(uint32_t)crc32(~UINT32_C(0xf597a6cf), label + 20, sizeof label - 20);
	put_le(label + 16, 4, crc);
	memdisk_put(part, 512, label, sizeof label);
	is("LVM2_member", "", "aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa");
	ck_assert_str_eq(filesystem_describe(id.type), "LVM physical volume");
	ck_assert_ptr_null(filesystem_describe("ext4"));
	ck_assert_ptr_null(filesystem_describe(""));
}
END_TEST

START_TEST(two_at_once)
{
	put_fat16();
	put_ext2("which");
	is("", "", "");
}
END_TEST

START_TEST(huge)
{
	memdisk_resize(part, INT64_MAX);
	put_ext2("huge");
	read_id();
	ck_assert_str_eq(id.label, "huge");
}
END_TEST

START_TEST(unreadable)
{
	put_ext2("gone");
	memdisk_break(part, 1536);
	ck_assert_int_eq(filesystem_read(part, &id, &error), -EIO);
	ck_assert_str_eq(id.type, "");
}
END_TEST

START_TEST(encode)
{
	static const char *const pairs[][2] = {{"plain", "plain"}, {"my disk", "my\\x20disk"},
		{"a/b", "a\\x2fb"}, {"\xc3\xbc", "\xc3\xbc"}, {"back\\slash", "back\\x5cslash"},
		{"\xff", "\\xff"}, {"", ""}};
	char *text = filesystem_encode(pairs[_i][0]);

	ck_assert_str_eq(text, pairs[_i][1]);
	free(text);
}
END_TEST

Suite *filesystem_suite(void)
{
	Suite *s = suite_create("filesystem");
	TCase *c = tcase_create("filesystem");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, nothing);
	tcase_add_test(c, fat16);
	tcase_add_test(c, fat32_label_in_root);
	tcase_add_test(c, exfat_label_in_root);
	tcase_add_loop_test(c, exfat_hostile, 0, 4);
	tcase_add_test(c, ext2);
	tcase_add_test(c, ntfs_far_table);
	tcase_add_loop_test(c, ntfs_hostile, 0, 5);
	tcase_add_test(c, tail);
	tcase_add_test(c, lvm);
	tcase_add_test(c, two_at_once);
	tcase_add_test(c, huge);
	tcase_add_test(c, unreadable);
	tcase_add_loop_test(c, encode, 0, 7);
	suite_add_tcase(s, c);
	return s;
}
