/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_lvm_thin.c - thin volumes and snapshots as the text of a group describes them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build/thin.h"
#include "common/unit.h"
#include "lvm_disk.h"

#define CHUNK    65536u /* 8 extents */
#define POOL     "metadata = \"meta\"\npool = \"data\"\ntransaction_id = 3\nchunk_size = 128\n"
#define THIN     "thin_pool = \"pool\"\ntransaction_id = 0\ndevice_id = 1\n"
#define METADATA LVM_HIDDEN("meta", "M", "8", "striped", LVM_LINEAR("pv0", "0"))
#define DATA     LVM_HIDDEN("data", "D", "8", "striped", LVM_LINEAR("pv0", "8"))

/* Metadata in the first eight extents of device 0: device 1 has its second chunk in the data. */
static void put_metadata(uint64_t transaction)
{
	static const uint64_t id = 1;
	static const unsigned char details[24];
	struct thin_metadata m = thin_metadata_new(8 * LVM_EXTENT / THIN_NODE);
	uint64_t key = 1, mapping = thin_mapping(0, 1);
	uint64_t root = htole64(thin_put_tree(&m, &key, &mapping, 8, 1, 4));

	thin_put_superblock(&m, thin_put_tree(&m, &id, &root, 8, 1, 4),
		thin_put_tree(&m, &id, details, 24, 1, 4), CHUNK, transaction);
	memcpy(lvm.disks[0]->bytes + LVM_START, m.bytes, m.blocks * THIN_NODE);
	free(m.bytes);
}

static void read_volumes(const char *volumes)
{
	lvm_read_text(1, lvm_text(1, 1, volumes));
}

/* Asserts that a volume has these extents of device 0; -1: zeroes. */
static void check_extents(const char *name, const int *extents, size_t n)
{
	struct view *v = lvm_view(name, 1);
	unsigned char *buf = malloc(n * LVM_EXTENT);

	ck_assert_ptr_nonnull(buf);
	ck_assert_uint_eq(v->size, n * LVM_EXTENT);
	ck_assert_ok(view_read(v, buf, n * LVM_EXTENT, 0, &lvm.error), &lvm.error);
	for (size_t i = 0; i < n * LVM_EXTENT; i++) {
		int extent = extents[i / LVM_EXTENT];
		unsigned char expected =
			extent < 0
				? 0
				: lvm.disks[0]
					  ->bytes[LVM_START + extent * LVM_EXTENT + i % LVM_EXTENT];

		ck_assert_msg(buf[i] == expected, "%s: byte %zu", name, i);
	}
	free(buf);
	view_free(v);
}

static const int thin_extents[] = {
	-1, -1, -1, -1, -1, -1, -1, -1, 8, 9, 10, 11, 12, 13, 14, 15, -1};

START_TEST(thin_volumes)
{
	static const int origin_extents[] = {20, 21, -1, -1, -1, -1, -1, -1, 8, 9, 10, 11, 12, 13};

	put_metadata(3);
	read_volumes(LVM_LV("pool", "P", "8", "thin-pool", POOL) LVM_LV("a", "A", "17", "thin",
		THIN) LVM_LV("b", "B", "14", "thin", THIN "external_origin = \"o\"\n")
			LVM_LV_OF("o", "O", "\"READ\"", "2", "striped", LVM_LINEAR("pv0", "20"))
				METADATA DATA);
	ck_assert_uint_eq(lvm.set->nvolumes, 2);
	check_extents("vg-a", thin_extents, COUNT(thin_extents));
	check_extents("vg-b", origin_extents, COUNT(origin_extents));
	ck_assert_str_eq(lvm_volume("vg-a")->layout, "thin");
	ck_assert_ptr_nonnull(lvm_volume("vg-a")->no_writing);
}
END_TEST

START_TEST(pending_messages)
{
	static const char text[] =
		LVM_LV("pool", "P", "8", "thin-pool", POOL "message1 {\ncreate = \"a\"\n}\n")
			LVM_LV("a", "A", "17", "thin", THIN) METADATA DATA;

	put_metadata(2);
	read_volumes(text);
	check_extents("vg-a", thin_extents, COUNT(thin_extents));
	put_metadata(1);
	read_volumes(text);
	lvm_refused("vg-a", "its transaction is 1, and 3 in LVM's metadata");
}
END_TEST

