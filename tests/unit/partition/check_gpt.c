/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_gpt.c - GUID partition tables, valid and hostile. */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "util/limits.h"
#include "common/memory_disk.h"
#include "common/partition_disk.h"
#include "common/unit.h"
#include "view/view.h"

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
	memdisk_put(td.disk, entry_pos(g, i), linux_type, sizeof linux_type);
	memdisk_put(td.disk, entry_pos(g, i) + 16, id, sizeof id);
	table_put64(entry_pos(g, i) + 32, first);
	table_put64(entry_pos(g, i) + 40, last);
}

static void gpt_seal_header(const struct gpt *g, uint32_t size)
{
	unsigned char header[4096];

	table_put32(g->lba * g->sector + 12, size);
	table_put32(g->lba * g->sector + 16, 0);
	memdisk_get(td.disk, g->lba * g->sector, header, size);
	table_put32(g->lba * g->sector + 16, crc32(0, header, size));
}

static void gpt_seal(const struct gpt *g)
{
	uint64_t pos = g->lba * g->sector, len = (uint64_t)g->n * g->entry_size;
	unsigned char *array = malloc(len + 1);

	ck_assert_ptr_nonnull(array);
	memdisk_put(td.disk, pos, "EFI PART\0\0\1", 12);
	table_put64(pos + 24, g->lba);
	table_put64(pos + 32, g->alternate);
	table_put64(pos + 40, 34);
	table_put64(pos + 48, td.disk->size / g->sector - 34);
	memdisk_put(td.disk, pos + 56, linux_type, sizeof linux_type);
	table_put64(pos + 72, g->entries);
	table_put32(pos + 80, g->n);
	table_put32(pos + 84, g->entry_size);
	memdisk_get(td.disk, g->entries * g->sector, array, len);
	table_put32(pos + 88, crc32(0, array, len));
	free(array);
	gpt_seal_header(g, 92);
}

static struct gpt gpt_primary(uint32_t sector)
{
	return (struct gpt){sector, 128, 128, 1, td.disk->size / sector - 1, 2};
}

static struct gpt gpt_backup(uint32_t sector)
{
	uint64_t last = td.disk->size / sector - 1;

	return (struct gpt){sector, 128, 128, last, 1, last - 16384 / sector};
}

static void put_protective_mbr(void)
{
	table_put_entry(0, 0, 0xee, 1, 0xffffffff);
}

/* Writes partitions 1 and 5. */
static void gpt_put(const struct gpt *g)
{
	gpt_put_entry(g, 0, 2048, 4095);
	gpt_put_entry(g, 4, 64, 64);
	gpt_seal(g);
}

static void check_two(uint32_t sector)
{
	ck_assert_uint_eq(td.table.n, 2);
	ck_assert_str_eq(td.table.scheme, "gpt");
	ck_assert_uint_eq(td.table.sector, sector);
	table_check_part(0, 1, 2048 * sector, 2048 * sector);
	table_check_part(1, 5, 64 * sector, sector);
}

START_TEST(gpt_plain)
{
	struct gpt g = gpt_primary(512);

	put_protective_mbr();
	gpt_put(&g);
	table_scan();
	check_two(512);
	ck_assert_str_eq(td.table.id, "0fc63daf-8483-4772-8e79-3d69d8477de4");
	ck_assert_str_eq(td.table.parts[0].type, "0fc63daf-8483-4772-8e79-3d69d8477de4");
	ck_assert_str_eq(td.table.parts[1].partuuid, "12345678-9abc-def0-0102-030405060704");
	ck_assert_ptr_null(td.table.parts[0].partlabel);
	ck_assert_ptr_null(td.table.damage);
}
END_TEST

START_TEST(gpt_sector_sizes)
{
	static const uint32_t sizes[] = {512, 1024, 2048, 4096};
	struct gpt g = gpt_primary(sizes[_i]);

	put_protective_mbr();
	gpt_put(&g);
	table_scan();
	check_two(sizes[_i]);
	for (size_t i = 0; i < 4; i++) {
		table_scan_hinted(sizes[i]);
		check_two(sizes[_i]);
	}
	g = gpt_backup(sizes[_i]);
	gpt_put(&g);
	memdisk_put(td.disk, sizes[_i], "x", 1);
	table_scan();
	check_two(sizes[_i]);
}
END_TEST

/* A disk that was partitioned with two sector sizes: the one of the image is used. */
START_TEST(gpt_two_sector_sizes)
{
	struct gpt small = gpt_primary(512), large = gpt_primary(4096);

	small.entries = 64;
	put_protective_mbr();
	gpt_put(&small);
	gpt_put(&large);
	table_scan();
	check_two(512);
	table_scan_hinted(4096);
	check_two(4096);
}
END_TEST

static void check_name(const struct gpt *g, const uint16_t *units, size_t n, const char *expected)
{
	uint16_t zero[36] = {0};

	memdisk_put(td.disk, entry_pos(g, 0) + 56, zero, sizeof zero);
	for (size_t i = 0; i < n; i++)
		table_put16(entry_pos(g, 0) + 56 + 2 * i, units[i]);
	gpt_seal(g);
	table_scan();
	ck_assert_str_eq(td.table.parts[0].partlabel, expected);
}

