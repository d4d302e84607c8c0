/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2-bad.c - qcow2 images with one fault: in the header, so that the image must be refused, or
 * in a table entry, so that exactly the data that it maps must fail. */
#include <string.h>

#include "mkimage.h"
#include "qcow2.h"

/* Positions in the image that most cases damage. */
#define CLUSTER    512u
#define REFTABLE   (1 * CLUSTER)
#define REFBLOCK   (2 * CLUSTER)
#define L1         (3 * CLUSTER)
#define L2         (4 * CLUSTER)
#define TABLE_SPAN (CLUSTER / 8 * CLUSTER) /* bytes of disk under one L2 table */

static const struct qcow2_header v2 = {2, 9, 100 * KIB, 72, 0, 0};
static const struct qcow2_header v3 = {3, 9, 100 * KIB, 112, 0, 0};
static const struct qcow2_header v3_4k = {3, 12, 100 * KIB, 112, 0, 0};
static const struct qcow2_header zstd = {3, 9, 100 * KIB, 112, INCOMPATIBLE_COMPRESSION, 1};
static const struct qcow2_header extended = {3, 14, 7 * 16 * KIB, 112, INCOMPATIBLE_EXTENDED_L2, 0};
static const struct qcow2_header external = {3, 16, 640 * KIB, 112, INCOMPATIBLE_DATA_FILE, 0};

static void put_clusters(struct qcow2 *q)
{
	qcow2_data(q, 1);
	qcow2_data(q, 0);
	qcow2_data(q, 6);
	if (q->h.bits == 9)
		qcow2_data(q, 199);
}

static void make_plain(const struct job *j)
{
	struct qcow2 q;

	qcow2_begin(&q, j, ".qcow2", j->c->arg);
	put_clusters(&q);
	qcow2_end(&q);
}

static void make_cut(const struct job *j)
{
	struct qcow2 q;

	qcow2_begin(&q, j, ".qcow2", &v3);
	put_clusters(&q);
	qcow2_end(&q);
	file_resize(q.fd, j->c->n);
}

/* Replaces guest cluster 0 by len bytes of compressed data at the end of the file. */
static void put_compressed(struct qcow2 *q, const void *data, size_t len)
{
	uint64_t pos = qcow2_alloc(q);

	while (q->next * q->cluster < pos + len)
		qcow2_alloc(q);
	qcow2_compressed(q, 0, pos, data, len);
}

static void make_compressed(
	const struct job *j, const struct qcow2_header *h, const void *data, size_t len)
{
	struct qcow2 q;

	qcow2_begin(&q, j, ".qcow2", h);
	put_clusters(&q);
	put_compressed(&q, data, len);
	qcow2_end(&q);
}

static void make_garbage(const struct job *j)
{
	unsigned char data[CLUSTER];

	data_make(data, NOISE, sizeof data);
	data[0] = 0xff; /* for deflate, a reserved block type */
	make_compressed(j, j->c->arg, data, sizeof data);
}

/* The compressed data has n bytes. */
static void make_deflate(const struct job *j)
{
	unsigned char data[CLUSTER], out[2 * CLUSTER] = {0};
	/* n = CLUSTER: the data has a zlib header, which is not allowed. */
	int window = j->c->n == CLUSTER ? 12 : -12;

	data_make(data, MIB, sizeof data);
	make_compressed(j, &v3, out, deflated(out, sizeof out, data, j->c->n, window));
}

static void make_zstd(const struct job *j)
{
	unsigned char data[2 * CLUSTER], out[4 * CLUSTER];

	data_make(data, MIB, sizeof data);
	make_compressed(j, &zstd, out, zstd_compressed(out, sizeof out, data, j->c->n));
}

/* A raw block of a cluster in a frame whose header requires a window of 2 GiB. */
static void make_zstd_window(const struct job *j)
{
	unsigned char out[9 + CLUSTER] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3};
	uint32_t block = CLUSTER << 3 | 1;

	memcpy(out + 6, (unsigned char[]){block, block >> 8, block >> 16}, 3);
	data_make(out + 9, MIB, CLUSTER);
	make_compressed(j, &zstd, out, sizeof out);
}

/* The frame lacks its last 100 bytes. */
static void make_zstd_cut(const struct job *j)
{
	unsigned char data[CLUSTER], out[4 * CLUSTER] = {0};
	size_t n;

	data_make(data, NOISE, sizeof data);
	n = zstd_compressed(out, sizeof out, data, sizeof data);
	memset(out + n - 100, 0, 100);
	make_compressed(j, &zstd, out, CLUSTER / 2);
}

