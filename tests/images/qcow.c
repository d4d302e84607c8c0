/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow.c - qcow images, version 1: tables of all sizes and positions, compressed clusters, parents;
 * and damaged ones. */
#include <string.h>

#include "util/bytes.h"
#include "mkimage.h"

#define SECTOR     512u
#define COMPRESSED ((uint64_t)1 << 63)
#define ROOM       (128 * KIB)

enum kind { DATA = 'd', DEFLATED = 'z' };

/* An allocated guest cluster. */
struct cell {
	uint32_t guest;
	enum kind kind;
};

struct spec {
	unsigned bits, table_bits;
	uint64_t size, l1_pos;
	unsigned shift; /* offset of L2 tables in their cluster */
	uint64_t base;  /* bytes of the raw parent; 0: none */
	const struct cell *cells;
	size_t ncells;
};

struct qcow {
	const struct job *j;
	const struct spec *s;
	int fd;
	uint64_t cluster, end;
};

static uint64_t visible(const struct spec *s)
{
	return s->size / SECTOR * SECTOR;
}

/* Allocates len bytes at the end of the file, at a multiple of align. */
static uint64_t grow(struct qcow *q, uint64_t align, uint64_t len)
{
	uint64_t pos = round_up(q->end, align);

	q->end = pos + len;
	file_resize(q->fd, q->end);
	return pos;
}

static uint64_t table_for(struct qcow *q, uint64_t l1)
{
	uint64_t entry = q->s->l1_pos + 8 * l1, pos = get_be(q->fd, entry, 8);
	uint64_t len = (uint64_t)8 << q->s->table_bits;

	if (pos == 0) {
		pos = grow(q, q->cluster, q->s->shift + len) + q->s->shift;
		put_be64(q->fd, entry, pos);
	}
	return pos;
}

static void put_entry(struct qcow *q, uint32_t guest, uint64_t entry)
{
	uint64_t table = table_for(q, guest >> q->s->table_bits);

	put_be64(q->fd, table + 8 * (guest & ((1u << q->s->table_bits) - 1)), entry);
}

/* Cluster i of the disk has the data stream from i * cluster on. */
static void put_cell(struct qcow *q, const struct cell *cell)
{
	unsigned char data[64 * KIB], out[ROOM];
	uint64_t off = cell->guest * q->cluster, pos;
	size_t n;

	table_for(q, cell->guest >> q->s->table_bits);
	if (cell->kind == DATA) {
		pos = grow(q, q->cluster, q->cluster);
		put_data(q->fd, pos, off, q->cluster);
		put_entry(q, cell->guest, pos);
	} else {
		data_make(data, off, q->cluster);
		n = deflated(out, sizeof out, data, q->cluster, -12);
		pos = grow(q, SECTOR, n);
		put(q->fd, pos, out, n);
		put_entry(q, cell->guest, COMPRESSED | (uint64_t)n << (63 - q->s->bits) | pos);
	}
	expect(q->j, off, off, MIN(q->cluster, visible(q->s) - off));
}

static void put_header(struct qcow *q)
{
	const struct spec *s = q->s;

	put_text(q->fd, 0, "QFI\xfb");
	put_be32(q->fd, 4, 1);
	put_be64(q->fd, 24, s->size);
	put_byte(q->fd, 32, s->bits);
	put_byte(q->fd, 33, s->table_bits);
	put_be64(q->fd, 40, s->l1_pos);
	q->end = s->l1_pos + 8 * div_round_up(s->size, q->cluster << s->table_bits);
	file_resize(q->fd, q->end);
}

/* The parent has the data stream from NOISE on. */
static void put_parent(struct qcow *q, uint64_t name_pos)
{
	char name[256];
	int base = file_new(q->j, "-base.raw");

	strcpy(name, q->j->c->name);
	strcat(name, "-base.raw");
	put_data(base, 0, NOISE, q->s->base);
	put_be64(q->fd, 8, name_pos);
	put_be32(q->fd, 16, strlen(name));
	put_text(q->fd, name_pos, name);
	q->end = MAX(q->end, name_pos + strlen(name));
	expect(q->j, 0, NOISE, MIN(q->s->base, visible(q->s)));
}

static void begin(struct qcow *q, const struct job *j)
{
	*q = (struct qcow){.j = j, .s = j->c->arg, .fd = file_new(j, ".qcow")};
	q->cluster = (uint64_t)1 << q->s->bits;
	put_header(q);
	expect_size(j, visible(q->s));
	if (q->s->base)
		put_parent(q, 48);
}

static void put_cells(struct qcow *q)
{
	for (size_t i = 0; i < q->s->ncells; i++)
		put_cell(q, &q->s->cells[i]);
	patch_be(q->j, q->fd);
}

static void make(const struct job *j)
{
	struct qcow q;

	begin(&q, j);
	put_cells(&q);
}

/* The name of the parent is at the end of the file. */
static void make_name_last(const struct job *j)
{
	struct qcow q;

	begin(&q, j);
	put_parent(&q, 40 * KIB);
	put_cells(&q);
}