#define POOL_OF(lines) LVM_LV("pool", "P", "8", "thin-pool", lines)
#define THIN_OF(lines) LVM_LV("a", "A", "17", "thin", lines)

static const struct {
	const char *volumes, *text;
} refused[] = {
	{THIN_OF(THIN) METADATA DATA, "its thin_pool, pool, is not in the group"},
	{THIN_OF("device_id = 1\n") POOL_OF(POOL) METADATA DATA, "thin_pool, which is not given"},
	{THIN_OF("thin_pool = \"data\"\ndevice_id = 1\n") METADATA DATA,
		"pool data: it is of the type striped"},
	{THIN_OF("thin_pool = \"a\"\ndevice_id = 1\n"), "pool a: it is of the type thin"},
	{THIN_OF("thin_pool = \"pool\"\n") POOL_OF(POOL) METADATA DATA,
		"its device_id is not given"},
	{THIN_OF("thin_pool = \"pool\"\ndevice_id = 16777216\n") POOL_OF(POOL) METADATA DATA,
		"its device_id is not given or not from 0 to 16777215"},
	{THIN_OF("thin_pool = \"pool\"\ndevice_id = 2\n") POOL_OF(POOL) METADATA DATA,
		"the pool has no device 2"},
	{THIN_OF(THIN) POOL_OF("pool = \"data\"\ntransaction_id = 3\nchunk_size = 128\n") DATA,
		"pool pool: segment1: its metadata, which is not given"},
	{THIN_OF(THIN) POOL_OF(POOL) METADATA, "its pool, data, is not in the group"},
	{THIN_OF(THIN) POOL_OF("metadata = \"meta\"\npool = \"data\"\ntransaction_id = 3\n"
			       "chunk_size = 256\n") METADATA DATA,
		"its blocks have 65536 bytes, and 131072 in LVM's metadata"},
	{THIN_OF(THIN) POOL_OF("metadata = \"meta\"\npool = \"data\"\nchunk_size = 128\n")
			METADATA DATA,
		"its transaction_id is not given"},
	{THIN_OF(THIN) POOL_OF("metadata = \"data\"\npool = \"meta\"\ntransaction_id = 3\n"
			       "chunk_size = 128\n") METADATA DATA,
		"superblock: the magic number is"},
	{THIN_OF(THIN) POOL_OF("metadata = \"a\"\npool = \"data\"\ntransaction_id = 3\n"
			       "chunk_size = 128\n") METADATA DATA,
		"more than 8 deep"},
	{THIN_OF(THIN) POOL_OF("metadata = \"meta\"\npool = \"pool\"\ntransaction_id = 3\n"
			       "chunk_size = 128\n") METADATA DATA,
		"segments of the type thin-pool cannot be read"},
	{THIN_OF(THIN "external_origin = \"a\"\n") POOL_OF(POOL) METADATA DATA, "more than 8 deep"},
	{THIN_OF(THIN "external_origin = \"x\"\n") POOL_OF(POOL) METADATA DATA,
		"its external_origin, x, is not in the group"},
	{THIN_OF(THIN) POOL_OF(POOL)
			METADATA DATA LVM_HIDDEN("s", "S", "17", "thin", THIN "merge = \"a\"\n"),
		"its snapshot s is to be merged into it (MERGING)"},
	{THIN_OF(THIN) LVM_LV_OF("pool", "P", "\"READ\", \"NEW\"", "8", "thin-pool", POOL)
			METADATA DATA,
		"its status has an unknown flag, NEW"},
};

START_TEST(thin_refused)
{
	put_metadata(3);
	read_volumes(refused[_i].volumes);
	lvm_refused("vg-a", refused[_i].text);
}
END_TEST

/* Snapshots: the store is in extents 4 to 7 of device 0, its chunk 2 has the chunk 1 of an
 * extent. */

#define ORIGIN          LVM_LV("o", "O", "3", "striped", LVM_LINEAR("pv0", "0"))
#define STORE           LVM_HIDDEN("s", "S", "4", "striped", LVM_LINEAR("pv0", "4"))
#define SNAPSHOT(lines) LVM_LV("snapshot0", "0", "3", "snapshot", "chunk_size = 16\n" lines)

