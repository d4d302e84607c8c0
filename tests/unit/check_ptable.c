/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_ptable.c - partition tables, made here field by field, sound and hostile. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "bytes.h"
#include "err.h"
#include "bounds.h"
#include "memdisk.h"
#include "ptable.h"
#include "unit.h"
#include "view.h"

#define MIB ((uint64_t)1 << 20)

static struct view *disk;
static struct ptable table;
static struct err error;

static void setup(void)
{
	disk = memdisk_new(64 * MIB);
}

static void teardown(void)
{
	ptable_free(&table);
	view_free(disk);
}

/* Reads the table anew and says how many partitions there are. */
static size_t scan_hinted(uint32_t sector)
{
	ptable_free(&table);
	ck_assert_msg(ptable_read(disk, sector, &table, &error) == 0, "%s", error.text);
	return table.n;
}

static size_t scan(void)
{
	return scan_hinted(0);
}

static void put16(uint64_t off, uint16_t v)
{
	v = htole16(v);
	memdisk_put(disk, off, &v, sizeof v);
}

static void put32(uint64_t off, uint32_t v)
{
	v = htole32(v);
	memdisk_put(disk, off, &v, sizeof v);
}

static void put64(uint64_t off, uint64_t v)
{
	v = htole64(v);
	memdisk_put(disk, off, &v, sizeof v);
}

/* A boot sector's signature, or that of a record of logical partitions. */
static void put_magic(uint64_t off)
{
	memdisk_put(disk, off + 510, "\x55\xaa", 2);
}

static void put_entry(uint64_t off, unsigned slot, uint8_t type, uint32_t start, uint32_t n)
{
	off += 446 + 16 * slot;
	memdisk_put(disk, off + 4, &type, 1);
	put32(off + 8, start);
	put32(off + 12, n);
	put_magic(off - 446 - 16 * slot);
}

static void check_part(size_t i, unsigned number, uint64_t start, uint64_t len)
{
	ck_assert_uint_lt(i, table.n);
	ck_assert_uint_eq(table.parts[i].number, number);
	ck_assert_uint_eq(table.parts[i].start, start);
	ck_assert_uint_eq(table.parts[i].len, len);
}

/* ---- MBR ---- */

START_TEST(nothing)
{
	ck_assert_uint_eq(scan(), 0);
	ck_assert_ptr_null(table.scheme);
	ck_assert_ptr_null(table.damage);
	memdisk_resize(disk, 0);
	ck_assert_uint_eq(scan(), 0);
	memdisk_resize(disk, 511);
	ck_assert_uint_eq(scan(), 0);
}
END_TEST

START_TEST(mbr_primaries)
{
	put32(440, 0xdeadbeef);
	put_entry(0, 0, 0x83, 2048, 4096);
	put_entry(0, 2, 0x0c, 128, 64);
	ck_assert_uint_eq(scan(), 2);
	ck_assert_str_eq(table.scheme, "dos");
	ck_assert_str_eq(table.id, "deadbeef");
	ck_assert_uint_eq(table.sector, 512);
	check_part(0, 1, 2048 * 512, 4096 * 512);
	check_part(1, 3, 128 * 512, 64 * 512);
	ck_assert_str_eq(table.parts[0].type, "0x83");
	ck_assert_str_eq(table.parts[1].type, "0xc");
	ck_assert_str_eq(table.parts[0].partuuid, "deadbeef-01");
	ck_assert_str_eq(table.parts[1].partuuid, "deadbeef-03");
	ck_assert_ptr_null(table.parts[0].partlabel);
}
END_TEST

START_TEST(mbr_without_signature)
{
	put_entry(0, 0, 0x83, 2048, 4096);
	ck_assert_uint_eq(scan(), 1);
	ck_assert_str_eq(table.id, "");
	ck_assert_str_eq(table.parts[0].partuuid, "");
	put16(510, 0);
	ck_assert_uint_eq(scan(), 0);
}
END_TEST

START_TEST(mbr_status)
{
	put_entry(0, 0, 0x83, 2048, 4096);
	memdisk_put(disk, 446, "\x80", 1);
	ck_assert_uint_eq(scan(), 1);
	memdisk_put(disk, 446 + 48, "\x20", 1);
	ck_assert_uint_eq(scan(), 0);
	ck_assert_ptr_null(table.scheme);
}
END_TEST

