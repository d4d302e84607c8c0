/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "thin-btree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#include "util/bytes.h"
#include "util/crc32c.h"
#include "util/err.h"
#include "io/cache.h"
#include "view/view.h"

#define NODE_XOR    121107u
#define NODE_HEADER 32u
#define NODE_INNER  1u
#define NODE_LEAF   2u
#define CHILD       8u /* bytes of the number of a block */
#define MAX_DEPTH   16 /* with 84 children in a node, as the kernel has, 5 suffice */

uint32_t thin_checksum(const void *block, uint32_t xor)
{
	/* The kernel's CRC is not inverted at the end. */
	return ~crc32c(0, (const char *)block + 4, THIN_BLOCK - 4) ^ xor;
}

/* Nodes. */

static uint32_t node_flags(const unsigned char *p)
{
	return load_le32(p + 4);
}

static uint32_t node_entries(const unsigned char *p)
{
	return load_le32(p + 16);
}

static uint32_t node_value_len(const unsigned char *p)
{
	return load_le32(p + 24);
}

static uint64_t node_key(const unsigned char *p, unsigned i)
{
	return load_le64(p + NODE_HEADER + 8 * i);
}

static const unsigned char *node_value(const unsigned char *p, unsigned i)
{
	return p + NODE_HEADER + 8 * load_le32(p + 20) + node_value_len(p) * i;
}

/* The index of the first key that is not less than key, or the number of keys. */
static unsigned node_search(const unsigned char *p, uint64_t key)
{
	unsigned low = 0, high = node_entries(p);

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (node_key(p, middle) < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Checks all that does not depend on the place of the node in a tree. */
static int check_node(const unsigned char *p, uint64_t number, struct err *e)
{
	uint32_t sum = load_le32(p), expected = thin_checksum(p, NODE_XOR);
	uint32_t n = node_entries(p), capacity = load_le32(p + 20), len = node_value_len(p);

	if (sum != expected)
		return err_set(e, EUCLEAN, "the checksum is 0x%08" PRIx32 ", not 0x%08" PRIx32, sum,
			expected);
	if (load_le64(p + 8) != number)
		return err_set(e, EUCLEAN, "it is block %" PRIu64 " by itself", load_le64(p + 8));
	if (node_flags(p) != NODE_INNER && node_flags(p) != NODE_LEAF)
		return err_set(e, EUCLEAN, "a node with the flags 0x%" PRIx32, node_flags(p));
	if (n > capacity || len > THIN_BLOCK || capacity > (THIN_BLOCK - NODE_HEADER) / (8 + len))
		return err_set(e, EUCLEAN,
			"%" PRIu32 " of %" PRIu32 " entries with %" PRIu32 " bytes each", n,
			capacity, len);
	for (unsigned i = 1; i < n; i++)
		if (node_key(p, i) <= node_key(p, i - 1))
			return err_set(e, EUCLEAN, "the key %" PRIu64 " follows %" PRIu64,
				node_key(p, i), node_key(p, i - 1));
	return 0;
}

struct load {
	const struct view *view;
	uint64_t number;
};

static int load_node(void *arg, void *buf, size_t len, struct err *e)
{
	const struct load *l = arg;
	int r = view_read_inside(l->view, buf, len, l->number * THIN_BLOCK, e);

	if (r == 0)
		r = check_node(buf, l->number, e);
	return r < 0 ? err_in(e, "block %" PRIu64 " of the metadata", l->number) : 0;
}

static int pin_node(
	const struct thin_blocks *b, uint64_t number, const struct block **block, struct err *e)
{
	struct load load = {.view = b->view, .number = number};
	const struct cache_request request = {
		.key = {.source = b->source, .id = (uint64_t)b->transaction << 32 | number},
		.len = THIN_BLOCK,
		.load = load_node,
		.arg = &load,
	};

	if (number == 0 || number > UINT32_MAX || number >= b->view->size / THIN_BLOCK)
		return err_set(e, EUCLEAN,
			"a tree in the metadata has a node in block %" PRIu64 " of %" PRIu64,
			number, b->view->size / THIN_BLOCK);
	return cache_pin(b->cache, &request, block, e);
}

/* Trees. */

/* A step on the way to a leaf: the node and the keys that its parents leave to it. */
struct step {
	uint64_t number;
	uint64_t first, end;
};

/* Checks a node in its place: the length of its values and the range of its keys. */
static int check_place(
	const unsigned char *p, const struct step *s, uint32_t value_len, struct err *e)
{
	bool inner = node_flags(p) == NODE_INNER;
	uint32_t n = node_entries(p), len = inner ? CHILD : value_len;

	if (node_value_len(p) != len)
		return err_set(e, EUCLEAN,
			"block %" PRIu64 " of the metadata: values of %" PRIu32
			" bytes, not %" PRIu32,
			s->number, node_value_len(p), len);
	if (n > 0 && (node_key(p, 0) < s->first || node_key(p, n - 1) >= s->end))
		return err_set(e, EUCLEAN,
			"block %" PRIu64 " of the metadata: keys from %" PRIu64 " to %" PRIu64
			" where those from %" PRIu64 " up to %" PRIu64 " belong",
			s->number, node_key(p, 0), node_key(p, n - 1), s->first, s->end);
	if (inner && n == 0)
		return err_set(
			e, EUCLEAN, "block %" PRIu64 " of the metadata: no children", s->number);
	return 0;
}

/* Goes on to the child that has the key, or the keys after it when it is less than all. */
static void descend(const unsigned char *p, uint64_t key, struct step *s)
{
	unsigned n = node_entries(p), i = node_search(p, key);

	if (i == n || (i > 0 && node_key(p, i) != key))
		i--;
	s->number = load_le64(node_value(p, i));
	s->first = node_key(p, i);
	if (i + 1 < n)
		s->end = node_key(p, i + 1);
}

int thin_leaf_find(const struct thin_blocks *b, uint64_t root, uint32_t value_len, uint64_t key,
	struct thin_leaf *leaf, struct err *e)
{
	struct step step = {.number = root, .end = UINT64_MAX};

	for (unsigned depth = 0; depth < MAX_DEPTH; depth++) {
		const unsigned char *p;
		int r;

		leaf->end = step.end;
		r = pin_node(b, step.number, &leaf->block, e);
		if (r < 0)
			return r;
		p = leaf->block->data;
		r = check_place(p, &step, value_len, e);
		if (r == 0 && node_flags(p) == NODE_LEAF) {
			leaf->n = node_entries(p);
			leaf->i = node_search(p, key);
			return 0;
		}
		if (r == 0)
			descend(p, key, &step);
		cache_unpin(b->cache, leaf->block);
		if (r < 0)
			return r;
	}
	return err_set(e, EUCLEAN,
		"the tree in block %" PRIu64 " of the metadata is deeper than %d", root, MAX_DEPTH);
}

void thin_leaf_unpin(const struct thin_blocks *b, const struct thin_leaf *leaf)
{
	cache_unpin(b->cache, leaf->block);
}

uint64_t thin_leaf_key(const struct thin_leaf *leaf, unsigned i)
{
	return node_key(leaf->block->data, i);
}

const void *thin_leaf_value(const struct thin_leaf *leaf, unsigned i)
{
	return node_value(leaf->block->data, i);
}
