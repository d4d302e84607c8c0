/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qed.c - QED images: tables of all sizes, zero clusters, parents; and damaged ones. */
#include <string.h>

#include "util/bytes.h"
#include "mkimage.h"

#define ZERO 1u /* in an L2 table */

#define BACKING    1u
#define NEED_CHECK 2u
#define RAW        4u

enum kind { DATA, ZEROES };

struct cell {
	uint64_t guest;
	enum kind kind;
};

struct spec {
	uint64_t cluster;
	uint32_t table, header; /* clusters */
	uint64_t size;
	uint64_t base; /* bytes of the parent; 0: none */
	uint32_t features;
	const struct cell *cells;
	size_t ncells;
};

struct qed {
	const struct job *j;
	const struct spec *s;
	int fd;
	uint64_t end;
};

static uint64_t entries(const struct spec *s)
{
	return s->table * s->cluster / 8;
}

static uint64_t grow(struct qed *q, uint64_t clusters)
{
	uint64_t pos = q->end;

	q->end += clusters * q->s->cluster;
	file_resize(q->fd, q->end);
	return pos;
}

static uint64_t table_for(struct qed *q, uint64_t l1)
{
	uint64_t entry = q->s->header * q->s->cluster + 8 * l1, pos = get_le(q->fd, entry, 8);

	if (pos == 0) {
		pos = grow(q, q->s->table);
		put_le64(q->fd, entry, pos);
	}
	return pos;
}

static void put_cell(struct qed *q, const struct cell *cell)
{
	const struct spec *s = q->s;
	uint64_t off = cell->guest * s->cluster, len = MIN(s->cluster, s->size - off);
	uint64_t entry = table_for(q, cell->guest / entries(s)) + 8 * (cell->guest % entries(s));
	uint64_t pos;

	if (cell->kind == ZEROES) {
		put_le64(q->fd, entry, ZERO);
		expect_zero(q->j, off, len);
		return;
	}
	pos = grow(q, 1);
	put_le64(q->fd, entry, pos);
	put_data(q->fd, pos, off, s->cluster);
	expect(q->j, off, off, len);
}

static void put_header(struct qed *q)
{
	const struct spec *s = q->s;

	put(q->fd, 0, "QED", 4);
	put_le32(q->fd, 4, s->cluster);
	put_le32(q->fd, 8, s->table);
	put_le32(q->fd, 12, s->header);
	put_le64(q->fd, 16, s->features);
	put_le64(q->fd, 40, s->header * s->cluster);
	put_le64(q->fd, 48, s->size);
	q->end = s->header * s->cluster;
	grow(q, s->table);
}

/* The parent has the data stream from NOISE on.  A raw one begins with a header of qcow2 that names
 * a backing file, as a guest might write it, so that a probe would find the wrong format. */
static void put_parent(struct qed *q)
{
	static const unsigned char trap[72] = "QFI\xfb\0\0\0\2\0\0\0\0\0\0\0\x40\0\0\0\7";
	const char *name = q->j->c->name;
	int base = file_new(q->j, "-base.raw");

	put_data(base, 0, NOISE, q->s->base);
	expect(q->j, 0, NOISE, MIN(q->s->base, q->s->size));
	if (q->s->features & RAW) {
		put(base, 0, trap, sizeof trap);
		put(q->j->raw, 0, trap, sizeof trap);
	}
	put_le32(q->fd, 56, 64);
	put_le32(q->fd, 60, strlen(name) + strlen("-base.raw"));
	put_text(q->fd, 64, name);
	put_text(q->fd, 64 + strlen(name), "-base.raw");
}

static void begin(struct qed *q, const struct job *j)
{
	*q = (struct qed){.j = j, .s = j->c->arg, .fd = file_new(j, ".qed")};
	put_header(q);
	expect_size(j, q->s->size);
	if (q->s->base)
		put_parent(q);
	for (size_t i = 0; i < q->s->ncells; i++)
		put_cell(q, &q->s->cells[i]);
	patch_le(j, q->fd);
}