START_TEST(mbr_aix)
{
	put_entry(0, 0, 0x83, 2048, 4096);
	memdisk_put(disk, 0, "\xc9\xc2\xd4\xc1", 4);
	ck_assert_uint_eq(scan(), 0);
}
END_TEST

START_TEST(mbr_end_of_disk)
{
	uint32_t sectors = disk->size / 512;

	put_entry(0, 0, 0x83, sectors - 10, 20);
	put_entry(0, 1, 0x83, sectors, 20);
	put_entry(0, 2, 0x83, 0xffffffff, 0xffffffff);
	put_entry(0, 3, 0x83, 1, 0xffffffff);
	ck_assert_uint_eq(scan(), 2);
	check_part(0, 1, disk->size - 5120, 5120);
	check_part(1, 4, 512, disk->size - 512);
	memdisk_resize(disk, disk->size - 1);
	ck_assert_uint_eq(scan(), 2);
	check_part(0, 1, (uint64_t)(sectors - 10) * 512, 9 * 512);
}
END_TEST

/* Hybrid ISO images: partition 1 is the whole disc, and others lie inside it. */
START_TEST(mbr_overlap)
{
	put_entry(0, 0, 0x17, 0, disk->size / 512);
	put_entry(0, 1, 0xef, 64, 128);
	ck_assert_uint_eq(scan(), 2);
	check_part(0, 1, 0, disk->size);
	check_part(1, 2, 64 * 512, 128 * 512);
}
END_TEST

START_TEST(mbr_large_sectors)
{
	put_entry(0, 0, 0x83, 256, 512);
	put_entry(0, 1, 0x05, 1024, 1024);
	put_entry(1024 * 4096, 0, 0x83, 8, 16);
	ck_assert_uint_eq(scan_hinted(4096), 2);
	ck_assert_uint_eq(table.sector, 4096);
	check_part(0, 1, 256 * 4096, 512 * 4096);
	check_part(1, 5, 1032 * 4096, 16 * 4096);
	/* A size that no disk has is as good as none. */
	scan_hinted(520);
	ck_assert_uint_eq(table.sector, 512);
	scan_hinted(65536);
	ck_assert_uint_eq(table.sector, 512);
}
END_TEST

static const unsigned char fat_head[] = {0xeb, 0x3c, 0x90, 'm', 'k', 'f', 's', '.', 'f', 'a', 't',
	0x00, 0x02, 4, 4, 0, 2, 0, 2, 0, 0, 0xf8, 32, 0};

START_TEST(superfloppy_fat)
{
	memdisk_put(disk, 0, fat_head, sizeof fat_head);
	put_magic(0);
	ck_assert_uint_eq(scan(), 0);
	ck_assert_ptr_null(table.scheme);
	/* mkfs.fat --mbr: an entry for firmware that insists on one. */
	put_entry(0, 0, 0x0c, 0, disk->size / 512);
	ck_assert_uint_eq(scan(), 0);
	/* The file system's boot code is still there, the file system is not. */
	put_entry(0, 0, 0x83, 2048, 4096);
	ck_assert_uint_eq(scan(), 1);
}
END_TEST

START_TEST(superfloppy_ntfs)
{
	put_entry(0, 0, 0x83, 0xffff, 0xffffffff);
	ck_assert_uint_eq(scan(), 1);
	memdisk_put(disk, 3, "NTFS    ", 8);
	ck_assert_uint_eq(scan(), 0);
	memdisk_put(disk, 3, "EXFAT   ", 8);
	ck_assert_uint_eq(scan(), 0);
}
END_TEST

START_TEST(logicals)
{
	put32(440, 0x1234);
	put_entry(0, 0, 0x83, 2048, 4096);
	put_entry(0, 1, 0x0f, 22528, 65536);
	put_entry(22528 * 512, 0, 0x83, 2048, 1000);
	put_entry(22528 * 512, 1, 0x05, 40832, 24704);
	put_entry(63360 * 512, 0, 0x82, 128, 2000);
	put_entry(63360 * 512, 1, 0x85, 8192, 4096); /* links need not ascend */
	put_entry(30720 * 512, 0, 0x83, 2048, 500);
	ck_assert_uint_eq(scan(), 4);
	check_part(0, 1, 2048 * 512, 4096 * 512);
	check_part(1, 5, 24576 * 512, 1000 * 512);
	check_part(2, 6, 63488 * 512, 2000 * 512);
	check_part(3, 7, 32768 * 512, 500 * 512);
	ck_assert_str_eq(table.parts[2].partuuid, "00001234-06");
	ck_assert_str_eq(table.parts[2].type, "0x82");
	ck_assert_ptr_null(table.damage);
}
END_TEST