START_TEST(gpt_names)
{
	static const uint16_t umlaut[] = {'E', 'F', 'I', ' ', 0xfc, '/', 'x', 0, 'y'};
	static const uint16_t pair[] = {0x20ac, 0xd83d, 0xde00};
	static const uint16_t halves[] = {0xde00, 'a', 0xd83d, 'b', 0xd83d};
	struct gpt g = gpt_primary(512);
	uint16_t full[36];
	char expected[3 * 36 + 1] = "";

	put_protective_mbr();
	gpt_put(&g);
	check_name(&g, umlaut, 9, "EFI \xc3\xbc/x");
	check_name(&g, pair, 3, "\xe2\x82\xac\xf0\x9f\x98\x80");
	check_name(&g, halves, 5,
		"\xef\xbf\xbd"
		"a\xef\xbf\xbd"
		"b\xef\xbf\xbd");
	for (size_t i = 0; i < 36; i++) {
		full[i] = 0xd800; /* an unpaired surrogate at the end */
		memcpy(expected + 3 * i, "\xef\xbf\xbd", 4);
	}
	check_name(&g, full, 36, expected);
}
END_TEST

START_TEST(gpt_entry_sizes)
{
	struct gpt g = gpt_primary(512);

	put_protective_mbr();
	g.entry_size = 256;
	g.n = 32;
	gpt_put(&g);
	table_scan();
	check_two(512);
	g.entry_size = 136;
	gpt_put(&g);
	table_scan();
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

	put_protective_mbr();
	gpt_put(&g);
	table_put32(512 + 80, bad[_i].n);
	table_put32(512 + 84, bad[_i].entry_size);
	gpt_seal_header(&g, 92);
	ck_assert_uint_eq(table_scan(), 0);
	ck_assert_ptr_nonnull(td.table.damage);
}
END_TEST

START_TEST(gpt_largest_array)
{
	struct gpt g = gpt_primary(512);

	put_protective_mbr();
	g.n = LIMIT_GPT_ARRAY / 128;
	gpt_put_entry(&g, g.n - 1, 4096, 4096);
	gpt_put(&g);
	ck_assert_uint_eq(table_scan(), 3);
	table_check_part(2, 8192, 4096 * 512, 512);
	/* Only the first partitions are shown, up to the limit. */
	for (uint32_t i = 0; i < 300; i++)
		gpt_put_entry(&g, i, 4096 + i, 4096 + i);
	gpt_seal(&g);
	ck_assert_uint_eq(table_scan(), LIMIT_PARTITIONS);
	table_check_part(255, 256, (4096 + 255) * 512, 512);
	g.n = 0;
	gpt_seal(&g);
	ck_assert_uint_eq(table_scan(), 0);
	ck_assert_str_eq(td.table.scheme, "gpt");
}
END_TEST

START_TEST(gpt_array_outside)
{
	static const uint64_t at[] = {
		131072, 131041, UINT64_MAX, UINT64_MAX / 512, (uint64_t)1 << 55};
	struct gpt g = gpt_primary(512);

	put_protective_mbr();
	gpt_put(&g);
	table_put64(512 + 72, at[_i]);
	gpt_seal_header(&g, 92);
	ck_assert_uint_eq(table_scan(), 0);
}
END_TEST

START_TEST(gpt_header_sizes)
{
	struct gpt g = gpt_primary(512);

	put_protective_mbr();
	gpt_put(&g);
	gpt_seal_header(&g, 512);
	ck_assert_uint_eq(table_scan(), 2);
	gpt_seal_header(&g, 513);
	ck_assert_uint_eq(table_scan(), 0);
	gpt_seal_header(&g, 91);
	ck_assert_uint_eq(table_scan(), 0);
	table_put32(512 + 12, 0xffffffff);
	ck_assert_uint_eq(table_scan(), 0);
}
END_TEST

START_TEST(gpt_odd_ranges)
{
	struct gpt g = gpt_primary(512);
	uint64_t sectors = td.disk->size / 512;

	put_protective_mbr();
	gpt_put_entry(&g, 0, 3000, 2999); /* ends before it begins */
	gpt_put_entry(&g, 1, 3000, 3999);
	gpt_put_entry(&g, 2, 3500, 4500);           /* overlaps */
	gpt_put_entry(&g, 3, sectors, sectors + 9); /* outside the disk */
	gpt_put_entry(&g, 4, sectors - 5, sectors + 9);
	gpt_put_entry(&g, 5, 0, UINT64_MAX);
	gpt_put_entry(&g, 6, UINT64_MAX, UINT64_MAX);
	gpt_seal(&g);
	ck_assert_uint_eq(table_scan(), 4);
	table_check_part(0, 2, 3000 * 512, 1000 * 512);
	table_check_part(1, 3, 3500 * 512, 1001 * 512);
	table_check_part(2, 5, (sectors - 5) * 512, 5 * 512);
	table_check_part(3, 6, 0, td.disk->size);
}
END_TEST