/* The file ends inside its last cluster; the missing part reads as zeroes. */
static void make_tail(const struct job *j)
{
	struct qcow q;
	uint64_t guest;

	begin(&q, j);
	put_cells(&q);
	guest = q.s->cells[q.s->ncells - 1].guest;
	file_resize(q.fd, q.end - 1000);
	expect_zero(j, (guest + 1) * q.cluster - 1000, 1000);
}

/* The compressed data of cluster 1 has n bytes instead of a cluster, or is invalid (n = 0). */
static void make_stream(const struct job *j)
{
	unsigned char data[8 * KIB], out[ROOM] = {0xff};
	struct qcow q;
	uint64_t pos;
	size_t n = 1000;

	begin(&q, j);
	put_cells(&q);
	data_make(data, q.cluster, sizeof data);
	if (j->c->n > 0)
		n = deflated(out, sizeof out, data, j->c->n, -12);
	pos = grow(&q, SECTOR, n);
	put(q.fd, pos, out, n);
	put_entry(&q, 1, COMPRESSED | (uint64_t)n << (63 - q.s->bits) | pos);
	if (j->c->verdict == READS)
		expect(j, q.cluster, q.cluster, q.cluster);
}

static void make_short_file(const struct job *j)
{
	struct qcow q;

	begin(&q, j);
	put_cells(&q);
	file_resize(q.fd, j->c->n);
}

#define CELLS(name_) .cells = name_, .ncells = N_ELEMENTS(name_)

/* An L2 table has 64 clusters; the second one has no entries. */
static const struct cell small_cells[] = {{5, DATA}, {0, DEFLATED}, {1, DATA}, {2, DATA},
	{63, DATA}, {128, DATA}, {140, DEFLATED}, {150, DATA}};
static const struct spec smallest = {9, 6, 151 * 512, 48, 0, 0, CELLS(small_cells)};
static const struct spec odd_size = {9, 6, 150 * 512 + 513, 48, 0, 0, CELLS(small_cells)};
static const struct spec usual = {12, 9, 151 * 4096 - 1024, 48, 0, 0, CELLS(small_cells)};
static const struct spec large = {16, 13, 151 * 64 * KIB, 4096, 0, 0, CELLS(small_cells)};
static const struct spec odd_tables = {12, 9, 151 * 4096, 51, 3, 0, CELLS(small_cells)};

static const struct cell far_cells[] = {{0, DATA}, {8191, DATA}, {8192, DEFLATED}, {9000, DATA}};
static const struct spec far = {16, 13, 9001 * 64 * KIB, 48, 0, 0, CELLS(far_cells)};

/* Entry 505 of the L1 table crosses a page boundary. */
static const struct cell straddling_cells[] = {
	{504 * 64, DATA}, {505 * 64 + 1, DATA}, {506 * 64, DATA}, {1023 * 64, DEFLATED}};
static const struct spec straddling = {9, 6, 1024 * 32 * KIB, 49, 0, 0, CELLS(straddling_cells)};

static const struct cell compressed_cells[] = {{0, DEFLATED}, {1, DEFLATED}, {2, DATA},
	{3, DEFLATED}, {4, DEFLATED}, {70, DEFLATED}, {71, DATA}, {72, DEFLATED}};
static const struct spec compressed_512 = {9, 6, 73 * 512, 48, 0, 0, CELLS(compressed_cells)};
static const struct spec compressed_4k = {12, 9, 73 * 4096, 48, 0, 0, CELLS(compressed_cells)};
static const struct spec compressed_64k = {16, 9, 73 * 64 * KIB, 48, 0, 0, CELLS(compressed_cells)};

static const struct spec on_short = {12, 9, 151 * 4096, 80, 0, 65 * 4096 + 512, CELLS(small_cells)};
static const struct spec on_long = {9, 12, 151 * 512 + 300, 80, 0, MIB, CELLS(small_cells)};

/* Five clusters of 4 KiB: the L1 table at 48, the L2 table at 4096, data in clusters 0, 1 and 4. */
static const struct cell plain_cells[] = {{0, DATA}, {1, DATA}, {4, DATA}};
static const struct spec plain = {12, 9, 5 * 4096, 48, 0, 0, CELLS(plain_cells)};
static const struct spec with_name = {12, 9, 5 * 4096, 80, 0, 4096, CELLS(plain_cells)};

/* The L1 table has its own cluster, so the L2 table is in the next one. */
static const struct spec late_l1 = {12, 9, 5 * 4096, 4096, 0, 0, CELLS(plain_cells)};

#define ENTRY_1 (4096 + 8)

#define GOOD(name_, make_, spec_)                                                                  \
	{                                                                                          \
		.name = "qcow-" name_, .make = make_, .arg = &spec_                                \
	}
#define REFUSE(name_, spec_, pos_, width_, value_)                                                 \
	{                                                                                          \
		.name = "qcow-" name_, .verdict = REFUSED, .make = make, .arg = &spec_,            \
		PATCH(pos_, width_, value_)                                                        \
	}
