/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2-good.c - valid qcow2 images that no tool creates. */
#include <stdio.h>
#include <string.h>

#include "util/bytes.h"
#include "mkimage.h"
#include "qcow2.h"

#define BASE_DATA ((uint64_t)1 << 32) /* where the data stream of backing files begins */

static const struct qcow2_header v2_512 = {2, 9, 100 * KIB, 72, 0, 0};
static const struct qcow2_header v3_512 = {3, 9, 100 * KIB, 112, 0, 0};
static const struct qcow2_header v3_104 = {3, 9, 100 * KIB, 104, 0, 0};
static const struct qcow2_header v3_64k = {3, 16, 640 * KIB, 112, 0, 0};
static const struct qcow2_header v3_2m = {3, 21, 10 * MIB, 112, 0, 0};
static const struct qcow2_header odd_size = {3, 9, 100 * KIB + 511, 112, 0, 0};
static const struct qcow2_header empty = {3, 9, 0, 112, 0, 0};
static const struct qcow2_header zstd = {3, 16, 640 * KIB, 112, INCOMPATIBLE_COMPRESSION, 1};
static const struct qcow2_header extended = {3, 14, 7 * 16 * KIB, 112, INCOMPATIBLE_EXTENDED_L2, 0};
static const struct qcow2_header external = {3, 16, 640 * KIB, 112, INCOMPATIBLE_DATA_FILE, 0};

/* Clusters out of order; with small clusters, in several L2 tables. */
static void put_clusters(struct qcow2 *q)
{
	static const uint32_t order[] = {7, 0, 1, 70, 199, 4};

	for (size_t i = 0; i < N_ELEMENTS(order); i++)
		if (order[i] * q->cluster < q->h.size)
			qcow2_data(q, order[i]);
}

static void make_plain(const struct job *j)
{
	struct qcow2 q;

	qcow2_begin(&q, j, ".qcow2", j->c->arg);
	put_clusters(&q);
	qcow2_end(&q);
}

/* Unknown extensions up to the end of the cluster, without an end marker. */
static void make_extensions(const struct job *j)
{
	static const char text[] = "12345";
	struct qcow2 q;

	qcow2_begin(&q, j, ".qcow2", &v3_512);
	while (q.extensions < q.cluster)
		qcow2_extension(&q, 0x12345678, text);
	put_clusters(&q);
	qcow2_end(&q);
}

/* Zero clusters, with and without an allocated host cluster. */
static void make_zero(const struct job *j)
{
	struct qcow2 q;
	uint64_t kept;

	qcow2_begin(&q, j, ".qcow2", &v3_512);
	put_clusters(&q);
	kept = qcow2_data(&q, 9);
	qcow2_entry(&q, 9, kept | COPIED | ZERO_FLAG);
	expect_zero(j, 9 * q.cluster, q.cluster);
	qcow2_entry(&q, 8, ZERO_FLAG);
	qcow2_end(&q);
}

/* The file ends inside its last cluster; the missing part reads as zeroes. */
static void make_cut_data(const struct job *j)
{
	struct qcow2 q;

	qcow2_begin(&q, j, ".qcow2", &v3_64k);
	qcow2_data(&q, 2);
	qcow2_end(&q);
	file_resize(q.fd, q.next * q.cluster - q.cluster / 2);
	expect_zero(j, 2 * q.cluster + q.cluster / 2, q.cluster / 2);
}

/* Like a new image: the file ends after the only entry of the L1 table. */
static void make_cut_table(const struct job *j)
{
	struct qcow2 q;

	qcow2_begin(&q, j, ".qcow2", &v3_64k);
	qcow2_end(&q);
	put_be64(q.fd, 3 * q.cluster, 0);
	file_resize(q.fd, 3 * q.cluster + 8);
}

/* Two guest clusters share a host cluster. */
static void make_shared(const struct job *j)
{
	struct qcow2 q;
	uint64_t pos;

	qcow2_begin(&q, j, ".qcow2", &v3_512);
	pos = qcow2_data(&q, 0);
	qcow2_entry(&q, 0, pos);
	qcow2_entry(&q, 3, pos);
	q.refs[pos / q.cluster]++;
	expect(j, 3 * q.cluster, 0, q.cluster);
	qcow2_end(&q);
}

/* A backing file of base bytes: shorter or longer than the disk, with zero clusters over it. */
static void make_backed(const struct job *j, const struct qcow2_header *h, uint64_t base)
{
	struct qcow2 q;
	char name[64];

	qcow2_begin(&q, j, ".qcow2", h);
	snprintf(name, sizeof name, "%s-base.raw", j->c->name);
	qcow2_backing(&q, "raw", name);
	put_data(file_new(j, "-base.raw"), 0, BASE_DATA, base);
	expect(j, 0, BASE_DATA, MIN(base, h->size));
	put_clusters(&q);
	if (h->version >= 3) {
		qcow2_entry(&q, 2, ZERO_FLAG);
		expect_zero(j, 2 * q.cluster, q.cluster);
	}
	qcow2_end(&q);
}

