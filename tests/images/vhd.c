/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhd.c - VHD images of Virtual PC, Hyper-V and later programs, and damaged ones. */
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "mkimage.h"

#define SECTOR ((uint64_t)512)
#define ABSENT 0xffffffffu
#define ALL    UINT64_MAX

#define HEADER_AT 512
#define BAT_AT    1536
#define BLOCK     (64 * KIB) /* block size of the image that most cases damage */

enum { FIXED = 2, DYNAMIC = 3, DIFFERENCING = 4 };

/* The fields of footer and header; the rest of the image follows from them. */
struct vhd {
	uint32_t type;
	uint64_t size;
	uint32_t block;
	const uint32_t *map; /* block i of the disk is block map[i] in the file */
	uint32_t n;
	uint64_t sectors; /* bit s % 64: sector s of a block is set in its bitmap */
	uint32_t entries; /* of the BAT; 0: n */
	const char *parent;
};

static uint64_t bitmap_len(const struct vhd *v)
{
	return round_up(div_round_up(v->block / SECTOR, 8), SECTOR);
}

static uint64_t blocks_at(const struct vhd *v)
{
	return BAT_AT + round_up(4 * (uint64_t)(v->entries ? v->entries : v->n), SECTOR);
}

static uint64_t block_pos(const struct vhd *v, uint32_t number)
{
	return blocks_at(v) + number * (bitmap_len(v) + v->block);
}

static uint64_t footer_pos(const struct vhd *v)
{
	uint32_t stored = 0;

	if (v->type == FIXED)
		return v->size;
	for (uint32_t i = 0; i < v->n; i++)
		if (v->map[i] != ABSENT)
			stored = MAX(stored, v->map[i] + 1);
	return block_pos(v, stored);
}

/* Sets the checksum at sum_at for the len bytes at pos. */
static void put_checksum(int fd, uint64_t pos, size_t len, size_t sum_at)
{
	unsigned char buf[1024];
	uint32_t sum = 0;

	put_be32(fd, pos + sum_at, 0);
	get(fd, pos, buf, len);
	for (size_t i = 0; i < len; i++)
		sum += buf[i];
	put_be32(fd, pos + sum_at, ~sum);
}

static void put_footer(int fd, uint64_t pos, const struct vhd *v, char id)
{
	char ids[16];

	memset(ids, id, sizeof ids);
	file_resize(fd, MAX(pos + SECTOR, (uint64_t)lseek(fd, 0, SEEK_END)));
	put_text(fd, pos, "conectix");
	put_be32(fd, pos + 8, 2);
	put_be32(fd, pos + 12, 0x00010000);
	put_be64(fd, pos + 16, v->type == FIXED ? UINT64_MAX : HEADER_AT);
	put_text(fd, pos + 28, "vpc ");
	put_be64(fd, pos + 40, v->size);
	put_be64(fd, pos + 48, v->size);
	put_be32(fd, pos + 56, 0x00010411);
	put_be32(fd, pos + 60, v->type);
	put(fd, pos + 68, ids, sizeof ids);
	put_checksum(fd, pos, SECTOR, 64);
}

static void put_header(int fd, const struct vhd *v)
{
	char parent[16];

	memset(parent, 'P', sizeof parent);
	file_resize(fd, BAT_AT);
	put_text(fd, HEADER_AT, "cxsparse");
	put_be64(fd, HEADER_AT + 8, UINT64_MAX);
	put_be64(fd, HEADER_AT + 16, BAT_AT);
	put_be32(fd, HEADER_AT + 24, 0x00010000);
	put_be32(fd, HEADER_AT + 28, v->entries ? v->entries : v->n);
	put_be32(fd, HEADER_AT + 32, v->block);
	if (v->parent) {
		put(fd, HEADER_AT + 40, parent, sizeof parent);
		for (size_t i = 0; v->parent[i]; i++)
			put_byte(fd, HEADER_AT + 64 + 2 * i + 1, v->parent[i]);
	}
	put_checksum(fd, HEADER_AT, 1024, 36);
}