static void make(const struct job *j)
{
	struct qed q;

	begin(&q, j);
}

/* The file ends with n bytes of an incomplete cluster, which are not used. */
static void make_tail(const struct job *j)
{
	struct qed q;

	begin(&q, j);
	put_data(q.fd, q.end, NOISE, j->c->n);
}

static void make_short_file(const struct job *j)
{
	struct qed q;

	begin(&q, j);
	file_resize(q.fd, j->c->n);
}

#define CELLS(name_) .cells = name_, .ncells = N_ELEMENTS(name_)

static const struct cell mixed[] = {{5, DATA}, {0, DATA}, {1, ZEROES}, {2, ZEROES}, {4, DATA},
	{6, DATA}, {511, DATA}, {512, DATA}, {513, ZEROES}, {1600, DATA}, {1601, DATA}};
static const struct spec table_1 = {4096, 1, 1, 1602 * 4096 - 1536, 0, 0, CELLS(mixed)};
static const struct spec table_2 = {4096, 2, 1, 1602 * 4096, 0, 0, CELLS(mixed)};
static const struct spec table_16 = {4096, 16, 3, 1602 * 4096, 0, NEED_CHECK, CELLS(mixed)};

static const struct cell few[] = {{0, DATA}, {2, ZEROES}, {3, DATA}, {8192, DATA}, {8193, ZEROES}};
static const struct spec usual = {64 * KIB, 4, 1, 8195 * 64 * KIB, 0, 0, CELLS(few)};
static const struct cell huge_cells[] = {{1, DATA}};
static const struct spec huge = {4 * MIB, 1, 1, 12 * MIB, 0, 0, CELLS(huge_cells)};

static const struct cell low[] = {{0, DATA}, {2, ZEROES}, {3, DATA}};
static const struct spec on_raw = {
	4096, 1, 1, 600 * 4096, 100 * KIB + 512, BACKING | RAW, CELLS(low)};
static const struct spec on_guess = {4096, 1, 2, 600 * 4096, 4 * MIB, BACKING, CELLS(low)};
static const struct spec on_short = {
	4096, 1, 1, 600 * 4096, 3 * 4096 + 700, BACKING | RAW, CELLS(low)};

/* Five clusters of 4 KiB: the L1 table at 4096, the L2 table at 8192, data in clusters 0, 1 and 4.
 */
static const struct cell plain_cells[] = {{0, DATA}, {1, DATA}, {4, DATA}};
static const struct spec plain = {4096, 1, 1, 5 * 4096, 0, 0, CELLS(plain_cells)};
static const struct spec with_name = {4096, 1, 1, 5 * 4096, 4096, BACKING, CELLS(plain_cells)};

#define END (6 * 4096)

#define GOOD(name_, spec_)                                                                         \
	{                                                                                          \
		.name = "qed-" name_, .make = make, .arg = &spec_                                  \
	}
#define HARMLESS(name_, pos_, width_, value_)                                                      \
	{                                                                                          \
		.name = "qed-" name_, .make = make, .arg = &plain, PATCH(pos_, width_, value_)     \
	}
#define REFUSE(name_, spec_, pos_, width_, value_)                                                 \
	{                                                                                          \
		.name = "qed-" name_, .verdict = REFUSED, .make = make, .arg = &spec_,             \
		PATCH(pos_, width_, value_)                                                        \
	}
/* Reads of cluster 1 fail. */
#define BAD_ENTRY(name_, value_)                                                                   \
	{                                                                                          \
		.name = "qed-" name_, .verdict = READERROR, .bad = {4096, 4096},                   \
		.make = make_tail, .arg = &plain, .n = 3000, PATCH(8192 + 8, 8, value_)            \
	}
