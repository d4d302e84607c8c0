/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2.h - valid qcow2 images in memory, for tests that then change entries and bytes.  The
 * layout is always the same, one cluster per structure. */
#ifndef UNIT_BUILD_QCOW2_H
#define UNIT_BUILD_QCOW2_H

#include <stddef.h>
#include <stdint.h>

enum {
	AT_HEADER,
	AT_REFTABLE,
	AT_REFBLOCK,
	AT_L1,
	AT_L2,
	AT_SNAPSHOTS, /* the snapshot table, if any */
	AT_L1_COPY,   /* L1 table of the snapshots, empty */
	AT_DATA,      /* the first of DATA_CLUSTERS */
	DATA_CLUSTERS = 8,
	ALL_CLUSTERS = AT_DATA + DATA_CLUSTERS,
};

/* Positions of header fields. */
enum {
	AT_VERSION = 4,
	AT_BACKING_POS = 8,
	AT_BACKING_LEN = 16,
	AT_CLUSTER_BITS = 20,
	AT_SIZE = 24,
	AT_CRYPT_METHOD = 32,
	AT_L1_SIZE = 36,
	AT_L1_POS = 40,
	AT_REFTABLE_POS = 48,
	AT_REFTABLE_CLUSTERS = 56,
	AT_NSNAPSHOTS = 60,
	AT_SNAPSHOTS_POS = 64,
	AT_INCOMPATIBLE = 72,
	AT_COMPATIBLE = 80,
	AT_AUTOCLEAR = 88,
	AT_REFCOUNT_ORDER = 96,
	AT_HEADER_LENGTH = 100,
	AT_COMPRESSION = 104,
};

#define ENTRY_COPIED     (UINT64_C(1) << 63)
#define ENTRY_COMPRESSED (UINT64_C(1) << 62)
#define ENTRY_ZERO       UINT64_C(1)

struct build_qcow2 {
	unsigned char *bytes;
	size_t len;
	unsigned cluster_bits;
	unsigned entry_size;   /* size of an L2 entry */
	size_t extensions_end; /* position of the next header extension */
	size_t snapshots_end;  /* position of the next entry of the snapshot table */
};

struct build_snapshot {
	const char *id, *name;
	uint64_t l1_pos;
	uint32_t l1_size;
	uint32_t extra_len; /* size of the extra data field, 0, 8 or 16, or an invalid value */
	uint64_t vmstate_size, disk_size;
};

/* Makes an image whose disk is exactly the range of its one L2 table.  incompatible is the
 * header's field; data cluster i is filled with the byte 0x10 + i. */
void build_qcow2_new(
	struct build_qcow2 *b, unsigned version, unsigned cluster_bits, uint64_t incompatible);
void build_qcow2_free(struct build_qcow2 *b);

/* Completes the image so that a check finds no problem; its disk has two data clusters. */
void build_qcow2_complete(struct build_qcow2 *b);

/* Sets a refcount; refcounts have 16 bits. */
void build_qcow2_refcount(struct build_qcow2 *b, unsigned cluster, uint16_t count);

void build_qcow2_field(struct build_qcow2 *b, size_t pos, unsigned width, uint64_t v);
void build_qcow2_put16(struct build_qcow2 *b, size_t pos, uint16_t v);
void build_qcow2_put32(struct build_qcow2 *b, size_t pos, uint32_t v);
void build_qcow2_put64(struct build_qcow2 *b, size_t pos, uint64_t v);
void build_qcow2_put(struct build_qcow2 *b, size_t pos, const void *data, size_t len);

/* The position of a cluster of the enum above; AT_DATA + i is data cluster i. */
uint64_t build_qcow2_at(const struct build_qcow2 *b, unsigned cluster);

/* The number of bytes of the disk that the L2 table maps. */
uint64_t build_qcow2_span(const struct build_qcow2 *b);

void build_qcow2_l1(struct build_qcow2 *b, unsigned i, uint64_t entry);
void build_qcow2_l2(struct build_qcow2 *b, unsigned i, uint64_t entry);
void build_qcow2_bitmap(struct build_qcow2 *b, unsigned i, uint32_t zero, uint32_t stored);

void build_qcow2_extension(struct build_qcow2 *b, uint32_t type, const void *data, size_t len);
void build_qcow2_backing(struct build_qcow2 *b, const char *name, const char *format);
void build_qcow2_snapshot(struct build_qcow2 *b, const struct build_snapshot *s);

/* The L2 entry of a compressed cluster with len bytes of compressed data at pos. */
uint64_t build_qcow2_compressed(const struct build_qcow2 *b, uint64_t pos, size_t len);

#endif