/* A changed bit in any field that a checksum covers, or in a checksum, makes the copy invalid. */
START_TEST(gpt_checksums)
{
	static const uint64_t at[] = {
		512, 512 + 16, 512 + 24, 512 + 57, 512 + 88, 512 + 91, 1024, 1024 + 16383};
	struct gpt primary = gpt_primary(512), backup = gpt_backup(512);
	unsigned char byte;

	put_protective_mbr();
	gpt_put(&primary);
	memdisk_get(td.disk, at[_i], &byte, 1);
	byte ^= 0x10;
	memdisk_put(td.disk, at[_i], &byte, 1);
	ck_assert_uint_eq(table_scan(), 0);
	gpt_put(&backup);
	table_scan();
	check_two(512);
	ck_assert_ptr_nonnull(strstr(td.table.damage, "backup"));
}
END_TEST

START_TEST(gpt_wrong_place)
{
	struct gpt g = gpt_primary(512);

	put_protective_mbr();
	gpt_put(&g);
	table_put64(512 + 24, 2);
	gpt_seal_header(&g, 92);
	ck_assert_uint_eq(table_scan(), 0);
}
END_TEST

START_TEST(gpt_grown_disk)
{
	struct gpt primary = gpt_primary(512), backup = gpt_backup(512);

	put_protective_mbr();
	gpt_put(&primary);
	gpt_put(&backup);
	memdisk_resize(td.disk, 80 * MIB);
	table_scan();
	check_two(512);
	/* The backup is no longer at the end of the disk, and the primary header, which has its
	 * LBA, is damaged. */
	memdisk_put(td.disk, 512 + 60, "damage", 6);
	table_scan();
	check_two(512);
	memdisk_put(td.disk, 512, "damage", 6);
	ck_assert_uint_eq(table_scan(), 0);
}
END_TEST

START_TEST(gpt_cut_disk)
{
	struct gpt g = gpt_primary(512);

	put_protective_mbr();
	gpt_put(&g);
	memdisk_resize(td.disk, 3000 * 512 + 100);
	ck_assert_uint_eq(table_scan(), 2);
	table_check_part(0, 1, 2048 * 512, 952 * 512);
	memdisk_resize(td.disk, 2048 * 512);
	ck_assert_uint_eq(table_scan(), 1);
	memdisk_resize(td.disk, 512);
	ck_assert_uint_eq(table_scan(), 0);
}
END_TEST

START_TEST(gpt_huge_disk)
{
	uint64_t size = (uint64_t)8 << 60;
	struct gpt g;

	memdisk_resize(td.disk, size - 1);
	g = gpt_backup(512);
	put_protective_mbr();
	gpt_put_entry(&g, 0, 2048, UINT64_MAX);
	gpt_seal(&g);
	ck_assert_uint_eq(table_scan(), 1);
	table_check_part(0, 1, MIB, size - MIB - 512);
}
END_TEST

START_TEST(gpt_hybrid)
{
	struct gpt g = gpt_primary(512);

	gpt_put(&g);
	table_put_entry(0, 0, 0xee, 1, 2047);
	table_put_entry(0, 1, 0xef, 2048, 2048);
	table_scan();
	check_two(512);
	/* Without a valid GPT, a protective MBR entry is ignored, as the kernel does. */
	memdisk_put(td.disk, 512, "x", 1);
	ck_assert_uint_eq(table_scan(), 0);
	ck_assert_ptr_nonnull(strstr(td.table.damage, "protective"));
}
END_TEST

START_TEST(gpt_stale)
{
	struct gpt primary = gpt_primary(512), backup = gpt_backup(512);

	gpt_put(&primary);
	gpt_put(&backup);
	table_put_entry(0, 0, 0x83, 2048, 100);
	ck_assert_uint_eq(table_scan(), 1);
	ck_assert_str_eq(td.table.scheme, "dos");
	/* A file system in the whole disk. */
	table_put_entry(0, 0, 0, 0, 0);
	table_put_fat();
	ck_assert_uint_eq(table_scan(), 0);
}
END_TEST

START_TEST(gpt_without_mbr)
{
	struct gpt primary = gpt_primary(512), backup = gpt_backup(512);

	gpt_put(&primary);
	gpt_put(&backup);
	table_scan();
	check_two(512);
	/* A valid backup alone, without MBR, is left over after mkfs on the whole disk. */
	memdisk_put(td.disk, 512, "x", 1);
	ck_assert_uint_eq(table_scan(), 0);
	ck_assert_ptr_null(td.table.scheme);
}
END_TEST

START_TEST(gpt_unreadable)
{
	struct gpt primary = gpt_primary(512), backup = gpt_backup(512);

	put_protective_mbr();
	gpt_put(&primary);
	memdisk_break(td.disk, 512);
	ck_assert_int_eq(partition_table_read(td.disk, 0, &td.table, &td.error), -EIO);
	gpt_put(&backup);
	table_scan();
	check_two(512);
}
END_TEST

Suite *gpt_suite(void)
{
	Suite *s = suite_create("gpt");
	TCase *gpt = tcase_create("gpt");

	tcase_add_checked_fixture(gpt, table_setup, table_teardown);
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