/* Block i of the disk has the data stream from its position in the file on; sectors with a clear
 * bit have noise, which must not be read. */
static void put_block(const struct job *j, int fd, const struct vhd *v, uint32_t i)
{
	uint64_t pos = block_pos(v, v->map[i]), data = pos + bitmap_len(v);
	uint64_t first = (uint64_t)i * v->block;

	for (uint64_t s = 0; s < v->block / SECTOR; s++) {
		uint64_t off = first + s * SECTOR, skip = s * SECTOR;
		uint64_t from = (uint64_t)v->map[i] * v->block + skip;

		if (!(v->sectors >> s % 64 & 1)) {
			put_data(fd, data + skip, NOISE + from, SECTOR);
			continue;
		}
		put_data(fd, data + skip, from, SECTOR);
		if (off < v->size)
			expect(j, off, from, SECTOR);
	}
	for (uint64_t byte = 0; byte < v->block / SECTOR / 8; byte++) {
		uint8_t bits = 0;

		for (int k = 0; k < 8; k++)
			bits |= (v->sectors >> (8 * byte + k) % 64 & 1) << (7 - k);
		put_byte(fd, pos + byte, bits);
	}
	if (v->block < 8 * SECTOR)
		put_byte(fd, pos, v->sectors & 1 ? 0x80 : 0);
}

static void put_blocks(const struct job *j, int fd, const struct vhd *v)
{
	for (uint64_t at = BAT_AT; at < blocks_at(v); at += 4)
		put_be32(fd, at, ABSENT);
	for (uint32_t i = 0; i < v->n; i++) {
		if (v->map[i] == ABSENT)
			continue;
		put_be32(fd, BAT_AT + 4 * i, block_pos(v, v->map[i]) / SECTOR);
		put_block(j, fd, v, i);
	}
}

/* The checksums of footer and header are recomputed after the patch. */
static int make(const struct job *j, const struct vhd *v)
{
	int fd = file_new(j, ".vpc");

	expect_size(j, v->size);
	if (v->type == FIXED) {
		put_data(fd, 0, 0, v->size);
		expect(j, 0, 0, v->size);
		put_footer(fd, v->size, v, 'C');
		patch_be(j, fd);
		put_checksum(fd, v->size, SECTOR, 64);
		return fd;
	}
	put_footer(fd, 0, v, 'C');
	put_header(fd, v);
	put_blocks(j, fd, v);
	put_footer(fd, footer_pos(v), v, 'C');
	patch_be(j, fd);
	put_checksum(fd, HEADER_AT, 1024, 36);
	put_checksum(fd, footer_pos(v), SECTOR, 64);
	return fd;
}

static void make_vhd(const struct job *j)
{
	make(j, j->c->arg);
}

static const uint32_t shuffled_map[] = {4, ABSENT, 0, 3, ABSENT, 1, 2};
static const struct vhd shuffled = {DYNAMIC, 7 * BLOCK, BLOCK, shuffled_map, 7, ALL, 0, NULL};
static const struct vhd inside_block = {
	DYNAMIC, 6 * BLOCK + 512, BLOCK, shuffled_map, 7, ALL, 0, NULL};
static const struct vhd bits = {
	DYNAMIC, 7 * BLOCK, BLOCK, shuffled_map, 7, 0x80ff00c100000001, 0, NULL};
static const struct vhd odd_bits = {
	DYNAMIC, 7 * BLOCK, BLOCK, shuffled_map, 7, 0xaaaaaaaaaaaaaaaa, 0, NULL};
static const struct vhd sector_blocks = {DYNAMIC, 7 * 512, 512, shuffled_map, 7, ALL, 0, NULL};
static const struct vhd padded = {
	DYNAMIC, 3 * 512 * KIB, 512 * KIB, shuffled_map, 3, 0x00000000ffffffff, 0, NULL};
