/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thin.c - see the kernel's drivers/md/dm-thin-metadata.c, and thin-provisioning-tools. */
#include "thin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/cache.h"
#include "view/view.h"
#include "thin-btree.h"

#define SECTOR          512u
#define MAGIC           27022010u
#define SUPERBLOCK_XOR  160774u
#define SUPERBLOCK_USED 512u /* the kernel writes no more, so that a write of it is atomic */
#define MIN_VERSION     1u
#define MAX_VERSION     2u
#define NEEDS_CHECK     1u
#define MIN_CHUNK       (64u << 10)
#define MAX_CHUNK       (1u << 30)
#define DETAILS         24u /* bytes of the entry of a device */
#define MAPPING         8u
#define TIME_BITS       24 /* of a mapping; the number of the block is above them */

struct superblock {
	uint64_t transaction;
	uint64_t mappings, details; /* roots */
	uint64_t chunk;
};

struct thin {
	struct view view;
	struct cache *cache;
	struct view *metadata, *data, *origin;
	uint32_t device;
	uint64_t chunk;
};

/* The superblock. */

static int check_features(const unsigned char *p, struct err *e)
{
	uint32_t flags = load_le32(p + 4), version = load_le32(p + 40);
	uint32_t incompatible = load_le32(p + 360);

	if (version < MIN_VERSION || version > MAX_VERSION)
		return err_set(e, ENOTSUP, "version %" PRIu32, version);
	if (incompatible)
		return err_set(e, ENOTSUP, "unknown features: 0x%" PRIx32, incompatible);
	if (flags & NEEDS_CHECK) {
		err_set(e, ENOTSUP, "its flag needs_check is set: its metadata may be damaged");
		return err_hint(e, "thin_check and thin_repair, of thin-provisioning-tools, "
				   "check and repair it");
	}
	return 0;
}

/* Checks a superblock and reads it. */
static int parse_superblock(const unsigned char *p, struct superblock *sb, struct err *e)
{
	uint32_t sum = load_le32(p), expected = thin_checksum(p, SUPERBLOCK_XOR);
	uint32_t sectors = load_le32(p + 336);
	int r;

	if (load_le64(p + 32) != MAGIC)
		return err_set(e, EUCLEAN, "the magic number is %" PRIu64 ", not %u",
			load_le64(p + 32), MAGIC);
	if (sum != expected)
		return err_set(e, EUCLEAN, "the checksum is 0x%08" PRIx32 ", not 0x%08" PRIx32, sum,
			expected);
	if (load_le64(p + 8) != 0)
		return err_set(e, EUCLEAN, "it is block %" PRIu64 " by itself", load_le64(p + 8));
	r = check_features(p, e);
	if (r < 0)
		return r;
	if (load_le32(p + 340) != THIN_BLOCK / SECTOR)
		return err_set(e, ENOTSUP, "blocks of %" PRIu32 " sectors for metadata",
			load_le32(p + 340));
	sb->transaction = load_le64(p + 48);
	sb->mappings = load_le64(p + 320);
	sb->details = load_le64(p + 328);
	sb->chunk = (uint64_t)sectors * SECTOR;
	if (sb->chunk < MIN_CHUNK || sb->chunk > MAX_CHUNK || sb->chunk % MIN_CHUNK != 0)
		return err_set(e, EUCLEAN, "blocks of %" PRIu32 " sectors for data", sectors);
	return 0;
}

struct head {
	const struct view *metadata;
	unsigned char used[SUPERBLOCK_USED];
};

/* Completes the superblock, and checks it. */
static int load_superblock(void *arg, void *buf, size_t len, struct err *e)
{
	const struct head *h = arg;
	struct superblock sb;
	int r = view_read_inside(h->metadata, (char *)buf + SUPERBLOCK_USED, len - SUPERBLOCK_USED,
		SUPERBLOCK_USED, e);

	memcpy(buf, h->used, SUPERBLOCK_USED);
	return r < 0 ? r : parse_superblock(buf, &sb, e);
}

