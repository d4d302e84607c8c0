/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check_thin.c - volumes of thin pools: metadata valid, random and hostile. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"
#include "io/cache.h"
#include "build/thin.h"
#include "common/flat_view.h"
#include "common/unit.h"
#include "view/view.h"
#include "volume/lvm/thin.h"

#define CHUNK       65536u
#define DATA_BLOCKS 64u
#define BLOCKS      40u /* of the volume */
#define SIZE        (BLOCKS * CHUNK - 1000)
#define METADATA    200u
#define DEVICE      5u
#define TRANSACTION 7u
#define NONE        UINT64_MAX

/* A pool with devices 2 and 5, of which 5 is the volume. */
static struct fixture {
	struct thin_metadata m;
	unsigned char *data, *expected, *origin;
	size_t origin_len; /* 0: none */
	uint64_t map[BLOCKS];
	size_t fanout;
	uint64_t root; /* of the device */
	struct thin_volume volume;
	struct cache *cache;
	struct view *view;
	struct err e;
} f;

static void setup(void)
{
	struct err e = ERR_INIT;

	f = (struct fixture){.m = thin_metadata_new(METADATA), .fanout = THIN_NODE_FULL / 2};
	f.data = malloc(DATA_BLOCKS * CHUNK);
	f.expected = malloc(SIZE);
	f.origin = malloc(SIZE);
	f.cache = cache_new(1u << 20, &e);
	ck_assert(f.data && f.expected && f.origin && f.cache);
	fill_pattern(f.data, DATA_BLOCKS * CHUNK, 1);
	fill_pattern(f.origin, SIZE, 2);
	f.volume = (struct thin_volume){
		.device = DEVICE, .size = SIZE, .chunk = CHUNK, .transaction = TRANSACTION};
	memset(f.map, 0xff, sizeof f.map);
}

static void teardown(void)
{
	view_free(f.view);
	cache_free(f.cache);
	free(f.m.bytes);
	free(f.data);
	free(f.expected);
	free(f.origin);
}

/* The bytes that the volume must have. */
static void expect(void)
{
	memset(f.expected, 0, SIZE);
	memcpy(f.expected, f.origin, f.origin_len);
	for (size_t i = 0; i < BLOCKS; i++)
		if (f.map[i] != NONE)
			memcpy(f.expected + i * CHUNK, f.data + f.map[i] % DATA_BLOCKS * CHUNK,
				MIN(CHUNK, SIZE - i * CHUNK));
}

static uint64_t put_mappings(void)
{
	uint64_t keys[BLOCKS + 1], values[BLOCKS + 1];
	size_t n = 0;

	for (size_t i = 0; i < BLOCKS; i++)
		if (f.map[i] != NONE) {
			keys[n] = i;
			values[n++] = thin_mapping(f.map[i], i % 3);
		}
	return thin_put_tree(&f.m, keys, values, 8, n, f.fanout);
}

/* Writes the trees of f.map, and the superblock. */
static void commit(uint64_t transaction)
{
	static const uint64_t ids[] = {2, DEVICE};
	static const unsigned char details[2][24];
	uint64_t other_key = 0, other = thin_mapping(DATA_BLOCKS - 1, 0), roots[2];

	roots[0] = htole64(thin_put_tree(&f.m, &other_key, &other, 8, 1, f.fanout));
	f.root = put_mappings();
	roots[1] = htole64(f.root);
	thin_put_superblock(&f.m, thin_put_tree(&f.m, ids, roots, 8, 2, f.fanout),
		thin_put_tree(&f.m, ids, details, 24, 2, f.fanout), CHUNK, transaction);
	expect();
}

static struct view *open_view(void)
{
	struct view *metadata = flat_view_new(f.m.bytes, f.m.blocks * THIN_NODE);
	struct view *data = flat_view_new(f.data, DATA_BLOCKS * CHUNK);
	struct view *origin = f.origin_len ? flat_view_new(f.origin, f.origin_len) : NULL;

	f.view = thin_view(&f.volume, f.cache, metadata, data, origin, &f.e);
	if (!f.view) {
		view_free(metadata);
		view_free(data);
		view_free(origin);
	}
	return f.view;
}

static void must_open(void)
{
	ck_assert_msg(open_view() != NULL, "%s", f.e.text);
}

static void must_fail(int code, const char *text)
{
	ck_assert_null_fails(open_view(), code, &f.e, text);
}

