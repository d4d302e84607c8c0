/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vdi-chain.c - VDI images with parents, identified only by UUIDs, and other images in their
 * directory. */
#include <stdbool.h>
#include <stddef.h>

#include "util/bytes.h"
#include "mkimage.h"
#include "vdi.h"

#define FREE  VDI_FREE
#define ZERO  VDI_ZERO
#define BLOCK (64 * KIB)

#define LAYERS_MAX 4
#define UUID_LEN   16

/* One file.  Its UUIDs derive from the name of the case and its number. */
struct layer {
	const char *suffix;
	struct vdi v;
	bool version_0;
	bool stale; /* another modification UUID than its child records */
};

/* layers[0] is the image, each of the others the parent of the one before; beside are other images.
 */
struct chain {
	struct layer layers[LAYERS_MAX], beside[LAYERS_MAX];
	uint64_t as[LAYERS_MAX]; /* the layers whose UUIDs the images beside have */
};

static void put_uuid(int fd, uint64_t pos, const char *name, uint64_t number, char kind)
{
	unsigned char uuid[UUID_LEN];
	uint64_t sum = 0xcbf29ce484222325;

	for (size_t i = 0; i < UUID_LEN; i++) {
		for (const char *c = name; *c; c++)
			sum = (sum ^ (unsigned char)*c) * 0x100000001b3;
		sum = (sum ^ (number * 256 + (unsigned char)kind)) * 0x100000001b3;
		uuid[i] = sum >> 32;
	}
	put(fd, pos, uuid, sizeof uuid);
}

static void put_uuids(
	int fd, const struct job *j, const struct layer *l, uint64_t number, bool child)
{
	uint64_t pos = l->version_0 ? 372 : 392;

	put_uuid(fd, pos, j->c->name, number, 'i');
	put_uuid(fd, pos + UUID_LEN, j->c->name, number, l->stale ? 's' : 'c');
	if (child)
		put_uuid(fd, pos + 2 * UUID_LEN, j->c->name, number + 1, 'i');
	if (child && !l->version_0)
		put_uuid(fd, pos + 3 * UUID_LEN, j->c->name, number + 1, 'c');
}

static uint64_t data_of(size_t number)
{
	return number * 64 * MIB;
}

static int put_layer(
	const struct job *j, const struct layer *l, size_t number, bool child, uint64_t from)
{
	int fd = file_new(j, l->suffix);

	if (l->version_0)
		vdi_put_header_0(fd, &l->v);
	else
		vdi_put_header(fd, &l->v);
	put_uuids(fd, j, l, number, child);
	vdi_put_blocks(fd, &l->v, from);
	return fd;
}

/* Sets the expected contents of the blocks of layer number, up to end. */
static void expect_layer(const struct job *j, const struct vdi *v, size_t number, uint64_t end)
{
	for (uint32_t i = 0; i < v->nblocks; i++) {
		uint64_t off = (uint64_t)i * v->block_size;
		uint64_t len = off < end ? MIN(v->block_size, end - off) : 0;

		if (v->map[i] == FREE || len == 0)
			continue;
		if (v->map[i] == ZERO)
			expect_zero(j, off, len);
		else
			expect(j, off, data_of(number) + v->map[i] * (uint64_t)v->block_size, len);
	}
}

static void make_chain(const struct job *j)
{
	const struct chain *c = j->c->arg;
	uint64_t end[LAYERS_MAX];
	size_t n = 0;
	int top = -1;

	for (; n < LAYERS_MAX && c->layers[n].suffix; n++) {
		const struct layer *l = &c->layers[n];
		bool last = n + 1 == LAYERS_MAX || !c->layers[n + 1].suffix;
		int fd = put_layer(j, l, n, n < j->c->n || !last, data_of(n));

		if (n == 0)
			top = fd;
		end[n] = n ? MIN(end[n - 1], l->v.size) : l->v.size;
	}
	for (size_t i = 0; i < LAYERS_MAX && c->beside[i].suffix; i++)
		put_layer(j, &c->beside[i], c->as[i], false, NOISE);
	patch_le(j, top);
	if (j->c->verdict == REFUSED)
		return;
	expect_size(j, end[0]);
	while (n-- > 0)
		expect_layer(j, &c->layers[n].v, n, end[n]);
}

static const uint32_t base_map[] = {3, FREE, 0, 2, 4, ZERO, 1};
static const uint32_t child_map[] = {1, FREE, FREE, ZERO, FREE, 0, ZERO};
static const uint32_t all_free[] = {FREE, FREE, FREE, FREE, FREE, FREE, FREE};
static const uint32_t long_map[] = {FREE, 1, FREE, ZERO, FREE, FREE, FREE, FREE, 0, FREE};
static const uint32_t large_map[] = {FREE, 0};
static const uint32_t small_map[] = {2, FREE, 0, ZERO, FREE, 1, FREE, FREE};

#define DISK(type, blocks, map)                                                                    \
	{                                                                                          \
		(blocks) * BLOCK, type, BLOCK, 0, 512, 1024, blocks, map                           \
	}
#define BASE                                                                                       \
	{                                                                                          \
		.suffix = "-base.vdi", .v = DISK(1, 7, base_map)                                   \
	}

static const struct chain difference = {
	.layers = {{.suffix = ".vdi", .v = DISK(4, 7, child_map)}, BASE}};