/* Reads the present superblock, whose checksum names it and the blocks of its transaction in the
 * cache. */
static int begin(const struct thin *t, struct thin_blocks *b, struct superblock *sb, struct err *e)
{
	struct head head = {.metadata = t->metadata};
	struct cache_request request = {
		.key.source = t, .len = THIN_BLOCK, .load = load_superblock, .arg = &head};
	const struct block *block;
	int r = view_read_inside(t->metadata, head.used, sizeof head.used, 0, e);

	if (r < 0)
		return r;
	*b = (struct thin_blocks){.view = t->metadata,
		.cache = t->cache,
		.source = t,
		.transaction = load_le32(head.used)};
	request.key.id = (uint64_t)b->transaction << 32;
	r = cache_pin(t->cache, &request, &block, e);
	if (r < 0)
		return err_in(e, "superblock");
	if (memcmp(block->data, head.used, sizeof head.used) == 0)
		r = parse_superblock(block->data, sb, e);
	else
		r = err_set(e, EUCLEAN, "another superblock had the same checksum");
	cache_unpin(t->cache, block);
	return r;
}

/* Mapping. */

/* Copies the value of a key of a tree of metadata. */
static int get(const struct thin_blocks *b, uint64_t root, uint64_t key, void *value, uint32_t len,
	struct err *e)
{
	struct thin_leaf leaf;
	int r = thin_leaf_find(b, root, len, key, &leaf, e);

	if (r < 0)
		return r;
	if (leaf.i < leaf.n && thin_leaf_key(&leaf, leaf.i) == key)
		memcpy(value, thin_leaf_value(&leaf, leaf.i), len);
	else
		r = err_set(e, EUCLEAN, "the pool has no device %" PRIu64, key);
	thin_leaf_unpin(b, &leaf);
	return r;
}

/* The root of the tree of the device. */
static int get_root(const struct thin *t, const struct thin_blocks *b, const struct superblock *sb,
	uint64_t *root, struct err *e)
{
	unsigned char value[MAPPING];
	int r = get(b, sb->mappings, t->device, value, sizeof value, e);

	if (r == 0)
		*root = load_le64(value);
	return r;
}

static uint64_t mapped_to(const struct thin_leaf *leaf, unsigned i)
{
	return load_le64(thin_leaf_value(leaf, i)) >> TIME_BITS;
}

/* The number of blocks from entry i on, before last, that follow each other in the volume and in
 * the data. */
static uint64_t count_run(
	const struct thin_leaf *leaf, unsigned i, uint64_t last, uint64_t data_blocks)
{
	uint64_t block = thin_leaf_key(leaf, i), data = mapped_to(leaf, i), n = 1;

	while (i + n < leaf->n && block + n < last && data + n < data_blocks &&
		thin_leaf_key(leaf, i + n) == block + n && mapped_to(leaf, i + n) == data + n)
		n++;
	return n;
}

/* off is in the block of the volume with this number; last: the end of the range, in blocks. */
static int map_leaf(const struct thin *t, const struct thin_leaf *leaf, uint64_t off, uint64_t last,
	struct extent *x, struct err *e)
{
	uint64_t block = off / t->chunk, skip = off % t->chunk, data_blocks, next;

	if (leaf->i == leaf->n || thin_leaf_key(leaf, leaf->i) != block) {
		next = leaf->i < leaf->n ? thin_leaf_key(leaf, leaf->i) : leaf->end;
		x->len = (MIN(next, last) - block) * t->chunk - skip;
		x->below = t->origin;
		x->pos = off;
		return 0;
	}
	data_blocks = t->data->size / t->chunk;
	if (mapped_to(leaf, leaf->i) >= data_blocks) {
		x->len = t->chunk - skip;
		return err_set(e, EUCLEAN,
			"block %" PRIu64 " of thin device %" PRIu32 " is in block %" PRIu64
			" of the pool, which has %" PRIu64,
			block, t->device, mapped_to(leaf, leaf->i), data_blocks);
	}
	x->len = count_run(leaf, leaf->i, last, data_blocks) * t->chunk - skip;
	x->below = t->data;
	x->pos = mapped_to(leaf, leaf->i) * t->chunk + skip;
	return 0;
}