static void must_fail_to_read(uint64_t off, int code, const char *text)
{
	unsigned char byte;

	ck_assert_fails(view_read(f.view, &byte, 1, off, &f.e), code, &f.e, text);
}

/* Blocks 3 to 7 are in one piece of data, 20 and the last are elsewhere. */
static void make_map(void)
{
	for (size_t i = 3; i < 8; i++)
		f.map[i] = 10 + i;
	f.map[20] = 0;
	f.map[BLOCKS - 1] = 1;
}

START_TEST(reads_mappings)
{
	make_map();
	commit(TRANSACTION);
	must_open();
	flat_view_compare(f.view, f.expected, SIZE);
}
END_TEST

static void check_extent(uint64_t off, enum extent_kind kind, uint64_t len)
{
	struct extent x;

	ck_assert_ok(view_resolve(f.view, off, SIZE - off, &x, &f.e), &f.e);
	ck_assert_int_eq(x.kind, kind);
	ck_assert_uint_eq(x.len, len);
}

static void check_extents(void)
{
	uint64_t found;

	check_extent(0, EXTENT_ZERO, 3 * CHUNK);
	check_extent(100, EXTENT_ZERO, 3 * CHUNK - 100);
	check_extent(3 * CHUNK + 1, EXTENT_FILE, 5 * CHUNK - 1);
	check_extent(8 * CHUNK, EXTENT_ZERO, 12 * CHUNK);
	check_extent(21 * CHUNK + 5, EXTENT_ZERO, (BLOCKS - 22) * CHUNK - 5);
	check_extent((BLOCKS - 1) * CHUNK, EXTENT_FILE, SIZE - (BLOCKS - 1) * CHUNK);
	ck_assert_int_eq(view_seek(f.view, 0, SEEK_DATA, &found), 0);
	ck_assert_uint_eq(found, 3 * CHUNK);
	ck_assert_int_eq(view_seek(f.view, found, SEEK_HOLE, &found), 0);
	ck_assert_uint_eq(found, 8 * CHUNK);
	ck_assert_uint_eq(view_stored(f.view), 7 * CHUNK - 1000);
}

START_TEST(extents_are_long)
{
	make_map();
	commit(TRANSACTION);
	must_open();
	check_extents();
}
END_TEST

START_TEST(no_mappings)
{
	commit(TRANSACTION);
	must_open();
	flat_view_compare(f.view, f.expected, SIZE);
	check_extent(0, EXTENT_ZERO, SIZE);
}
END_TEST

START_TEST(random_trees)
{
	uint64_t seed = _i;

	for (size_t i = 0; i < BLOCKS; i++)
		if (next_random(&seed) % 4 > 0)
			f.map[i] = next_random(&seed) % 3 == 0 || i == 0 || f.map[i - 1] == NONE
					   ? next_random(&seed) % DATA_BLOCKS
					   : (f.map[i - 1] + 1) % DATA_BLOCKS;
	f.fanout = 2 + next_random(&seed) % 6;
	commit(TRANSACTION);
	must_open();
	flat_view_compare(f.view, f.expected, SIZE);
}
END_TEST

START_TEST(external_origin)
{
	f.origin_len = _i ? 9 * CHUNK + 777 : SIZE;
	make_map();
	commit(TRANSACTION);
	must_open();
	flat_view_compare(f.view, f.expected, SIZE);
}
END_TEST

START_TEST(other_device)
{
	make_map();
	commit(TRANSACTION);
	f.volume.device = 2;
	memset(f.map, 0xff, sizeof f.map);
	f.map[0] = DATA_BLOCKS - 1;
	expect();
	must_open();
	flat_view_compare(f.view, f.expected, SIZE);
}
END_TEST

/* Time is in the low bits of a mapping; keys past the end of the volume are of no concern. */
START_TEST(mappings_past_the_end)
{
	uint64_t keys[2] = {1, UINT64_MAX - 1}, values[2] = {thin_mapping(9, 0xffffff), UINT64_MAX};

	commit(TRANSACTION);
	f.m.used = f.root; /* in its place */
	ck_assert_uint_eq(thin_put_tree(&f.m, keys, values, 8, 2, 4), f.root);
	f.map[1] = 9;
	expect();
	must_open();
	flat_view_compare(f.view, f.expected, SIZE);
}
END_TEST