static const struct chain undo = {.layers = {{.suffix = ".vdi", .v = DISK(3, 7, child_map)}, BASE}};
static const struct chain dynamic = {
	.layers = {{.suffix = ".vdi", .v = DISK(1, 7, child_map)}, BASE}};
static const struct chain three = {
	.layers = {{.suffix = ".vdi", .v = DISK(4, 7, child_map)},
		{.suffix = "-middle.vdi", .v = DISK(4, 7, all_free)}, BASE}};

/* Different sizes: the disk has the size of the child; data after the end of the parent reads as
 * zeroes. */
static const struct chain longer = {
	.layers = {{.suffix = ".vdi", .v = DISK(4, 10, long_map)}, BASE}};
static const struct chain shorter = {
	.layers = {{.suffix = ".vdi", .v = DISK(4, 5, child_map)}, BASE}};
/* The base is visible only up to the end of the middle image. */
static const struct chain waist = {
	.layers = {{.suffix = ".vdi", .v = DISK(4, 10, long_map)},
		{.suffix = "-middle.vdi", .v = DISK(4, 5, all_free)}, BASE}};

/* Different block sizes, smaller and larger, and a parent that ends inside a block of its child. */
static const struct chain large_blocks = {
	.layers = {
		{.suffix = ".vdi", .v = {2 * 256 * KIB, 4, 256 * KIB, 0, 512, 1024, 2, large_map}},
		BASE}};
static const struct chain small_blocks = {
	.layers = {{.suffix = ".vdi", .v = {8 * 4 * KIB, 4, 4 * KIB, 512, 512, 1024, 8, small_map}},
		BASE}};

/* Version 0, which does not record the modification UUID of the parent. */
static const struct chain old = {
	.layers = {
		{.suffix = ".vdi",
			.version_0 = true,
			.v = {7 * BLOCK, 4, BLOCK, 0, VDI_HEAD_0, VDI_HEAD_0 + 28, 7, child_map}},
		{.suffix = "-base.vdi",
			.version_0 = true,
			.stale = true,
			.v = {7 * BLOCK, 1, BLOCK, 0, VDI_HEAD_0, VDI_HEAD_0 + 28, 7, base_map}}}};

/* Copies of the parent with another modification UUID, and other disks with a name that it could
 * have. */
static const struct chain decoys = {.layers = {{.suffix = ".vdi", .v = DISK(4, 7, child_map)},
					    {.suffix = "-middle.vdi", .v = DISK(1, 7, base_map)}},
	.beside = {{.suffix = "-aa.vdi", .stale = true, .v = DISK(1, 7, base_map)},
		{.suffix = "-base.vdi", .v = DISK(1, 7, all_free)},
		{.suffix = "-zz.vdi", .stale = true, .v = DISK(1, 7, all_free)}},
	.as = {1, 3, 1}};

static const struct chain orphan = {.layers = {{.suffix = ".vdi", .v = DISK(4, 7, child_map)}}};
static const struct chain stranger = {.layers = {{.suffix = ".vdi", .v = DISK(4, 7, child_map)}},
	.beside = {{.suffix = "-base.vdi", .v = DISK(1, 7, base_map)}},
	.as = {2}};
static const struct chain changed = {.layers = {{.suffix = ".vdi", .v = DISK(4, 7, child_map)}},
	.beside = {{.suffix = "-base.vdi", .stale = true, .v = DISK(1, 7, base_map)}},
	.as = {1}};
static const struct chain broken = {.layers = {{.suffix = ".vdi", .v = DISK(4, 7, child_map)}},
	.beside = {{.suffix = "-base.vdi", .v = DISK(99, 7, base_map)}},
	.as = {1}};

/* The UUID of the parent is that of the image. */
static void make_self(const struct job *j)
{
	static const struct layer l = {.suffix = ".vdi", .v = DISK(4, 7, child_map)};
	int fd = put_layer(j, &l, 0, false, 0);

	put_uuid(fd, 424, j->c->name, 0, 'i');
}

#define GOOD(name_, chain_)                                                                        \
	{                                                                                          \
		.name = "vdi-" name_, .make = make_chain, .arg = &chain_                           \
	}
/* The last layer names a parent, too. */
#define REFUSE(name_, chain_)                                                                      \
	{                                                                                          \
		.name = "vdi-" name_, .verdict = REFUSED, .make = make_chain, .arg = &chain_,      \
		.n = LAYERS_MAX                                                                    \
	}

static const struct image_case cases[] = {
	GOOD("child", difference),
	GOOD("child-undo", undo),
	GOOD("child-dynamic", dynamic),
	GOOD("child-three", three),
	GOOD("child-longer", longer),
	GOOD("child-shorter", shorter),
	GOOD("child-waist", waist),
	GOOD("child-large-blocks", large_blocks),
	GOOD("child-small-blocks", small_blocks),
	GOOD("child-version-0", old),
	GOOD("child-decoys", decoys),
	REFUSE("child-orphan", orphan),
	REFUSE("child-stranger", stranger),
	REFUSE("child-changed-parent", changed),
	REFUSE("child-broken-parent", broken),
	REFUSE("child-grandparent-gone", difference),
	{.name = "vdi-child-self", .verdict = REFUSED, .make = make_self},
};

const struct image_set vdi_chain_images = {"vdi", cases, N_ELEMENTS(cases)};
