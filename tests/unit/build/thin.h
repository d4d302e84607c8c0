/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thin.h - builds the metadata of a thin pool in memory. */
#ifndef UNIT_BUILD_THIN_H
#define UNIT_BUILD_THIN_H

#include <stddef.h>
#include <stdint.h>

#define THIN_NODE      4096u
#define THIN_NODE_FULL 252 /* entries that the kernel puts into a node of mappings */

struct thin_metadata {
	unsigned char *bytes;
	size_t blocks, used;
};

/* Zeroes; the caller frees bytes. */
struct thin_metadata thin_metadata_new(size_t blocks);

/* Starts again behind the superblock, as if all blocks had been freed. */
void thin_metadata_reuse(struct thin_metadata *m);

/* Writes a tree of n entries with values of len bytes, at most fanout in a node; keys ascend.
 * Returns its root. */
uint64_t thin_put_tree(struct thin_metadata *m, const uint64_t *keys, const void *values,
	size_t len, size_t n, size_t fanout);

/* The value of a mapping to a block of data, at a time. */
uint64_t thin_mapping(uint64_t block, uint32_t time);

/* Writes a superblock; chunk in bytes. */
void thin_put_superblock(struct thin_metadata *m, uint64_t mappings, uint64_t details,
	uint64_t chunk, uint64_t transaction);

/* Makes the checksum of a block valid; the superblock is block 0. */
void thin_seal(struct thin_metadata *m, uint64_t block);

#endif