/* Reads of cluster 1 fail. */
#define BAD_ENTRY(name_, value_)                                                                   \
	{                                                                                          \
		.name = "qcow-" name_, .verdict = READERROR, .bad = {4096, 4096}, .make = make,    \
		.arg = &plain, PATCH(ENTRY_1, 8, value_)                                           \
	}
#define BAD_STREAM(name_, n_)                                                                      \
	{                                                                                          \
		.name = "qcow-" name_, .verdict = READERROR, .bad = {4096, 4096},                  \
		.make = make_stream, .arg = &plain, .n = n_                                        \
	}
/* All reads fail, since there is only one table. */
#define BAD_TABLE(name_, value_)                                                                   \
	{                                                                                          \
		.name = "qcow-" name_, .verdict = READERROR, .bad = {0, 5 * 4096}, .make = make,   \
		.arg = &plain, PATCH(48, 8, value_)                                                \
	}

#define COMPRESSED_AT(pos, len) (COMPRESSED | (uint64_t)(len) << 51 | (pos))

static const struct image_case cases[] = {
	GOOD("smallest", make, smallest),
	GOOD("odd-size", make, odd_size),
	GOOD("usual", make, usual),
	GOOD("large", make, large),
	GOOD("odd-tables", make, odd_tables),
	GOOD("far", make, far),
	GOOD("straddling", make, straddling),
	GOOD("compressed-512", make, compressed_512),
	GOOD("compressed-4k", make, compressed_4k),
	GOOD("compressed-64k", make, compressed_64k),
	GOOD("on-short", make, on_short),
	GOOD("on-long", make, on_long),
	GOOD("name-last", make_name_last, on_short),
	GOOD("tail", make_tail, plain),
	{.name = "qcow-stream-long", .make = make_stream, .arg = &plain, .n = 5000},

	BAD_STREAM("stream-garbage", 0),
	BAD_STREAM("stream-short", 4095),
	BAD_ENTRY("entry-unaligned", 8192 + 256),
	BAD_ENTRY("entry-past-end", MIB),
	BAD_ENTRY("entry-far", (COMPRESSED - 1) & ~(uint64_t)511),
	{.name = "qcow-entry-in-l1",
		.verdict = READERROR,
		.bad = {4096, 4096},
		.make = make,
		.arg = &late_l1,
		.patch = {8192 + 8, 8, 4096}},
	BAD_ENTRY("compressed-none", COMPRESSED_AT(8192, 0)),
	BAD_ENTRY("compressed-in-header", COMPRESSED_AT(0, 100)),
	BAD_ENTRY("compressed-past-end", COMPRESSED_AT(MIB, 100)),
	BAD_ENTRY("compressed-over-end", COMPRESSED_AT(5 * 4096 - 512, 4000)),
	BAD_TABLE("table-in-header", 40),
	BAD_TABLE("table-in-l1", 52),
	BAD_TABLE("table-past-end", MIB),
	BAD_TABLE("table-over-end", 4 * 4096 + 8),
	BAD_TABLE("table-far", UINT64_MAX - 7),

	{.name = "qcow-header-cut",
		.verdict = REFUSED,
		.make = make_short_file,
		.arg = &plain,
		.n = 47},
	{.name = "qcow-l1-cut",
		.verdict = REFUSED,
		.make = make_short_file,
		.arg = &plain,
		.n = 55},
	REFUSE("cluster-bits-8", plain, 32, 1, 8),
	REFUSE("cluster-bits-17", plain, 32, 1, 17),
	REFUSE("cluster-bits-255", plain, 32, 1, 255),
	REFUSE("l2-bits-5", plain, 33, 1, 5),
	REFUSE("l2-bits-14", plain, 33, 1, 14),
	REFUSE("size-0", plain, 24, 8, 0),
	REFUSE("size-1", plain, 24, 8, 1),
	REFUSE("size-past-l1", plain, 24, 8, (uint64_t)1 << 50),
	REFUSE("size-2-63", plain, 24, 8, (uint64_t)1 << 63),
	REFUSE("size-all-ones", plain, 24, 8, UINT64_MAX),
	REFUSE("encrypted", plain, 36, 4, 1),
	REFUSE("crypt-2", plain, 36, 4, 2),
	REFUSE("l1-0", plain, 40, 8, 0),
	REFUSE("l1-in-header", plain, 40, 8, 47),
	REFUSE("l1-past-end", plain, 40, 8, MIB),
	REFUSE("l1-far", plain, 40, 8, UINT64_MAX),
	REFUSE("name-empty", with_name, 16, 4, 0),
	REFUSE("name-1024", with_name, 16, 4, 1024),
	REFUSE("name-4g", with_name, 16, 4, UINT32_MAX),
	REFUSE("name-past-end", with_name, 8, 8, MIB),
	REFUSE("name-far", with_name, 8, 8, UINT64_MAX),
	REFUSE("name-nul", with_name, 50, 1, 0),
	REFUSE("name-gone", with_name, 48, 1, 'x'),
};

const struct image_set qcow_images = {"qcow", cases, N_ELEMENTS(cases)};