/* Link in the first entry, partition in the second; an empty record; a third entry that is sound
 * and a fourth that is garbage. */
START_TEST(logicals_odd_records)
{
	put_entry(0, 3, 0x05, 10000, 20000);
	put_entry(10000 * 512, 0, 0x05, 1000, 2000);
	put_entry(11000 * 512, 1, 0x83, 63, 100);
	put_entry(11000 * 512, 0, 0x05, 5000, 1000);
	put_entry(15000 * 512, 2, 0x83, 500, 500);
	put_entry(15000 * 512, 3, 0x83, 500, 501);
	ck_assert_uint_eq(scan(), 2);
	check_part(0, 5, 11063 * 512, 100 * 512);
	check_part(1, 6, 15500 * 512, 500 * 512);
}
END_TEST

START_TEST(logicals_of_two_containers)
{
	put_entry(0, 0, 0x05, 1000, 1000);
	put_entry(0, 1, 0x83, 2000, 1000);
	put_entry(0, 2, 0x0f, 3000, 1000);
	put_entry(1000 * 512, 0, 0x83, 1, 10);
	put_entry(3000 * 512, 0, 0x83, 2, 20);
	ck_assert_uint_eq(scan(), 3);
	check_part(0, 2, 2000 * 512, 1000 * 512);
	check_part(1, 5, 1001 * 512, 10 * 512);
	check_part(2, 6, 3002 * 512, 20 * 512);
}
END_TEST

/* A logical partition outside the disk is not shown but keeps its number. */
START_TEST(logicals_outside)
{
	put_entry(0, 0, 0x05, 1000, 1000);
	put_entry(1000 * 512, 0, 0x83, 0x7fffffff, 10);
	put_entry(1000 * 512, 1, 0x05, 100, 100);
	put_entry(1100 * 512, 0, 0x83, 1, 10);
	ck_assert_uint_eq(scan(), 1);
	check_part(0, 6, 1101 * 512, 10 * 512);
}
END_TEST

START_TEST(logicals_loops)
{
	put_entry(0, 0, 0x05, 1000, 1000);
	put_entry(1000 * 512, 0, 0x83, 1, 10);
	put_entry(1000 * 512, 1, 0x05, 0, 100);
	ck_assert_uint_eq(scan(), 1);
	ck_assert_ptr_nonnull(strstr(table.damage, "loop"));
	put_entry(1000 * 512, 1, 0x05, 100, 100);
	put_entry(1100 * 512, 1, 0x05, 200, 100);
	put_entry(1200 * 512, 1, 0x05, 100, 100);
	ck_assert_uint_eq(scan(), 1);
	ck_assert_ptr_nonnull(strstr(table.damage, "loop"));
}
END_TEST

START_TEST(logicals_escape)
{
	put_entry(0, 0, 0x05, 1000, 1000);
	put_entry(1000 * 512, 0, 0x83, 1, 10);
	put_entry(1000 * 512, 1, 0x05, 1000, 100);
	put_entry(2000 * 512, 0, 0x83, 1, 10);
	ck_assert_uint_eq(scan(), 1);
	ck_assert_ptr_nonnull(strstr(table.damage, "leaves"));
}
END_TEST

START_TEST(logicals_cut_off)
{
	put_entry(0, 0, 0x83, 10, 10);
	put_entry(0, 1, 0x05, 0x7fffffff, 0x7fffffff);
	ck_assert_uint_eq(scan(), 1);
	ck_assert_ptr_nonnull(strstr(table.damage, "missing"));
	put_entry(0, 1, 0x05, 1000, 1000);
	ck_assert_uint_eq(scan(), 1);
	ck_assert_ptr_nonnull(strstr(table.damage, "missing"));
	memdisk_break(disk, 1000 * 512);
	ck_assert_uint_eq(scan(), 1);
	ck_assert_ptr_nonnull(strstr(table.damage, "missing"));
}
END_TEST