/* An extended L2 entry for cluster 1: arg: allocated if not NULL; n: the bitmap. */
static void make_extended(const struct job *j)
{
	struct qcow2 q;

	qcow2_begin(&q, j, ".qcow2", &extended);
	qcow2_data(&q, 0);
	qcow2_bitmap(&q, 0, 0xffffffff);
	qcow2_data(&q, 1);
	if (!j->c->arg)
		qcow2_entry(&q, 1, 0);
	qcow2_bitmap(&q, 1, j->c->n);
	qcow2_end(&q);
}

/* In a data file, a cluster is at its guest offset; the entry of cluster 1, n, is not. */
static void make_external(const struct job *j)
{
	struct qcow2 q;
	int data;

	qcow2_begin(&q, j, ".qcow2", &external);
	if (j->c->arg)
		qcow2_extension(&q, EXTENSION_DATA_FILE, j->c->arg);
	data = file_new(j, "-data");
	put_data(data, 0, 0, external.size);
	expect(j, 0, 0, q.cluster);
	qcow2_entry(&q, 0, COPIED);
	qcow2_entry(&q, 1, j->c->n);
	qcow2_end(&q);
}

/* arg: a backing file that must not be opened, or is missing. */
static void make_backed(const struct job *j)
{
	struct qcow2 q;

	qcow2_begin(&q, j, ".qcow2", &v3);
	qcow2_backing(&q, "raw", j->c->arg);
	put_clusters(&q);
	qcow2_end(&q);
}

#define REFUSE(name_, pos_, width_, value_)                                                        \
	{                                                                                          \
		.name = "qcow2-" name_, .verdict = REFUSED, .make = make_plain, .arg = &v3,        \
		PATCH(pos_, width_, value_)                                                        \
	}
#define CUT_TO(name_, n_)                                                                          \
	{                                                                                          \
		.name = "qcow2-" name_, .verdict = REFUSED, .make = make_cut, .n = n_              \
	}
#define BACKED(name_, backing_)                                                                    \
	{                                                                                          \
		.name = "qcow2-" name_, .verdict = REFUSED, .make = make_backed, .arg = backing_   \
	}
#define BAD_TABLE(name_, value_)                                                                   \
	{                                                                                          \
		.name = "qcow2-l1-" name_, .verdict = READERROR, .bad = {0, TABLE_SPAN},           \
		.make = make_plain, .arg = &v3, PATCH(L1, 8, value_)                               \
	}
#define BAD_ENTRY(name_, value_)                                                                   \
	{                                                                                          \
		.name = "qcow2-l2-" name_, .verdict = READERROR, .bad = {0, CLUSTER},              \
		.make = make_plain, .arg = &v3, PATCH(L2, 8, value_)                               \
	}
#define BAD_DATA(name_, make_, arg_, n_)                                                           \
	{                                                                                          \
		.name = "qcow2-" name_, .verdict = READERROR, .bad = {0, CLUSTER}, .make = make_,  \
		.arg = arg_, .n = n_                                                               \
	}
#define BAD_BITMAP(name_, place_, bitmap_)                                                         \
	{                                                                                          \
		.name = "qcow2-extended-" name_, .verdict = READERROR,                             \
		.bad = {16 * KIB, 16 * KIB}, .make = make_extended, .arg = place_, .n = bitmap_    \
	}
#define BAD_EXTERNAL(name_, entry_)                                                                \
	{                                                                                          \
		.name = "qcow2-data-file-" name_, .verdict = READERROR,                            \
		.bad = {64 * KIB, 64 * KIB}, .make = make_external,                                \
		.arg = "qcow2-data-file-" name_ "-data", .n = entry_                               \
	}

/* The file ends inside the only L2 table. */
static void make_cut_table(const struct job *j)
{
	struct qcow2 q;

	qcow2_begin(&q, j, ".qcow2", &v3_4k);
	qcow2_end(&q);
	file_resize(q.fd, 4 * 4096 + 2048);
}

