/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thin-btree.h - the blocks and b-trees of the metadata of a thin pool, as the kernel's
 * drivers/md/persistent-data and thin-provisioning-tools have them.
 *
 * A node fills a block: a header, the sorted keys, and the values, which in an inner node are the
 * blocks of its children.  A tree is changed by copies of its nodes, and a block that a transaction
 * refers to does not change before the next one is committed.
 */
#ifndef VDISK_VOLUME_LVM_THIN_BTREE_H
#define VDISK_VOLUME_LVM_THIN_BTREE_H

#include <stdint.h>

struct block;
struct cache;
struct err;
struct view;

#define THIN_BLOCK 4096u

/* The metadata at one transaction; all functions are called with its view entered. */
struct thin_blocks {
	const struct view *view;
	struct cache *cache;
	const void *source;   /* names the blocks in the cache */
	uint32_t transaction; /* the checksum of its superblock: tells its blocks from others */
};

/* The checksum of all of a block but its first four bytes, which store it. */
uint32_t thin_checksum(const void *block, uint32_t xor);

/* A pinned leaf. */
struct thin_leaf {
	const struct block *block; /* private */
	unsigned n;                /* entries */
	unsigned i;   /* the first whose key is not less than the one looked up, or n */
	uint64_t end; /* the tree has no other keys in between i and this one */
};

/* Looks up a key in the tree with this root and values of value_len bytes.  EUCLEAN: a node on the
 * way is damaged, which has the keys before leaf->end, too. */
int thin_leaf_find(const struct thin_blocks *b, uint64_t root, uint32_t value_len, uint64_t key,
	struct thin_leaf *leaf, struct err *e);
void thin_leaf_unpin(const struct thin_blocks *b, const struct thin_leaf *leaf);

uint64_t thin_leaf_key(const struct thin_leaf *leaf, unsigned i);

/* At any alignment. */
const void *thin_leaf_value(const struct thin_leaf *leaf, unsigned i);

#endif
