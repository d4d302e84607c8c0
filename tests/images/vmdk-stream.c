/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk-stream.c - streamOptimized extents: compressed grains, with the tables before or after them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "util/bytes.h"
#include "mkimage.h"
#include "vmdk.h"

#define GRAIN        128u
#define GRAIN_LEN    (GRAIN * SECTOR)
#define MARKER_TABLE 1u
#define MARKER_DIR   2u
#define MARKER_FOOT  3u
#define MARKER_OTHER 4u

/* First sector of grains, with the tables before and after them. */
#define FRONT_AT 128u
#define BACK_AT  RGD_AT

#define FLAGS (FLAG_NEWLINES | FLAG_COMPRESSED | FLAG_MARKERS)

enum shape {
	FRONT,     /* tables before the grains */
	BACK,      /* tables after the grains, and a footer */
	NO_FOOTER, /* tables after the grains, without a footer */
};

struct stream {
	uint64_t sectors; /* of the disk */
	enum shape shape;
	bool whole_last;     /* the last grain is padded to full length */
	bool other_markers;  /* markers of an unknown type between the grains */
	uint64_t trailing;   /* zeroes after the end */
	const uint64_t *map; /* the data in each grain, or GRAIN_ABSENT */
	size_t n;
};

/* The grain marker and the compressed data of a grain. */
struct record {
	uint64_t lba;
	uint32_t len;
	const void *data;
};

/* A stream that is being written, at sector at. */
struct writer {
	int fd;
	uint64_t at;
	uint32_t table[GTES];
};

static void put_record(struct writer *w, const struct record *r)
{
	put_le64(w->fd, w->at * SECTOR, r->lba);
	put_le32(w->fd, w->at * SECTOR + 8, r->len);
	put(w->fd, w->at * SECTOR + 12, r->data, r->len);
	w->at += div_round_up(12 + (uint64_t)r->len, SECTOR);
	file_resize(w->fd, w->at * SECTOR);
}

/* A marker has its own sector; payload is the number of sectors after it. */
static void put_marker(struct writer *w, uint32_t type, uint64_t payload)
{
	put_le64(w->fd, w->at * SECTOR, payload);
	put_le32(w->fd, w->at * SECTOR + 12, type);
	w->at++;
	file_resize(w->fd, (w->at + payload) * SECTOR);
}

static void put_grain(struct writer *w, const struct stream *s, size_t i)
{
	uint64_t left = s->sectors * SECTOR - i * GRAIN_LEN, len = MIN(left, GRAIN_LEN);
	unsigned char *data = calloc(1, GRAIN_LEN), *compressed;
	uLongf ncompressed = compressBound(GRAIN_LEN);

	compressed = malloc(ncompressed);
	if (!data || !compressed)
		die("out of memory");
	data_make(data, s->map[i], len);
	if (compress(compressed, &ncompressed, data, s->whole_last ? GRAIN_LEN : len) != Z_OK)
		die("cannot compress");
	w->table[i] = w->at;
	put_record(w, &(struct record){i * GRAIN, ncompressed, compressed});
	free(data);
	free(compressed);
}

static void put_table(struct writer *w, uint64_t at)
{
	for (size_t i = 0; i < GTES; i++)
		put_le32(w->fd, at * SECTOR + 4 * i, w->table[i]);
}

static void put_header(struct writer *w, const struct stream *s, uint64_t at, uint64_t gd)
{
	struct sparse header = {s->sectors, GRAIN, 3, FLAGS, NULL, 0};

	sparse_header(w->fd, at * SECTOR, &header, gd);
	put_le64(w->fd, at * SECTOR + 64, s->shape == FRONT ? FRONT_AT : BACK_AT);
}

static void put_back(struct writer *w, const struct stream *s)
{
	uint64_t table, directory;

	put_marker(w, MARKER_TABLE, GTES * 4 / SECTOR);
	table = w->at;
	put_table(w, table);
	w->at += GTES * 4 / SECTOR;
	put_marker(w, MARKER_DIR, 1);
	directory = w->at++;
	put_le32(w->fd, directory * SECTOR, table);
	if (s->shape != BACK)
		return;
	put_marker(w, MARKER_FOOT, 1);
	put_header(w, s, w->at++, directory);
	put_marker(w, 0, 0);
}

static void put_front(struct writer *w)
{
	put_le32(w->fd, GD_AT * SECTOR, GT_AT);
	put_table(w, GT_AT);
	put_marker(w, 0, 0);
}

static void stream_put(struct writer *w, const struct stream *s)
{
	put_header(w, s, 0, s->shape == FRONT ? GD_AT : UINT64_MAX);
	w->at = s->shape == FRONT ? FRONT_AT : BACK_AT;
	for (size_t i = 0; i < s->n; i++) {
		if (s->other_markers)
			put_marker(w, MARKER_OTHER, i % 2);
		if (s->other_markers && i % 2)
			put_data(w->fd, w->at++ * SECTOR, NOISE, SECTOR);
		if (s->map[i] != GRAIN_ABSENT)
			put_grain(w, s, i);
	}
	if (s->shape == FRONT)
		put_front(w);
	else
		put_back(w, s);
	file_resize(w->fd, w->at * SECTOR + s->trailing);
}