static const struct image_case cases[] = {
	BAD_TABLE("reserved-0", L2 | COPIED | 1),
	BAD_TABLE("reserved-8", L2 | COPIED | 0x100),
	BAD_TABLE("reserved-56", L2 | COPIED | (uint64_t)1 << 56),
	BAD_TABLE("reserved-62", L2 | COPIED | (uint64_t)1 << 62),
	BAD_TABLE("header", COPIED),
	BAD_TABLE("reftable", REFTABLE | COPIED),
	BAD_TABLE("refblock", REFBLOCK | COPIED),
	BAD_TABLE("itself", L1 | COPIED),
	BAD_TABLE("past-end", 0x100000 | COPIED),
	BAD_TABLE("far", 0x00fffffffffffe00),
	{.name = "qcow2-l1-unaligned",
		.verdict = READERROR,
		.bad = {0, 100 * KIB},
		.make = make_plain,
		.arg = &v3_4k,
		.patch = {3 * 4096, 8, (4 * 4096 + 512) | COPIED}},

	{.name = "qcow2-l1-table-cut",
		.verdict = READERROR,
		.bad = {0, 100 * KIB},
		.make = make_cut_table},

	BAD_ENTRY("reserved-1", 9 * CLUSTER | COPIED | 2),
	BAD_ENTRY("reserved-8", 9 * CLUSTER | COPIED | 0x100),
	BAD_ENTRY("reserved-56", 9 * CLUSTER | COPIED | (uint64_t)1 << 56),
	BAD_ENTRY("reserved-61", 9 * CLUSTER | COPIED | (uint64_t)1 << 61),
	BAD_ENTRY("header", COPIED),
	BAD_ENTRY("reftable", REFTABLE | COPIED),
	BAD_ENTRY("refblock", REFBLOCK | COPIED),
	BAD_ENTRY("l1", L1 | COPIED),
	BAD_ENTRY("past-end", 0x100000 | COPIED),
	BAD_ENTRY("far", 0x00fffffffffffe00),
	BAD_ENTRY("zero-reserved", ZERO_FLAG | 4),
	BAD_ENTRY("compressed-header", COMPRESSED),
	BAD_ENTRY("compressed-l1", COMPRESSED | (L1 + 3)),
	BAD_ENTRY("compressed-past-end", COMPRESSED | 0x100000),
	BAD_ENTRY("compressed-far", COMPRESSED | (((uint64_t)1 << 56) - 1)),
	BAD_ENTRY("compressed-all-ones", UINT64_MAX),
	{.name = "qcow2-l2-unaligned",
		.verdict = READERROR,
		.bad = {0, 4096},
		.make = make_plain,
		.arg = &v3_4k,
		.patch = {4 * 4096, 8, (6 * 4096 + 512) | COPIED}},
	{.name = "qcow2-l2-zero-in-v2",
		.verdict = READERROR,
		.bad = {0, CLUSTER},
		.make = make_plain,
		.arg = &v2,
		.patch = {L2, 8, ZERO_FLAG}},

	BAD_DATA("deflate-garbage", make_garbage, &v3, 0),
	BAD_DATA("deflate-short", make_deflate, NULL, CLUSTER - 1),
	BAD_DATA("deflate-zlib", make_deflate, NULL, CLUSTER),
	BAD_DATA("zstd-garbage", make_garbage, &zstd, 0),
	BAD_DATA("zstd-short", make_zstd, NULL, CLUSTER - 1),
	BAD_DATA("zstd-long", make_zstd, NULL, CLUSTER + 1),
	BAD_DATA("zstd-cut", make_zstd_cut, NULL, 0),
	BAD_DATA("zstd-window", make_zstd_window, NULL, 0),

	BAD_BITMAP("both", "", 0x0000000100000001),
	BAD_BITMAP("both-last", "", 0x80000000ffffffff),
	BAD_BITMAP("nowhere", NULL, 1),

	BAD_EXTERNAL("elsewhere", 128 * KIB | COPIED),
	BAD_EXTERNAL("compressed", COMPRESSED | 64 * KIB),

	CUT_TO("empty-file", 0),
	CUT_TO("only-magic", 4),
	CUT_TO("header-cut", 71),
	CUT_TO("header-v3-cut", 103),
	CUT_TO("l1-missing", L1),
	REFUSE("magic", 0, 4, 0x514649fa),
	REFUSE("version-0", 4, 4, 0),
	REFUSE("version-1", 4, 4, 1),
	REFUSE("version-4", 4, 4, 4),
	REFUSE("version-all-ones", 4, 4, 0xffffffff),
	REFUSE("backing-far", 8, 8, UINT64_MAX),
	REFUSE("backing-past-cluster", 8, 8, CLUSTER + 1),
	REFUSE("backing-empty", 8, 8, 128),
	REFUSE("cluster-bits-0", 20, 4, 0),
	REFUSE("cluster-bits-8", 20, 4, 8),
	REFUSE("cluster-bits-22", 20, 4, 22),
	REFUSE("cluster-bits-31", 20, 4, 31),
	REFUSE("cluster-bits-40", 20, 4, 40),
	REFUSE("cluster-bits-63", 20, 4, 63),
	REFUSE("cluster-bits-all-ones", 20, 4, 0xffffffff),
	REFUSE("size-past-l1", 24, 8, 4 * TABLE_SPAN + 1),
	REFUSE("size-2-50", 24, 8, (uint64_t)1 << 50),
	REFUSE("size-2-63", 24, 8, INT64_MAX),
	REFUSE("size-all-ones", 24, 8, UINT64_MAX),
	REFUSE("aes", 32, 4, 1),
	REFUSE("luks", 32, 4, 2),
	REFUSE("crypt-99", 32, 4, 99),
	REFUSE("l1-entries-0", 36, 4, 0),
	REFUSE("l1-entries-past-end", 36, 4, 4194304),
	REFUSE("l1-entries-too-many", 36, 4, 4194305),
	REFUSE("l1-entries-2-31", 36, 4, 0x7fffffff),
	REFUSE("l1-entries-all-ones", 36, 4, 0xffffffff),
	REFUSE("l1-at-0", 40, 8, 0),
	REFUSE("l1-at-unaligned", 40, 8, L1 + 8),
	REFUSE("l1-at-far", 40, 8, 0x7fffffffffff0000),
	REFUSE("l1-at-all-ones", 40, 8, UINT64_MAX),
	REFUSE("snapshots-65536", 60, 4, 65536),
	REFUSE("snapshots-65537", 60, 4, 65537),
	REFUSE("snapshots-all-ones", 60, 4, 0xffffffff),
	REFUSE("snapshots-unaligned", 64, 8, 2),
	REFUSE("incompatible-5", 72, 8, 1 << 5),
	REFUSE("incompatible-62", 72, 8, (uint64_t)1 << 62),
	REFUSE("data-file-without-name", 72, 8, INCOMPATIBLE_DATA_FILE),
	REFUSE("compression-bit-alone", 72, 8, INCOMPATIBLE_COMPRESSION),
	REFUSE("extended-l2-narrow", 72, 8, INCOMPATIBLE_EXTENDED_L2),
	REFUSE("compression-1-without-bit", 104, 1, 1),
	REFUSE("compression-2", 104, 1, 2),
	REFUSE("refcount-order-7", 96, 4, 7),
	REFUSE("refcount-order-31", 96, 4, 31),
	REFUSE("refcount-order-all-ones", 96, 4, 0xffffffff),
	REFUSE("header-length-0", 100, 4, 0),
	REFUSE("header-length-100", 100, 4, 100),
	REFUSE("header-length-past-cluster", 100, 4, CLUSTER + 8),
	REFUSE("header-length-2-31", 100, 4, 0x7fffffff),
	REFUSE("header-length-all-ones", 100, 4, 0xffffffff),
	REFUSE("extension-past-cluster", 112, 8, 0x1234567800000189),
	REFUSE("extension-wraps", 112, 8, 0x12345678fffffff8),
	REFUSE("extension-all-ones", 112, 8, 0x12345678ffffffff),
	REFUSE("extension-format-long", 112, 8, 0xe2792aca00000010),
	REFUSE("extension-luks", 112, 8, 0x0537be7700000010),
	BACKED("backing-not-there", "qcow2-backing-not-here"),
	BACKED("backing-absolute", "/etc/passwd"),
	BACKED("backing-parent-directory", "../../../../../../../etc/passwd"),
	BACKED("backing-device", "/dev/zero"),
	BACKED("backing-directory", "."),
	BACKED("backing-itself", "qcow2-backing-itself.qcow2"),
	BACKED("backing-json",
		"json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":"
		"\"/etc/passwd\"}}"),
	BACKED("backing-nbd", "nbd://127.0.0.1:10809/x"),
	BACKED("backing-fat", "fat:/etc"),
	{.name = "qcow2-data-file-absolute",
		.verdict = REFUSED,
		.make = make_external,
		.arg = "/etc/passwd"},
	{.name = "qcow2-data-file-itself",
		.verdict = REFUSED,
		.make = make_external,
		.arg = "qcow2-data-file-itself.qcow2"},
};

const struct image_set qcow2_bad_images = {"qcow2", cases, N_ELEMENTS(cases)};