static void put_store(void)
{
	unsigned char *p = lvm.disks[0]->bytes + LVM_START + 4 * LVM_EXTENT;

	memset(p, 0, 2 * LVM_EXTENT);
	memcpy(p, "SnAp\1\0\0\0\1\0\0\0\20\0\0\0", 16);
	p[LVM_EXTENT] = 1;
	p[LVM_EXTENT + 8] = 2;
}

START_TEST(snapshots)
{
	static const int now[] = {0, 1, 2}, before[] = {0, 6, 2};

	put_store();
	read_volumes(ORIGIN STORE SNAPSHOT("origin = \"o\"\ncow_store = \"s\"\n"));
	ck_assert_uint_eq(lvm.set->nvolumes, 2);
	check_extents("vg-o", now, 3);
	check_extents("vg-s", before, 3);
	ck_assert_str_eq(lvm_volume("vg-s")->layout, "snapshot");
	ck_assert_ptr_nonnull(lvm_volume("vg-s")->no_writing);
	ck_assert_ptr_nonnull(lvm_volume("vg-o")->no_writing);
}
END_TEST

/* A sparse volume is the snapshot of zeroes. */
START_TEST(virtual_origin)
{
	static const int extents[] = {-1, 6, -1};

	put_store();
	read_volumes(LVM_HIDDEN("o", "O", "3", "zero", "")
			STORE SNAPSHOT("origin = \"o\"\ncow_store = \"s\"\n"));
	ck_assert_uint_eq(lvm.set->nvolumes, 1);
	check_extents("vg-s", extents, 3);
}
END_TEST

static const struct {
	const char *volumes, *text;
} snapshots_refused[] = {
	{STORE SNAPSHOT("origin = \"o\"\ncow_store = \"s\"\n"),
		"its origin, o, is not in the group"},
	{STORE SNAPSHOT("cow_store = \"s\"\n"), "its origin, which is not given"},
	{STORE SNAPSHOT("origin = \"s\"\ncow_store = \"s\"\n"), "more than 8 deep"},
	{LVM_LV("o", "O", "2", "striped", LVM_LINEAR("pv0", "0"))
			STORE SNAPSHOT("origin = \"o\"\ncow_store = \"s\"\n"),
		"its origin ends at 16384, before 24576"},
	{LVM_LV("o", "O", "3", "striped", LVM_LINEAR("s", "0"))
			STORE SNAPSHOT("origin = \"o\"\ncow_store = \"s\"\n"),
		"is a part of two volumes, or of itself"},
	{LVM_LV("o", "O", "3", "striped", LVM_LINEAR("snapshot0", "0"))
			STORE SNAPSHOT("origin = \"o\"\ncow_store = \"s\"\n"),
		"is a part of two volumes, or of itself"},
	{ORIGIN STORE SNAPSHOT("origin = \"o\"\nmerging_store = \"s\"\n"),
		"snapshot s is being merged into o (MERGING)"},
	{ORIGIN LVM_HIDDEN("s", "S", "4", "striped", LVM_LINEAR("pv0", "8"))
			SNAPSHOT("origin = \"o\"\ncow_store = \"s\"\n"),
		"exception store: no header"},
};

START_TEST(snapshot_refused)
{
	put_store();
	read_volumes(snapshots_refused[_i].volumes);
	lvm_refused("vg-s", snapshots_refused[_i].text);
}
END_TEST

Suite *lvm_thin_suite(void)
{
	TCase *tc = tcase_create("lvm_thin");

	tcase_add_checked_fixture(tc, lvm_setup, lvm_teardown);
	tcase_add_test(tc, thin_volumes);
	tcase_add_test(tc, pending_messages);
	tcase_add_loop_test(tc, thin_refused, 0, COUNT(refused));
	tcase_add_test(tc, snapshots);
	tcase_add_test(tc, virtual_origin);
	tcase_add_loop_test(tc, snapshot_refused, 0, COUNT(snapshots_refused));
	return suite_of("lvm_thin", tc);
}