static const struct vhd usual = {DYNAMIC, 5 * MIB, 2 * MIB, shuffled_map, 3, ALL, 0, NULL};
static const struct vhd long_bat = {DYNAMIC, 7 * BLOCK, BLOCK, shuffled_map, 7, ALL, 5000, NULL};
static const struct vhd empty = {DYNAMIC, 0, BLOCK, NULL, 0, ALL, 0, NULL};
static const struct vhd fixed = {FIXED, 5 * BLOCK, 0, NULL, 0, ALL, 0, NULL};

static const uint32_t twice_map[] = {0, 1, 0, 0};
static const struct vhd twice = {DYNAMIC, 4 * BLOCK, BLOCK, twice_map, 4, ALL, 0, NULL};

/* Four blocks, one of them allocated. */
static const uint32_t plain_map[] = {ABSENT, 0, ABSENT, ABSENT};
static const struct vhd plain = {DYNAMIC, 4 * BLOCK, BLOCK, plain_map, 4, ALL, 0, NULL};
#define PLAIN_FOOTER (BAT_AT + 512 + 512 + BLOCK)

/* Two blocks of 32 MiB with a few sectors set: a bitmap has two pages. */
static void make_large_blocks(const struct job *j)
{
	static const uint32_t map[] = {ABSENT, ABSENT};
	static const struct vhd v = {DYNAMIC, 64 * MIB, 32 * MIB, map, 2, ALL, 0, NULL};
	static const uint64_t sectors[] = {0, 7, 32767, 32768, 32769, 40000, 65535};
	uint64_t pos = blocks_at(&v), data = pos + bitmap_len(&v);
	unsigned char bitmap[8192] = {0};
	int fd = make(j, &v);

	put_be32(fd, BAT_AT + 4, pos / SECTOR);
	for (size_t i = 0; i < N_ELEMENTS(sectors); i++) {
		uint64_t s = sectors[i];

		bitmap[s / 8] |= 0x80 >> s % 8;
		put_data(fd, data + s * SECTOR, s * SECTOR, SECTOR);
		expect(j, 32 * MIB + s * SECTOR, s * SECTOR, SECTOR);
	}
	put(fd, pos, bitmap, sizeof bitmap);
	put_data(fd, data + 100 * SECTOR, NOISE, SECTOR);
	put_footer(fd, data + v.block, &v, 'C');
}

static void make_old_footer(const struct job *j)
{
	const struct vhd *v = j->c->arg;
	int fd = make(j, v);

	file_resize(fd, footer_pos(v) + 511);
}

static void make_no_footer(const struct job *j)
{
	const struct vhd *v = j->c->arg;
	int fd = make(j, v);

	file_resize(fd, footer_pos(v));
}

static void make_no_copy(const struct job *j)
{
	int fd = make(j, j->c->arg);

	put_data(fd, 0, NOISE, SECTOR);
}

/* n: the byte of the footer that is changed without its checksum. */
static void make_bad_footer(const struct job *j)
{
	const struct vhd *v = j->c->arg;
	int fd = make(j, v);

	put_byte(fd, footer_pos(v) + j->c->n, 0x55);
}

static void make_bad_sums(const struct job *j)
{
	int fd = make(j, j->c->arg);

	put_byte(fd, 80, 0x55);
	put_byte(fd, footer_pos(j->c->arg) + 81, 0x55);
}

static void make_bad_header_sum(const struct job *j)
{
	int fd = make(j, j->c->arg);

	put_byte(fd, HEADER_AT + 60, 0x55);
}

/* The guest has written a header of qcow2 to its disk. */
static void make_fixed_qcow2(const struct job *j)
{
	static const unsigned char head[] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3};
	int fd = make(j, &fixed);

	put(fd, 0, head, sizeof head);
	put(j->raw, 0, head, sizeof head);
}