static void make_short_base(const struct job *j)
{
	make_backed(j, j->c->arg, 10000);
}

static void make_odd_base(const struct job *j)
{
	make_backed(j, j->c->arg, 1000);
}

static void make_long_base(const struct job *j)
{
	make_backed(j, j->c->arg, 200 * KIB);
}

static void make_data_file(const struct job *j)
{
	static const uint32_t guests[] = {0, 3, 9};
	struct qcow2 q;
	char name[64];
	int data;

	qcow2_begin(&q, j, ".qcow2", &external);
	snprintf(name, sizeof name, "%s-data", j->c->name);
	qcow2_extension(&q, EXTENSION_DATA_FILE, name);
	data = file_new(j, "-data");
	for (size_t i = 0; i < N_ELEMENTS(guests); i++) {
		uint64_t off = guests[i] * q.cluster;

		put_data(data, off, off, q.cluster);
		expect(j, off, off, q.cluster);
		qcow2_entry(&q, guests[i], off | COPIED);
	}
	/* Data of an unallocated cluster, which must not be read. */
	put_data(data, 5 * q.cluster, NOISE, q.cluster);
	qcow2_end(&q);
}

/* Compressed data. */

#define ROOM (128 * KIB)

/* Compressed clusters without gaps: they share sectors, and some cross a cluster boundary. */
static void make_compressed(const struct job *j)
{
	unsigned char data[64 * KIB], out[ROOM];
	struct qcow2 q;
	uint64_t pos;

	qcow2_begin(&q, j, ".qcow2", j->c->arg);
	pos = qcow2_alloc(&q);
	q.refs[pos / q.cluster] = 0; /* counted by qcow2_compressed */
	for (uint32_t i = 1; i < 100 && i < q.h.size / q.cluster; i++) {
		size_t n;

		data_make(data, i * q.cluster, q.cluster);
		n = q.h.compression ? zstd_compressed(out, ROOM, data, q.cluster)
				    : deflated(out, ROOM, data, q.cluster, -12);
		while (pos + n + 512 > q.next * q.cluster)
			q.refs[qcow2_alloc(&q) / q.cluster] = 0;
		qcow2_compressed(&q, i, pos, out, n);
		expect(j, i * q.cluster, i * q.cluster, q.cluster);
		pos += n;
	}
	file_resize(q.fd, pos); /* inside the last sector of compressed data */
	qcow2_end(&q);
}

/* Stores n bytes of compressed data as guest cluster 1; the cluster has the data stream from from
 * on. */
static void finish_compressed(struct qcow2 *q, const void *out, size_t n, uint64_t from)
{
	uint64_t pos = qcow2_alloc(q);

	q->refs[pos / q->cluster] = 0;
	qcow2_compressed(q, 1, pos, out, n);
	expect(q->j, q->cluster, from, q->cluster);
	qcow2_end(q);
}

/* The decompressed data is longer than the cluster; the excess is ignored. */
static void make_deflate_long(const struct job *j)
{
	unsigned char data[3000], out[ROOM];
	struct qcow2 q;

	qcow2_begin(&q, j, ".qcow2", &v3_512);
	data_make(data, 0, sizeof data);
	deflated(out, ROOM, data, sizeof data, -15);
	finish_compressed(&q, out, q.cluster, 0);
}

/* Matches at a distance that exceeds QEMU's window. */
static void make_deflate_window(const struct job *j)
{
	unsigned char data[64 * KIB], out[ROOM];
	struct qcow2 q;
	size_t n;

	qcow2_begin(&q, j, ".qcow2", &v3_64k);
	data_make(data, NOISE, 32 * KIB - 512);
	memcpy(data + 32 * KIB - 512, data, 32 * KIB - 512);
	memset(data + 64 * KIB - 1024, 0, 1024);
	n = deflated(out, ROOM, data, sizeof data, -15);
	finish_compressed(&q, out, n, NOISE);
	expect(j, q.cluster + 32 * KIB - 512, NOISE, 32 * KIB - 512);
	expect_zero(j, 2 * q.cluster - 1024, 1024);
}

static size_t put_skippable(unsigned char *out)
{
	memcpy(out, "\x50\x2a\x4d\x18\x05\0\0\0hello", 13);
	return 13;
}

/* A skippable frame, the cluster in two frames, then bytes of other data. */
static void make_zstd_frames(const struct job *j)
{
	unsigned char data[64 * KIB], out[ROOM];
	struct qcow2 q;
	size_t n;

	qcow2_begin(&q, j, ".qcow2", &zstd);
	data_make(data, MIB, sizeof data);
	n = put_skippable(out);
	n += zstd_compressed(out + n, ROOM - n, data, 30000);
	n += zstd_compressed(out + n, ROOM - n, data + 30000, sizeof data - 30000);
	memset(out + n, 'x', 700);
	finish_compressed(&q, out, n + 700, MIB);
}