/* All reads fail, since there is only one table. */
#define BAD_TABLE(name_, value_)                                                                   \
	{                                                                                          \
		.name = "qed-" name_, .verdict = READERROR, .bad = {0, 5 * 4096},                  \
		.make = make_tail, .arg = &plain, .n = 3000, PATCH(4096, 8, value_)                \
	}

static const struct image_case cases[] = {
	GOOD("table-1", table_1),
	GOOD("table-2", table_2),
	GOOD("table-16", table_16),
	GOOD("usual", usual),
	GOOD("huge", huge),
	GOOD("on-raw", on_raw),
	GOOD("on-guess", on_guess),
	GOOD("on-short", on_short),
	{.name = "qed-tail", .make = make_tail, .arg = &plain, .n = 3000},
	HARMLESS("need-check", 16, 8, NEED_CHECK),
	HARMLESS("raw-without-name", 16, 8, RAW),
	HARMLESS("compatible", 24, 8, UINT64_MAX),
	HARMLESS("autoclear", 32, 8, UINT64_MAX),

	BAD_ENTRY("entry-2", 2),
	BAD_ENTRY("entry-reserved", 3 * 4096 + 1),
	BAD_ENTRY("entry-unaligned", 3 * 4096 + 512),
	BAD_ENTRY("entry-in-l1", 4096),
	BAD_ENTRY("entry-in-tail", END),
	BAD_ENTRY("entry-past-end", MIB),
	BAD_ENTRY("entry-far", ~(uint64_t)4095),
	BAD_TABLE("table-zero", 1),
	BAD_TABLE("table-unaligned", 8192 + 8),
	BAD_TABLE("table-in-l1", 4096),
	BAD_TABLE("table-in-tail", END),
	BAD_TABLE("table-far", ~(uint64_t)4095),

	{.name = "qed-header-cut",
		.verdict = REFUSED,
		.make = make_short_file,
		.arg = &plain,
		.n = 63},
	{.name = "qed-l1-cut",
		.verdict = REFUSED,
		.make = make_short_file,
		.arg = &plain,
		.n = 8191},
	REFUSE("cluster-0", plain, 4, 4, 0),
	REFUSE("cluster-2k", plain, 4, 4, 2048),
	REFUSE("cluster-odd", plain, 4, 4, 4097),
	REFUSE("cluster-128m", plain, 4, 4, 128 * MIB),
	REFUSE("table-0", plain, 8, 4, 0),
	REFUSE("table-3", plain, 8, 4, 3),
	REFUSE("table-32", plain, 8, 4, 32),
	REFUSE("header-0", plain, 12, 4, 0),
	REFUSE("header-over-l1", plain, 12, 4, 2),
	REFUSE("header-4g", plain, 12, 4, (uint64_t)1 << 20),
	REFUSE("feature-3", plain, 16, 8, 8),
	REFUSE("feature-63", plain, 16, 8, (uint64_t)1 << 63),
	REFUSE("l1-0", plain, 40, 8, 0),
	REFUSE("l1-unaligned", plain, 40, 8, 4096 + 8),
	REFUSE("l1-past-end", plain, 40, 8, END),
	REFUSE("l1-far", plain, 40, 8, ~(uint64_t)4095),
	REFUSE("size-odd", plain, 48, 8, 5 * 4096 + 1),
	REFUSE("size-past-l1", plain, 48, 8, 512 * 512 * 4096 + 512),
	REFUSE("size-all-ones", plain, 48, 8, ~(uint64_t)511),
	REFUSE("name-empty", with_name, 60, 4, 0),
	REFUSE("name-1024", with_name, 60, 4, 1024),
	REFUSE("name-past-header", with_name, 56, 4, 4090),
	REFUSE("name-far", with_name, 56, 4, UINT32_MAX),
	REFUSE("name-gone", with_name, 64, 1, 'x'),
};

const struct image_set qed_images = {"qed", cases, N_ELEMENTS(cases)};