START_TEST(logicals_without_end)
{
	put_entry(0, 0, 0x05, 1000, 100000);
	for (uint32_t i = 0; i < 2 * LIMIT_PARTITIONS; i++) {
		put_entry((1000 + i) * 512, 0, 0x83, 5000, 10);
		put_entry((1000 + i) * 512, 1, 0x05, i + 1, 10);
	}
	ck_assert_uint_eq(scan(), LIMIT_PARTITIONS);
	check_part(255, 260, 6255 * 512, 5120);
	ck_assert_ptr_nonnull(strstr(table.damage, "too long"));
}
END_TEST

START_TEST(unreadable)
{
	memdisk_break(disk, 0);
	ck_assert_int_eq(ptable_read(disk, 0, &table, &error), -EIO);
	ck_assert_str_eq(error.text, "a broken sector");
	ck_assert_uint_eq(table.n, 0);
}
END_TEST

/* ---- GPT ---- */

static const unsigned char linux_type[16] = {0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e,
	0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4};

struct gpt {
	uint32_t sector, n, entry_size;
	uint64_t lba, alternate, entries;
};

static uint64_t entry_pos(const struct gpt *g, uint32_t i)
{
	return g->entries * g->sector + (uint64_t)i * g->entry_size;
}

static void gpt_put_entry(const struct gpt *g, uint32_t i, uint64_t first, uint64_t last)
{
	unsigned char id[16] = {
		0x78, 0x56, 0x34, 0x12, 0xbc, 0x9a, 0xf0, 0xde, 1, 2, 3, 4, 5, 6, 7};

	id[15] = i;
	memdisk_put(disk, entry_pos(g, i), linux_type, sizeof linux_type);
	memdisk_put(disk, entry_pos(g, i) + 16, id, sizeof id);
	put64(entry_pos(g, i) + 32, first);
	put64(entry_pos(g, i) + 40, last);
}

static void gpt_seal_header(const struct gpt *g, uint32_t size)
{
	unsigned char header[4096];

	put32(g->lba * g->sector + 12, size);
	put32(g->lba * g->sector + 16, 0);
	memdisk_get(disk, g->lba * g->sector, header, size);
	put32(g->lba * g->sector + 16, crc32(0, header, size));
}

static void gpt_seal(const struct gpt *g)
{
	uint64_t pos = g->lba * g->sector, len = (uint64_t)g->n * g->entry_size;
	unsigned char *array = malloc(len + 1);

	ck_assert_ptr_nonnull(array);
	memdisk_put(disk, pos, "EFI PART\0\0\1", 12);
	put64(pos + 24, g->lba);
	put64(pos + 32, g->alternate);
	put64(pos + 40, 34);
	put64(pos + 48, disk->size / g->sector - 34);
	memdisk_put(disk, pos + 56, linux_type, sizeof linux_type);
	put64(pos + 72, g->entries);
	put32(pos + 80, g->n);
	put32(pos + 84, g->entry_size);
	memdisk_get(disk, g->entries * g->sector, array, len);
	put32(pos + 88, crc32(0, array, len));
	free(array);
	gpt_seal_header(g, 92);
}

static struct gpt gpt_primary(uint32_t sector)
{
	return (struct gpt){sector, 128, 128, 1, disk->size / sector - 1, 2};
}

static struct gpt gpt_backup(uint32_t sector)
{
	uint64_t last = disk->size / sector - 1;

	return (struct gpt){sector, 128, 128, last, 1, last - 16384 / sector};
}

static void put_protective(void)
{
	put_entry(0, 0, 0xee, 1, 0xffffffff);
}

/* Partitions 1 and 5. */
static void gpt_put(const struct gpt *g)
{
	gpt_put_entry(g, 0, 2048, 4095);
	gpt_put_entry(g, 4, 64, 64);
	gpt_seal(g);
}

static void check_two(uint32_t sector)
{
	ck_assert_uint_eq(table.n, 2);
	ck_assert_str_eq(table.scheme, "gpt");
	ck_assert_uint_eq(table.sector, sector);
	check_part(0, 1, 2048 * sector, 2048 * sector);
	check_part(1, 5, 64 * sector, sector);
}

START_TEST(gpt_plain)
{
	struct gpt g = gpt_primary(512);

	put_protective();
	gpt_put(&g);
	scan();
	check_two(512);
	ck_assert_str_eq(table.id, "0fc63daf-8483-4772-8e79-3d69d8477de4");
	ck_assert_str_eq(table.parts[0].type, "0fc63daf-8483-4772-8e79-3d69d8477de4");
	ck_assert_str_eq(table.parts[1].partuuid, "12345678-9abc-def0-0102-030405060704");
	ck_assert_ptr_null(table.parts[0].partlabel);
	ck_assert_ptr_null(table.damage);
}
END_TEST