/* A guest that runs on the image commits transactions, and blocks are used again. */
START_TEST(pool_changes_below)
{
	make_map();
	commit(TRANSACTION);
	must_open();
	for (size_t i = 0; i < 8; i++) {
		thin_metadata_reuse(&f.m);
		f.map[i * 5] = f.map[i * 5] == NONE ? 30 + i : NONE;
		f.fanout = 2 + i;
		commit(TRANSACTION + i);
		flat_view_compare(f.view, f.expected, SIZE);
	}
	put_le(f.m.bytes + 336, 4, 256);
	thin_seal(&f.m, 0);
	must_fail_to_read(0, EUCLEAN, "the pool has other blocks now");
}
END_TEST

/* The superblock. */

static const struct field_case superblocks[] = {
	{4, 4, 1, ENOTSUP, "needs_check"},
	{8, 8, 1, EUCLEAN, "thin pool: superblock: it is block 1 by itself"},
	{32, 8, 27022011, EUCLEAN, "the magic number is 27022011"},
	{40, 4, 0, ENOTSUP, "version 0"},
	{40, 4, 3, ENOTSUP, "version 3"},
	{48, 8, TRANSACTION + 1, EUCLEAN, "its transaction is 8, and 7 in LVM's metadata"},
	{48, 8, TRANSACTION - 1, EUCLEAN, "its transaction is 6"},
	{320, 8, 0, EUCLEAN, "a tree in the metadata has a node in block 0 of 200"},
	{320, 8, METADATA, EUCLEAN, "a node in block 200 of 200"},
	{320, 8, UINT64_MAX, EUCLEAN, "a node in block 18446744073709551615 of 200"},
	{320, 8, UINT64_C(1) << 32 | 3, EUCLEAN, "a node in block 4294967299 of 200"},
	{328, 8, 0, EUCLEAN, "a tree in the metadata has a node in block 0 of 200"},
	{328, 8, 199, EUCLEAN, "block 199 of the metadata: the checksum is 0x00000000"},
	{336, 4, 0, EUCLEAN, "blocks of 0 sectors for data"},
	{336, 4, 129, EUCLEAN, "blocks of 129 sectors"},
	{336, 4, UINT32_MAX, EUCLEAN, "blocks of 4294967295 sectors"},
	{336, 4, 256, EUCLEAN, "its blocks have 131072 bytes, and 65536 in LVM's metadata"},
	{340, 4, 16, ENOTSUP, "blocks of 16 sectors for metadata"},
	{360, 4, 4, ENOTSUP, "unknown features: 0x4"},
};

START_TEST(hostile_superblock)
{
	const struct field_case *c = &superblocks[_i];

	commit(TRANSACTION);
	put_le(f.m.bytes + c->pos, c->width, c->value);
	if (c->pos != 32) {
		must_fail(EUCLEAN, "superblock: the checksum is 0x");
		thin_seal(&f.m, 0);
	}
	must_fail(c->code, c->text);
}
END_TEST

START_TEST(last_byte_of_superblock)
{
	commit(TRANSACTION);
	f.m.bytes[THIN_NODE - 1] ^= 1;
	must_fail(EUCLEAN, "superblock: the checksum is 0x");
}
END_TEST

START_TEST(pending_transaction)
{
	commit(TRANSACTION - 1);
	f.volume.pending = true;
	must_open();
	view_free(f.view);
	commit(TRANSACTION);
	must_open();
	view_free(f.view);
	commit(TRANSACTION - 2);
	must_fail(EUCLEAN, "its transaction is 5");
	f.volume.transaction = 0; /* other programs than LVM make the devices */
	must_open();
}
END_TEST

START_TEST(no_such_device)
{
	commit(TRANSACTION);
	f.volume.device = 3;
	must_fail(EUCLEAN, "thin pool: the pool has no device 3");
	f.volume.device = UINT32_MAX;
	must_fail(EUCLEAN, "the pool has no device 4294967295");
}
END_TEST

START_TEST(metadata_too_short)
{
	static const size_t lengths[] = {0, 511, 512, THIN_NODE - 1};

	commit(TRANSACTION);
	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct view *metadata = flat_view_new(f.m.bytes, lengths[i]);
		struct view *data = flat_view_new(f.data, DATA_BLOCKS * CHUNK);

		ck_assert_ptr_null(thin_view(&f.volume, f.cache, metadata, data, NULL, &f.e));
		ck_assert_int_eq(f.e.code, EINVAL);
		view_free(metadata);
		view_free(data);
	}
}
END_TEST

/* Nodes. */