/* XenServer's batmap after the BAT, which readers may ignore. */
static void make_batmap(const struct job *j)
{
	static const uint32_t map[] = {3, ABSENT, 0, 2};
	static const struct vhd v = {DYNAMIC, 4 * BLOCK, BLOCK, map, 4, ALL, 300, NULL};
	int fd = make(j, &v);

	put_text(fd, BAT_AT + 1024, "tdbatmap");
	put_be64(fd, BAT_AT + 1024 + 8, BAT_AT + 1024 + 512);
}

/* A child with some sectors of each block, and a parent with others. */
static void make_child(const struct job *j)
{
	static const uint32_t parent_map[] = {0, 1, ABSENT, 2}, child_map[] = {1, ABSENT, 0, 2};
	static const struct vhd parent = {
		DYNAMIC, 4 * BLOCK, BLOCK, parent_map, 4, 0xffffffff0000ffff, 0, NULL};
	struct vhd child = {
		DIFFERENCING, 4 * BLOCK, BLOCK, child_map, 4, 0x0ff0000180ff00c1, 0, NULL};
	int fd = file_new(j, "-base.vhd");

	put_footer(fd, 0, &parent, j->c->n ? j->c->n : 'P');
	put_header(fd, &parent);
	put_blocks(j, fd, &parent);
	put_footer(fd, footer_pos(&parent), &parent, j->c->n ? j->c->n : 'P');
	child.parent = j->c->arg;
	make(j, &child);
}

static void make_short_file(const struct job *j)
{
	int fd = make(j, &plain);

	file_resize(fd, j->c->n);
}

#define GOOD(name_, vhd_)                                                                          \
	{                                                                                          \
		.name = "vhd-" name_, .make = make_vhd, .arg = &vhd_                               \
	}
#define SPECIAL(name_, make_, arg_)                                                                \
	{                                                                                          \
		.name = "vhd-" name_, .make = make_, .arg = arg_                                   \
	}
#define REFUSE_SPECIAL(name_, make_, arg_, n_)                                                     \
	{                                                                                          \
		.name = "vhd-" name_, .verdict = REFUSED, .make = make_, .arg = arg_, .n = n_      \
	}
#define REFUSE(name_, pos_, width_, value_)                                                        \
	{                                                                                          \
		.name = "vhd-" name_, .verdict = REFUSED, .make = make_vhd, .arg = &plain,         \
		PATCH(pos_, width_, value_)                                                        \
	}
/* Reads of block 1 fail. */
#define BAD_BLOCK(name_, value_)                                                                   \
	{                                                                                          \
		.name = "vhd-" name_, .verdict = READERROR, .bad = {BLOCK, BLOCK},                 \
		.make = make_vhd, .arg = &plain, PATCH(BAT_AT + 4, 4, value_)                      \
	}