START_TEST(gpt_sector_sizes)
{
	static const uint32_t sizes[] = {512, 1024, 2048, 4096};
	struct gpt g = gpt_primary(sizes[_i]);

	put_protective();
	gpt_put(&g);
	scan();
	check_two(sizes[_i]);
	for (size_t i = 0; i < 4; i++) {
		scan_hinted(sizes[i]);
		check_two(sizes[_i]);
	}
	g = gpt_backup(sizes[_i]);
	gpt_put(&g);
	memdisk_put(disk, sizes[_i], "x", 1);
	scan();
	check_two(sizes[_i]);
}
END_TEST

/* Left over from the disk's life with other sectors: what the image says decides. */
START_TEST(gpt_two_sector_sizes)
{
	struct gpt small = gpt_primary(512), large = gpt_primary(4096);

	small.entries = 64;
	put_protective();
	gpt_put(&small);
	gpt_put(&large);
	scan();
	check_two(512);
	scan_hinted(4096);
	check_two(4096);
}
END_TEST

static void check_name(const struct gpt *g, const uint16_t *units, size_t n, const char *expected)
{
	uint16_t zero[36] = {0};

	memdisk_put(disk, entry_pos(g, 0) + 56, zero, sizeof zero);
	for (size_t i = 0; i < n; i++)
		put16(entry_pos(g, 0) + 56 + 2 * i, units[i]);
	gpt_seal(g);
	scan();
	ck_assert_str_eq(table.parts[0].partlabel, expected);
}

START_TEST(gpt_names)
{
	static const uint16_t umlaut[] = {'E', 'F', 'I', ' ', 0xfc, '/', 'x', 0, 'y'};
	static const uint16_t pair[] = {0x20ac, 0xd83d, 0xde00};
	static const uint16_t halves[] = {0xde00, 'a', 0xd83d, 'b', 0xd83d};
	struct gpt g = gpt_primary(512);
	uint16_t full[36];
	char expected[3 * 36 + 1] = "";

	put_protective();
	gpt_put(&g);
	check_name(&g, umlaut, 9, "EFI \xc3\xbc/x");
	check_name(&g, pair, 3, "\xe2\x82\xac\xf0\x9f\x98\x80");
	check_name(&g, halves, 5,
		"\xef\xbf\xbd"
		"a\xef\xbf\xbd"
		"b\xef\xbf\xbd");
	for (size_t i = 0; i < 36; i++) {
		full[i] = 0xd800; /* the last one has no neighbour to pair with */
		memcpy(expected + 3 * i, "\xef\xbf\xbd", 4);
	}
	check_name(&g, full, 36, expected);
}
END_TEST

START_TEST(gpt_entry_sizes)
{
	struct gpt g = gpt_primary(512);

	put_protective();
	g.entry_size = 256;
	g.n = 32;
	gpt_put(&g);
	scan();
	check_two(512);
	g.entry_size = 136;
	gpt_put(&g);
	scan();
	check_two(512);
}
END_TEST

START_TEST(gpt_bad_geometry)
{
	static const struct {
		uint32_t n, entry_size;
	} bad[] = {{128, 0}, {128, 64}, {128, 129}, {8193, 128}, {0xffffffff, 0xfffffff8},
		{0x02000000, 128}, {2, 0x80000000}};
	struct gpt g = gpt_primary(512);

	put_protective();
	gpt_put(&g);
	put32(512 + 80, bad[_i].n);
	put32(512 + 84, bad[_i].entry_size);
	gpt_seal_header(&g, 92);
	ck_assert_uint_eq(scan(), 0);
	ck_assert_ptr_nonnull(table.damage);
}
END_TEST

START_TEST(gpt_largest_array)
{
	struct gpt g = gpt_primary(512);

	put_protective();
	g.n = LIMIT_GPT_ARRAY / 128;
	gpt_put_entry(&g, g.n - 1, 4096, 4096);
	gpt_put(&g);
	ck_assert_uint_eq(scan(), 3);
	check_part(2, 8192, 4096 * 512, 512);
	/* More partitions than we show: the first ones. */
	for (uint32_t i = 0; i < 300; i++)
		gpt_put_entry(&g, i, 4096 + i, 4096 + i);
	gpt_seal(&g);
	ck_assert_uint_eq(scan(), LIMIT_PARTITIONS);
	check_part(255, 256, (4096 + 255) * 512, 512);
	g.n = 0;
	gpt_seal(&g);
	ck_assert_uint_eq(scan(), 0);
	ck_assert_str_eq(table.scheme, "gpt");
}
END_TEST