static void stream_expect(const struct job *j, const struct stream *s)
{
	expect_size(j, s->sectors * SECTOR);
	for (size_t i = 0; i < s->n; i++)
		if (s->map[i] != GRAIN_ABSENT)
			expect(j, i * GRAIN_LEN, s->map[i],
				MIN(GRAIN_LEN, s->sectors * SECTOR - i * GRAIN_LEN));
}

static struct writer make(const struct job *j, const struct stream *s)
{
	struct writer w = {.fd = file_new(j, ".vmdk")};
	struct descriptor d = {"streamOptimized", 0xfffffffe, NO_PARENT, NULL, NULL};
	char line[64];

	snprintf(line, sizeof line, "RW %u SPARSE \"call-me-stream.vmdk\"\n", (unsigned)s->sectors);
	d.extents = line;
	stream_put(&w, s);
	descriptor_put(j, w.fd, TEXT_AT * SECTOR, &d);
	stream_expect(j, s);
	patch_le(j, w.fd);
	return w;
}

static void make_stream(const struct job *j)
{
	make(j, j->c->arg);
}

/* Six grains, one of them incomplete, one incompressible. */
static const uint64_t map[] = {MIB, GRAIN_ABSENT, 0, NOISE, 2 * MIB, 3 * MIB};
#define DISK 5 * GRAIN + 5
#define MAP  map, N_ELEMENTS(map)

static const struct stream front = {DISK, FRONT, false, false, 0, MAP};
static const struct stream front_whole = {DISK, FRONT, true, false, 0, MAP};
static const struct stream front_pad = {DISK, FRONT, false, false, 127 * SECTOR, MAP};
static const struct stream back = {DISK, BACK, false, false, 0, MAP};
static const struct stream back_whole = {DISK, BACK, true, false, 0, MAP};
static const struct stream back_pad = {DISK, BACK, false, false, 3 * SECTOR, MAP};
static const struct stream back_odd = {DISK, BACK, false, false, 100, MAP};
static const struct stream back_markers = {DISK, BACK, false, true, 0, MAP};
static const struct stream no_footer = {DISK, NO_FOOTER, false, false, 0, MAP};

/* Replaces grain 0 by an invalid record. */
static void replace_grain(const struct job *j, const struct record *r)
{
	struct writer w = make(j, &front);

	w.at = FRONT_AT;
	put_le64(w.fd, w.at * SECTOR, r->lba);
	put_le32(w.fd, w.at * SECTOR + 8, r->len);
	if (r->data)
		put(w.fd, w.at * SECTOR + 12, r->data, 256);
}

static void make_lba(const struct job *j)
{
	replace_grain(j, &(struct record){GRAIN, 1000, NULL});
}

static void make_len(const struct job *j)
{
	replace_grain(j, &(struct record){0, j->c->n, NULL});
}

static void make_garbage(const struct job *j)
{
	unsigned char noise[256];

	data_make(noise, NOISE, sizeof noise);
	replace_grain(j, &(struct record){0, sizeof noise, noise});
}

/* Valid compressed data of less than a grain. */
static void make_short(const struct job *j)
{
	unsigned char data[4096] = {0}, compressed[256] = {0};
	uLongf n = sizeof compressed;

	if (compress(compressed, &n, data, sizeof data) != Z_OK)
		die("cannot compress");
	replace_grain(j, &(struct record){0, n, compressed});
}

#define GOOD(name_, stream_)                                                                       \
	{                                                                                          \
		.name = "vmdk-stream-" name_, .make = make_stream, .arg = &stream_                 \
	}
#define REFUSE(name_, stream_, pos_, width_, value_)                                               \
	{                                                                                          \
		.name = "vmdk-stream-" name_, .verdict = REFUSED, .make = make_stream,             \
		.arg = &stream_, PATCH(pos_, width_, value_)                                       \
	}
#define BAD_GRAIN(name_, make_, n_)                                                                \
	{                                                                                          \
		.name = "vmdk-stream-" name_, .verdict = READERROR, .bad = {0, GRAIN_LEN},         \
		.make = make_, .n = n_                                                             \
	}
#define BAD_ENTRY(name_, value_)                                                                   \
	{                                                                                          \
		.name = "vmdk-stream-" name_, .verdict = READERROR, .bad = {0, GRAIN_LEN},         \
		.make = make_stream, .arg = &front, PATCH(GT_AT * SECTOR, 4, value_)               \
	}

static const struct image_case cases[] = {
	GOOD("front", front),
	GOOD("front-whole", front_whole),
	GOOD("front-pad", front_pad),
	GOOD("back", back),
	GOOD("back-whole", back_whole),
	GOOD("back-pad", back_pad),
	GOOD("back-odd", back_odd),
	GOOD("back-markers", back_markers),

	BAD_GRAIN("lba", make_lba, 0),
	BAD_GRAIN("len-0", make_len, 0),
	BAD_GRAIN("len-huge", make_len, 0x7fffffff),
	BAD_GRAIN("len-all-ones", make_len, 0xffffffff),
	BAD_GRAIN("garbage", make_garbage, 0),
	BAD_GRAIN("short", make_short, 0),
	BAD_ENTRY("gte-past-end", 0x7fffffff),
	BAD_ENTRY("gte-in-tables", GD_AT),

	REFUSE("no-footer", no_footer, 0, 0, 0),
	REFUSE("compression-9", front, 77, 2, 9),
	REFUSE("compression-0", front, 77, 2, 0),
};

const struct image_set vmdk_stream_images = {"vmdk", cases, N_ELEMENTS(cases)};