static const struct field_case nodes[] = {
	{4, 4, 0, EUCLEAN, "a node with the flags 0x0"},
	{4, 4, 3, EUCLEAN, "a node with the flags 0x3"},
	{4, 4, 1, EUCLEAN, "a node in block"}, /* an inner node with its values as children */
	{8, 8, 0, EUCLEAN, "it is block 0 by itself"},
	{16, 4, 253, EUCLEAN, "253 of 252 entries"},
	{16, 4, UINT32_MAX, EUCLEAN, "4294967295 of 252 entries"},
	{20, 4, 255, EUCLEAN, "7 of 255 entries"},
	{20, 4, UINT32_MAX, EUCLEAN, "7 of 4294967295 entries"},
	{20, 4, 0, EUCLEAN, "7 of 0 entries"},
	{24, 4, 0, EUCLEAN, "values of 0 bytes, not 8"},
	{24, 4, 4, EUCLEAN, "values of 4 bytes, not 8"},
	{24, 4, 24, EUCLEAN, "7 of 252 entries with 24 bytes each"},
	{24, 4, UINT32_MAX, EUCLEAN, "with 4294967295 bytes each"},
	{24, 4, UINT32_MAX - 7, EUCLEAN, "with 4294967288 bytes each"},
	{40, 8, 3, EUCLEAN, "the key 3 follows 3"},
	{40, 8, 9, EUCLEAN, "the key 5 follows 9"},
	{32 + 6 * 8, 8, UINT64_MAX, EUCLEAN, "keys from 3 to 18446744073709551615"},
	{32 + 252 * 8, 8, UINT64_MAX, EUCLEAN, "is in block 1099511627775 of the pool"},
	{32 + 252 * 8, 8, (uint64_t)DATA_BLOCKS << 24, EUCLEAN,
		"block 64 of the pool, which has 64"},
};

START_TEST(hostile_node)
{
	const struct field_case *c = &nodes[_i];
	unsigned char *p;

	make_map();
	commit(TRANSACTION);
	p = f.m.bytes + f.root * THIN_NODE;
	put_le(p + c->pos, c->width, c->value);
	must_open();
	must_fail_to_read(3 * CHUNK, EUCLEAN, "of the metadata: the checksum is 0x");
	thin_seal(&f.m, f.root);
	must_fail_to_read(3 * CHUNK, c->code, c->text);
}
END_TEST

START_TEST(damage_is_of_its_block)
{
	struct extent x;

	make_map();
	f.map[4] = DATA_BLOCKS;
	commit(TRANSACTION);
	must_open();
	check_extent(3 * CHUNK, EXTENT_FILE, CHUNK);
	ck_assert_int_eq(view_resolve(f.view, 4 * CHUNK + 9, CHUNK, &x, &f.e), -EUCLEAN);
	ck_assert_uint_eq(x.len, CHUNK - 9);
	check_extent(5 * CHUNK, EXTENT_FILE, 3 * CHUNK);
}
END_TEST

/* An inner node in the place of the root. */
static void put_inner(uint64_t key, uint64_t child)
{
	uint64_t keys[3] = {1, 5, key}, values[3];

	for (size_t i = 0; i < 3; i++)
		values[i] = htole64(child);
	f.m.used = f.root;
	thin_put_tree(&f.m, keys, values, 8, 3, 4);
	put_le(f.m.bytes + f.root * THIN_NODE + 4, 4, 1);
	thin_seal(&f.m, f.root);
}

/* A run ends with the data of the pool. */
START_TEST(run_past_the_data)
{
	struct extent x;

	make_map();
	for (size_t i = 3; i < 8; i++)
		f.map[i] = DATA_BLOCKS - 5 + i;
	commit(TRANSACTION);
	must_open();
	ck_assert_ok(view_map(f.view, 3 * CHUNK, 5 * CHUNK, &x, &f.e), &f.e);
	ck_assert_uint_eq(x.len, 2 * CHUNK);
	must_fail_to_read(5 * CHUNK, EUCLEAN, "block 64 of the pool, which has 64");
}
END_TEST

START_TEST(loop_of_nodes)
{
	uint64_t key = 0, child;

	make_map();
	commit(TRANSACTION);
	f.m.used = f.root;
	child = htole64(f.root);
	thin_put_tree(&f.m, &key, &child, 8, 1, 4);
	put_le(f.m.bytes + f.root * THIN_NODE + 4, 4, 1);
	thin_seal(&f.m, f.root);
	must_open();
	must_fail_to_read(0, EUCLEAN, "is deeper than 16");
}
END_TEST

