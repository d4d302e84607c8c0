/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "thin.h"

#include <stdlib.h>
#include <string.h>

#include "util/crc32c.h"
#include "common/unit.h"

#define SUPERBLOCK_XOR 160774u
#define NODE_XOR       121107u

struct thin_metadata thin_metadata_new(size_t blocks)
{
	struct thin_metadata m = {.bytes = calloc(blocks, THIN_NODE), .blocks = blocks, .used = 1};

	ck_assert_ptr_nonnull(m.bytes);
	return m;
}

void thin_metadata_reuse(struct thin_metadata *m)
{
	memset(m->bytes + THIN_NODE, 0xcc, (m->blocks - 1) * THIN_NODE);
	m->used = 1;
}

void thin_seal(struct thin_metadata *m, uint64_t block)
{
	unsigned char *p = m->bytes + block * THIN_NODE;

	put_le(p, 4, ~crc32c(0, p + 4, THIN_NODE - 4) ^ (block ? NODE_XOR : SUPERBLOCK_XOR));
}

static uint64_t put_node(struct thin_metadata *m, uint32_t flags, const uint64_t *keys,
	const unsigned char *values, size_t len, size_t n)
{
	uint64_t block = m->used++;
	unsigned char *p = m->bytes + block * THIN_NODE;
	size_t capacity = (THIN_NODE - 32) / (8 + len) / 3 * 3; /* the kernel's, for splits */

	ck_assert_uint_lt(block, m->blocks);
	ck_assert_uint_le(n, capacity);
	memset(p, 0, THIN_NODE);
	put_le(p + 4, 4, flags);
	put_le(p + 8, 8, block);
	put_le(p + 16, 4, n);
	put_le(p + 20, 4, capacity);
	put_le(p + 24, 4, len);
	for (size_t i = 0; i < n; i++) {
		put_le(p + 32 + 8 * i, 8, keys[i]);
		memcpy(p + 32 + 8 * capacity + len * i, values + len * i, len);
	}
	thin_seal(m, block);
	return block;
}

uint64_t thin_put_tree(struct thin_metadata *m, const uint64_t *keys, const void *values,
	size_t len, size_t n, size_t fanout)
{
	size_t nodes = n / fanout + (n % fanout != 0), k = 0;
	uint64_t *first = calloc(nodes + 1, sizeof first[0]), root;
	unsigned char *children = calloc(nodes + 1, 8);

	ck_assert(first && children);
	for (size_t i = 0; i < n; i += fanout, k++) {
		size_t count = n - i < fanout ? n - i : fanout;

		first[k] = keys[i];
		put_le(children + 8 * k, 8,
			put_node(m, 2, keys + i, (const unsigned char *)values + i * len, len,
				count));
	}
	if (n == 0)
		put_le(children, 8, put_node(m, 2, NULL, NULL, len, 0));
	while (nodes > 1) { /* the level above */
		k = 0;
		for (size_t i = 0; i < nodes; i += fanout, k++) {
			size_t count = nodes - i < fanout ? nodes - i : fanout;
			uint64_t block = put_node(m, 1, first + i, children + 8 * i, 8, count);

			first[k] = first[i];
			put_le(children + 8 * k, 8, block);
		}
		nodes = k;
	}
	memcpy(&root, children, 8);
	root = le64toh(root);
	free(first);
	free(children);
	return root;
}

uint64_t thin_mapping(uint64_t block, uint32_t time)
{
	return htole64(block << 24 | time);
}

void thin_put_superblock(struct thin_metadata *m, uint64_t mappings, uint64_t details,
	uint64_t chunk, uint64_t transaction)
{
	unsigned char *p = m->bytes;

	memset(p, 0, THIN_NODE);
	put_le(p + 32, 8, 27022010);
	put_le(p + 40, 4, 2);
	put_le(p + 48, 8, transaction);
	put_le(p + 320, 8, mappings);
	put_le(p + 328, 8, details);
	put_le(p + 336, 4, chunk / 512);
	put_le(p + 340, 4, THIN_NODE / 512);
	put_le(p + 344, 8, m->blocks);
	thin_seal(m, 0);
}