static int thin_map(
	const struct view *v, uint64_t off, uint64_t len, struct extent *x, struct err *e)
{
	const struct thin *t = (const struct thin *)v;
	struct superblock sb;
	struct thin_blocks b;
	struct thin_leaf leaf = {.end = UINT64_MAX};
	uint64_t root, block = off / t->chunk, last = div_round_up(off + len, t->chunk);
	int r = begin(t, &b, &sb, e);

	if (r == 0 && sb.chunk != t->chunk)
		r = err_set(e, EUCLEAN, "the pool has other blocks now");
	if (r == 0)
		r = get_root(t, &b, &sb, &root, e);
	if (r == 0)
		r = thin_leaf_find(&b, root, MAPPING, block, &leaf, e);
	if (r < 0) {
		x->len = (MIN(leaf.end, last) - block) * t->chunk - off % t->chunk;
		return err_in(e, "thin pool");
	}
	x->kind = EXTENT_BELOW;
	r = map_leaf(t, &leaf, off, last, x, e);
	thin_leaf_unpin(&b, &leaf);
	return r;
}

/* The view. */

static void free_thin(struct thin *t)
{
	cache_forget(t->cache, t);
	free(t);
}

static void thin_free(struct view *v)
{
	struct thin *t = (struct thin *)v;

	view_free(t->metadata);
	view_free(t->data);
	view_free(t->origin);
	free_thin(t);
}

/* All that stands on a disk that can change has its writer. */
static struct writer *writer_of(const struct thin *t)
{
	if (t->metadata->writer)
		return t->metadata->writer;
	return t->data->writer || !t->origin ? t->data->writer : t->origin->writer;
}

/* Compares the pool with LVM's metadata. */
static int check_pool(const struct superblock *sb, const struct thin_volume *v, struct err *e)
{
	if (sb->chunk != v->chunk)
		return err_set(e, EUCLEAN,
			"its blocks have %" PRIu64 " bytes, and %" PRIu64 " in LVM's metadata",
			sb->chunk, v->chunk);
	if (v->transaction != 0 && sb->transaction != v->transaction &&
		!(v->pending && sb->transaction + 1 == v->transaction))
		return err_set(e, EUCLEAN,
			"its transaction is %" PRIu64 ", and %" PRIu64 " in LVM's metadata",
			sb->transaction, v->transaction);
	return 0;
}

static int check(const struct thin *t, const struct thin_volume *v, struct err *e)
{
	unsigned char details[DETAILS];
	struct thin_blocks b;
	struct superblock sb;
	uint64_t root;
	int r = begin(t, &b, &sb, e);

	if (r == 0)
		r = check_pool(&sb, v, e);
	if (r == 0)
		r = get(&b, sb.details, v->device, details, sizeof details, e);
	if (r == 0)
		r = get_root(t, &b, &sb, &root, e);
	return r < 0 ? err_in(e, "thin pool") : 0;
}

struct view *thin_view(const struct thin_volume *v, struct cache *cache, struct view *metadata,
	struct view *data, struct view *origin, struct err *e)
{
	static const struct view_ops ops = {.map = thin_map, .free = thin_free};
	struct thin *t = calloc(1, sizeof *t);
	int r;

	if (!t) {
		err_nomem(e);
		return NULL;
	}
	t->view = (struct view){.ops = &ops, .size = v->size};
	t->cache = cache;
	t->metadata = metadata;
	t->data = data;
	t->origin = origin;
	t->device = v->device;
	t->chunk = v->chunk;
	t->view.writer = writer_of(t);
	view_enter(&t->view);
	r = check(t, v, e);
	view_leave(&t->view);
	if (r == 0)
		return &t->view;
	free_thin(t);
	return NULL;
}