START_TEST(keys_of_another_node)
{
	uint64_t leaf;

	make_map();
	commit(TRANSACTION);
	leaf = put_mappings(); /* keys from 3 to 39 */
	put_inner(60, leaf);
	must_open();
	must_fail_to_read(
		2 * CHUNK, EUCLEAN, "keys from 3 to 39 where those from 1 up to 5 belong");
	must_fail_to_read(
		7 * CHUNK, EUCLEAN, "keys from 3 to 39 where those from 5 up to 60 belong");
}
END_TEST

/* The length of damage is that of a leaf, so that whoever looks for data is done soon. */
START_TEST(damage_is_of_its_leaf)
{
	struct extent x;

	for (size_t i = 0; i < BLOCKS; i++)
		f.map[i] = i;
	f.fanout = 8;
	commit(TRANSACTION);
	f.m.bytes[(f.root - 1) * THIN_NODE + 99] ^= 1; /* the last leaf */
	must_open();
	check_extent(5, EXTENT_FILE, 8 * CHUNK - 5);
	ck_assert_int_eq(view_resolve(f.view, 33 * CHUNK, SIZE - 33 * CHUNK, &x, &f.e), -EUCLEAN);
	ck_assert_uint_eq(x.len, SIZE - 33 * CHUNK);
	f.m.bytes[(f.root - 3) * THIN_NODE + 99] ^= 1;
	ck_assert_int_eq(
		view_resolve(f.view, 17 * CHUNK + 5, SIZE - 17 * CHUNK - 5, &x, &f.e), -EUCLEAN);
	ck_assert_uint_eq(x.len, 7 * CHUNK - 5);
	f.m.bytes[0] ^= 1;
	ck_assert_int_eq(view_resolve(f.view, 5, SIZE - 5, &x, &f.e), -EUCLEAN);
	ck_assert_uint_eq(x.len, SIZE - 5);
}
END_TEST

START_TEST(no_children)
{
	make_map();
	commit(TRANSACTION);
	put_le(f.m.bytes + f.root * THIN_NODE + 4, 4, 1);
	put_le(f.m.bytes + f.root * THIN_NODE + 16, 4, 0);
	thin_seal(&f.m, f.root);
	must_open();
	must_fail_to_read(0, EUCLEAN, "no children");
}
END_TEST

/* Every block of the metadata, one after the other. */
START_TEST(broken_metadata)
{
	struct view *metadata = flat_view_new(f.m.bytes, f.m.blocks * THIN_NODE);
	struct view *data = flat_view_new(f.data, DATA_BLOCKS * CHUNK);
	unsigned char byte;

	commit(TRANSACTION);
	flat_view_break(metadata, _i * THIN_NODE + 100, 1);
	f.view = thin_view(&f.volume, f.cache, metadata, data, NULL, &f.e);
	if (f.view && (uint64_t)_i == f.root) {
		must_fail_to_read(0, EIO, "a broken byte");
		flat_view_break(metadata, 0, 0);
		ck_assert_ok(view_read(f.view, &byte, 1, 0, &f.e), &f.e);
	} else if (_i != 1) { /* the tree of the other device */
		ck_assert_null_fails(f.view, EIO, &f.e, "a broken byte");
		view_free(metadata);
		view_free(data);
	}
}
END_TEST

Suite *thin_suite(void)
{
	TCase *tc = tcase_create("thin");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, reads_mappings);
	tcase_add_test(tc, extents_are_long);
	tcase_add_test(tc, no_mappings);
	tcase_add_loop_test(tc, random_trees, 0, 20);
	tcase_add_loop_test(tc, external_origin, 0, 2);
	tcase_add_test(tc, other_device);
	tcase_add_test(tc, mappings_past_the_end);
	tcase_add_test(tc, pool_changes_below);
	tcase_add_loop_test(tc, hostile_superblock, 0, COUNT(superblocks));
	tcase_add_test(tc, last_byte_of_superblock);
	tcase_add_test(tc, pending_transaction);
	tcase_add_test(tc, no_such_device);
	tcase_add_test(tc, metadata_too_short);
	tcase_add_loop_test(tc, hostile_node, 0, COUNT(nodes));
	tcase_add_test(tc, damage_is_of_its_block);
	tcase_add_test(tc, run_past_the_data);
	tcase_add_test(tc, loop_of_nodes);
	tcase_add_test(tc, keys_of_another_node);
	tcase_add_test(tc, damage_is_of_its_leaf);
	tcase_add_test(tc, no_children);
	tcase_add_loop_test(tc, broken_metadata, 0, 5);
	return suite_of("thin", tc);
}