START_TEST(gpt_array_outside)
{
	static const uint64_t at[] = {
		131072, 131041, UINT64_MAX, UINT64_MAX / 512, (uint64_t)1 << 55};
	struct gpt g = gpt_primary(512);

	put_protective();
	gpt_put(&g);
	put64(512 + 72, at[_i]);
	gpt_seal_header(&g, 92);
	ck_assert_uint_eq(scan(), 0);
}
END_TEST

START_TEST(gpt_header_sizes)
{
	struct gpt g = gpt_primary(512);

	put_protective();
	gpt_put(&g);
	gpt_seal_header(&g, 512);
	ck_assert_uint_eq(scan(), 2);
	gpt_seal_header(&g, 513);
	ck_assert_uint_eq(scan(), 0);
	gpt_seal_header(&g, 91);
	ck_assert_uint_eq(scan(), 0);
	put32(512 + 12, 0xffffffff);
	ck_assert_uint_eq(scan(), 0);
}
END_TEST

START_TEST(gpt_odd_ranges)
{
	struct gpt g = gpt_primary(512);
	uint64_t sectors = disk->size / 512;

	put_protective();
	gpt_put_entry(&g, 0, 3000, 2999); /* ends before it begins */
	gpt_put_entry(&g, 1, 3000, 3999);
	gpt_put_entry(&g, 2, 3500, 4500);           /* overlaps */
	gpt_put_entry(&g, 3, sectors, sectors + 9); /* outside */
	gpt_put_entry(&g, 4, sectors - 5, sectors + 9);
	gpt_put_entry(&g, 5, 0, UINT64_MAX);
	gpt_put_entry(&g, 6, UINT64_MAX, UINT64_MAX);
	gpt_seal(&g);
	ck_assert_uint_eq(scan(), 4);
	check_part(0, 2, 3000 * 512, 1000 * 512);
	check_part(1, 3, 3500 * 512, 1001 * 512);
	check_part(2, 5, (sectors - 5) * 512, 5 * 512);
	check_part(3, 6, 0, disk->size);
}
END_TEST

/* Each byte that a checksum covers, and the checksums: one bit more and the copy is not believed.
 */
START_TEST(gpt_checksums)
{
	static const uint64_t at[] = {
		512, 512 + 16, 512 + 24, 512 + 57, 512 + 88, 512 + 91, 1024, 1024 + 16383};
	struct gpt primary = gpt_primary(512), backup = gpt_backup(512);
	unsigned char byte;

	put_protective();
	gpt_put(&primary);
	memdisk_get(disk, at[_i], &byte, 1);
	byte ^= 0x10;
	memdisk_put(disk, at[_i], &byte, 1);
	ck_assert_uint_eq(scan(), 0);
	gpt_put(&backup);
	scan();
	check_two(512);
	ck_assert_ptr_nonnull(strstr(table.damage, "backup"));
}
END_TEST

START_TEST(gpt_wrong_place)
{
	struct gpt g = gpt_primary(512);

	put_protective();
	gpt_put(&g);
	put64(512 + 24, 2);
	gpt_seal_header(&g, 92);
	ck_assert_uint_eq(scan(), 0);
}
END_TEST

START_TEST(gpt_grown_disk)
{
	struct gpt primary = gpt_primary(512), backup = gpt_backup(512);

	put_protective();
	gpt_put(&primary);
	gpt_put(&backup);
	memdisk_resize(disk, 80 * MIB);
	scan();
	check_two(512);
	/* The backup is in the middle now, and only the damaged primary knows where. */
	memdisk_put(disk, 512 + 60, "damage", 6);
	scan();
	check_two(512);
	memdisk_put(disk, 512, "damage", 6);
	ck_assert_uint_eq(scan(), 0);
}
END_TEST