/* Subclusters. */

#define ZEROES(first, n) ((((uint64_t)1 << (n)) - 1) << (first) << 32)
#define STORED(first, n) ((((uint64_t)1 << (n)) - 1) << (first))

static void expect_subclusters(const struct qcow2 *q, uint32_t guest, unsigned first, unsigned n)
{
	uint64_t unit = q->cluster / 32, off = guest * q->cluster + first * unit;

	expect(q->j, off, off, n * unit);
}

/* A cluster with data, zeroes and subclusters of the backing file; a zero cluster; an allocated
 * cluster without allocated subclusters. */
static void make_extended(const struct job *j)
{
	struct qcow2 q;
	uint64_t pos;

	qcow2_begin(&q, j, ".qcow2", &extended);
	qcow2_backing(&q, "raw", "qcow2-extended-base.raw");
	put_data(file_new(j, "-base.raw"), 0, BASE_DATA, extended.size);
	qcow2_data(&q, 1);
	expect(j, 0, BASE_DATA, extended.size);
	qcow2_bitmap(&q, 1, STORED(1, 3) | STORED(31, 1) | ZEROES(4, 9) | ZEROES(0, 1));
	expect_subclusters(&q, 1, 1, 3);
	expect_subclusters(&q, 1, 31, 1);
	expect_zero(j, q.cluster, 512);
	expect_zero(j, q.cluster + 4 * 512, 9 * 512);
	qcow2_bitmap(&q, 2, ZEROES(0, 32));
	expect_zero(j, 2 * q.cluster, q.cluster);
	pos = qcow2_alloc(&q);
	put_data(q.fd, pos, NOISE, q.cluster);
	qcow2_entry(&q, 3, pos | COPIED);
	qcow2_data(&q, 5);
	qcow2_bitmap(&q, 5, STORED(0, 32));
	qcow2_end(&q);
}

#define PLAIN(name_, header_)                                                                      \
	{                                                                                          \
		.name = "qcow2-" name_, .make = make_plain, .arg = &header_                        \
	}
#define SPECIAL(name_, make_, header_)                                                             \
	{                                                                                          \
		.name = "qcow2-" name_, .make = make_, .arg = header_                              \
	}
#define HARMLESS(name_, pos_, width_, value_)                                                      \
	{                                                                                          \
		.name = "qcow2-" name_, .make = make_plain, .arg = &v3_512,                        \
		PATCH(pos_, width_, value_)                                                        \
	}

static const struct image_case cases[] = {
	PLAIN("v2", v2_512), PLAIN("v3", v3_512), PLAIN("short-header", v3_104),
	PLAIN("clusters-64k", v3_64k), PLAIN("clusters-2m", v3_2m), PLAIN("odd-size", odd_size),
	PLAIN("empty", empty), SPECIAL("extensions", make_extensions, NULL),
	SPECIAL("zero", make_zero, NULL), SPECIAL("cut-data", make_cut_data, NULL),
	SPECIAL("cut-table", make_cut_table, NULL), SPECIAL("shared", make_shared, NULL),
	SPECIAL("short-base", make_short_base, &v3_512),
	SPECIAL("short-base-v2", make_short_base, &v2_512),
	SPECIAL("odd-base", make_odd_base, &v3_512),
	SPECIAL("odd-base-64k", make_odd_base, &v3_64k),
	SPECIAL("long-base", make_long_base, &v3_512), SPECIAL("data-file", make_data_file, NULL),
	SPECIAL("deflate-512", make_compressed, &v3_512),
	SPECIAL("deflate-512-v2", make_compressed, &v2_512),
	SPECIAL("deflate-64k", make_compressed, &v3_64k),
	SPECIAL("deflate-long", make_deflate_long, NULL),
	SPECIAL("deflate-window", make_deflate_window, NULL),
	SPECIAL("zstd", make_compressed, &zstd), SPECIAL("zstd-frames", make_zstd_frames, NULL),
	SPECIAL("extended", make_extended, NULL), HARMLESS("dirty", 79, 1, 1),
	HARMLESS("corrupt", 79, 1, 2), HARMLESS("compatible-unknown", 80, 8, 0x8000000000000020),
	HARMLESS("autoclear-unknown", 88, 8, 0x8000000000000020),
	HARMLESS("bitmaps-without-extension", 95, 1, 1), HARMLESS("refcount-bits-1", 96, 4, 0),
	HARMLESS("refcount-bits-64", 96, 4, 6), HARMLESS("reftable-0", 48, 8, 0),
	HARMLESS("reftable-unaligned", 48, 8, 513),
	HARMLESS("reftable-far", 48, 8, 0xffffffffffff0000), HARMLESS("reftable-none", 56, 4, 0),
	HARMLESS("reftable-long", 56, 4, 0xffffffff),
	HARMLESS("l1-longer", 36, 4, 60), /* the rest of the table's cluster is zero */
};

const struct image_set qcow2_good_images = {"qcow2", cases, N_ELEMENTS(cases)};