static const struct image_case cases[] = {
	GOOD("shuffled", shuffled),
	GOOD("inside-block", inside_block),
	GOOD("bits", bits),
	GOOD("odd-bits", odd_bits),
	GOOD("sector-blocks", sector_blocks),
	GOOD("padded-bitmap", padded),
	GOOD("usual", usual),
	GOOD("long-bat", long_bat),
	GOOD("empty", empty),
	GOOD("twice", twice),
	GOOD("fixed", fixed),
	SPECIAL("large-blocks", make_large_blocks, NULL),
	SPECIAL("old-footer", make_old_footer, &bits),
	SPECIAL("old-footer-fixed", make_old_footer, &fixed),
	SPECIAL("no-footer", make_no_footer, &bits),
	SPECIAL("no-copy", make_no_copy, &bits),
	{.name = "vhd-bad-footer", .make = make_bad_footer, .arg = &bits, .n = 50},
	SPECIAL("header-sum-confirmed", make_bad_header_sum, &shuffled),
	SPECIAL("fixed-qcow2-inside", make_fixed_qcow2, NULL),
	SPECIAL("batmap", make_batmap, NULL),
	SPECIAL("child", make_child, "vhd-child-base.vhd"),
	SPECIAL("child-moved", make_child, "C:\\disks\\vhd-child-moved-base.vhd"),
	SPECIAL("child-of-renamed", make_child, "nowhere.vhd"),

	BAD_BLOCK("entry-0", 0),
	BAD_BLOCK("entry-header", 1),
	BAD_BLOCK("entry-bat", 3),
	BAD_BLOCK("entry-past-end", 0x1000),
	BAD_BLOCK("entry-far", 0xfffffffe),
	{.name = "vhd-lost",
		.verdict = READERROR,
		.bad = {BLOCK + 4096, BLOCK - 4096},
		.make = make_short_file,
		.n = PLAIN_FOOTER - BLOCK + 4096},

	REFUSE_SPECIAL("sums", make_bad_sums, &plain, 0),
	REFUSE_SPECIAL("header-sum", make_bad_header_sum, &long_bat, 0),
	REFUSE_SPECIAL("fixed-bad-footer", make_bad_footer, &fixed, 50),
	REFUSE_SPECIAL("child-stranger", make_child, "vhd-child-stranger-base.vhd", 'S'),
	REFUSE_SPECIAL("child-missing", make_child, "nowhere.vhd", 'S'),
	REFUSE_SPECIAL("child-outside", make_child, "..\\..\\..\\..\\..\\..\\etc\\passwd", 'S'),
	REFUSE_SPECIAL("child-self", make_child, "vhd-child-self.vpc", 'S'),
	REFUSE_SPECIAL("empty-file", make_short_file, NULL, 0),
	REFUSE_SPECIAL("header-cut", make_short_file, NULL, 1535),
	REFUSE_SPECIAL("bat-cut", make_short_file, NULL, 1551),
	{.name = "vhd-fixed-cut",
		.verdict = REFUSED,
		.make = make_vhd,
		.arg = &fixed,
		.patch = {5 * BLOCK + 48, 8, 5 * BLOCK + 512}},
	{.name = "vhd-fixed-size-huge",
		.verdict = REFUSED,
		.make = make_vhd,
		.arg = &fixed,
		.patch = {5 * BLOCK + 48, 8, UINT64_MAX}},
	REFUSE("version-2", PLAIN_FOOTER + 12, 4, 0x00020000),
	REFUSE("type-0", PLAIN_FOOTER + 60, 4, 0),
	REFUSE("type-99", PLAIN_FOOTER + 60, 4, 99),
	REFUSE("difference-unnamed", PLAIN_FOOTER + 60, 4, 4),
	REFUSE("header-at-0", PLAIN_FOOTER + 16, 8, 0),
	REFUSE("header-is-footer", PLAIN_FOOTER + 16, 8, PLAIN_FOOTER),
	REFUSE("header-far", PLAIN_FOOTER + 16, 8, UINT64_MAX - 512),
	REFUSE("size-past-bat", PLAIN_FOOTER + 48, 8, 4 * BLOCK + 512),
	REFUSE("size-all-ones", PLAIN_FOOTER + 48, 8, UINT64_MAX),
	REFUSE("header-version-2", HEADER_AT + 24, 4, 0x00020000),
	REFUSE("bat-in-header", HEADER_AT + 16, 8, 512),
	REFUSE("bat-odd", HEADER_AT + 16, 8, 1537),
	REFUSE("bat-far", HEADER_AT + 16, 8, UINT64_MAX & ~(SECTOR - 1)),
	REFUSE("entries-few", HEADER_AT + 28, 4, 3),
	REFUSE("entries-many", HEADER_AT + 28, 4, 0x40000000),
	REFUSE("entries-all-ones", HEADER_AT + 28, 4, 0xffffffff),
	REFUSE("block-0", HEADER_AT + 32, 4, 0),
	REFUSE("block-128", HEADER_AT + 32, 4, 0x80),
	REFUSE("block-odd", HEADER_AT + 32, 4, 0x12345678),
};

const struct image_set vhd_images = {"vpc", cases, N_ELEMENTS(cases)};