START_TEST(gpt_cut_disk)
{
	struct gpt g = gpt_primary(512);

	put_protective();
	gpt_put(&g);
	memdisk_resize(disk, 3000 * 512 + 100);
	ck_assert_uint_eq(scan(), 2);
	check_part(0, 1, 2048 * 512, 952 * 512);
	memdisk_resize(disk, 2048 * 512);
	ck_assert_uint_eq(scan(), 1);
	memdisk_resize(disk, 512);
	ck_assert_uint_eq(scan(), 0);
}
END_TEST

START_TEST(gpt_huge_disk)
{
	uint64_t size = (uint64_t)8 << 60;
	struct gpt g;

	memdisk_resize(disk, size - 1);
	g = gpt_backup(512);
	put_protective();
	gpt_put_entry(&g, 0, 2048, UINT64_MAX);
	gpt_seal(&g);
	ck_assert_uint_eq(scan(), 1);
	check_part(0, 1, MIB, size - MIB - 512);
}
END_TEST

START_TEST(gpt_hybrid)
{
	struct gpt g = gpt_primary(512);

	gpt_put(&g);
	put_entry(0, 0, 0xee, 1, 2047);
	put_entry(0, 1, 0xef, 2048, 2048);
	scan();
	check_two(512);
	/* Without a sound GPT an MBR with a protective entry is nothing, as in the kernel. */
	memdisk_put(disk, 512, "x", 1);
	ck_assert_uint_eq(scan(), 0);
	ck_assert_ptr_nonnull(strstr(table.damage, "protective"));
}
END_TEST

START_TEST(gpt_stale)
{
	struct gpt primary = gpt_primary(512), backup = gpt_backup(512);

	gpt_put(&primary);
	gpt_put(&backup);
	put_entry(0, 0, 0x83, 2048, 100);
	ck_assert_uint_eq(scan(), 1);
	ck_assert_str_eq(table.scheme, "dos");
	/* A file system over the whole disk. */
	put_entry(0, 0, 0, 0, 0);
	memdisk_put(disk, 0, fat_head, sizeof fat_head);
	ck_assert_uint_eq(scan(), 0);
}
END_TEST

START_TEST(gpt_without_mbr)
{
	struct gpt primary = gpt_primary(512), backup = gpt_backup(512);

	gpt_put(&primary);
	gpt_put(&backup);
	scan();
	check_two(512);
	/* The backup alone on a disk without an MBR is what a new file system leaves of a table. */
	memdisk_put(disk, 512, "x", 1);
	ck_assert_uint_eq(scan(), 0);
	ck_assert_ptr_null(table.scheme);
}
END_TEST

START_TEST(gpt_unreadable)
{
	struct gpt primary = gpt_primary(512), backup = gpt_backup(512);

	put_protective();
	gpt_put(&primary);
	memdisk_break(disk, 512);
	ck_assert_int_eq(ptable_read(disk, 0, &table, &error), -EIO);
	gpt_put(&backup);
	scan();
	check_two(512);
}
END_TEST

Suite *ptable_suite(void)
{
	Suite *s = suite_create("ptable");
	TCase *mbr = tcase_create("mbr"), *gpt = tcase_create("gpt");

	tcase_add_checked_fixture(mbr, setup, teardown);
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
	tcase_add_checked_fixture(gpt, setup, teardown);
	tcase_add_test(gpt, gpt_plain);
	tcase_add_loop_test(gpt, gpt_sector_sizes, 0, 4);
	tcase_add_test(gpt, gpt_two_sector_sizes);
	tcase_add_test(gpt, gpt_names);
	tcase_add_test(gpt, gpt_entry_sizes);
	tcase_add_loop_test(gpt, gpt_bad_geometry, 0, 7);
	tcase_add_test(gpt, gpt_largest_array);
	tcase_add_loop_test(gpt, gpt_array_outside, 0, 5);
	tcase_add_test(gpt, gpt_header_sizes);
	tcase_add_test(gpt, gpt_odd_ranges);
	tcase_add_loop_test(gpt, gpt_checksums, 0, 8);
	tcase_add_test(gpt, gpt_wrong_place);
	tcase_add_test(gpt, gpt_grown_disk);
	tcase_add_test(gpt, gpt_cut_disk);
	tcase_add_test(gpt, gpt_huge_disk);
	tcase_add_test(gpt, gpt_hybrid);
	tcase_add_test(gpt, gpt_stale);
	tcase_add_test(gpt, gpt_without_mbr);
	tcase_add_test(gpt, gpt_unreadable);
	suite_add_tcase(s, gpt);
	return s;
}
