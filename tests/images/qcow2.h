/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2.h - functions to build a qcow2 image cluster by cluster.
 *
 * Clusters 0 to 3 are the header, the refcount table, its only block and the L1 table; then follow
 * all L2 tables, then the clusters that the builder allocates.
 */
#ifndef MKIMAGE_QCOW2_H
#define MKIMAGE_QCOW2_H

#include <stddef.h>
#include <stdint.h>

struct job;

#define COPIED     ((uint64_t)1 << 63)
#define COMPRESSED ((uint64_t)1 << 62)
#define ZERO_FLAG  ((uint64_t)1)

#define INCOMPATIBLE_DATA_FILE   0x4u
#define INCOMPATIBLE_COMPRESSION 0x8u
#define INCOMPATIBLE_EXTENDED_L2 0x10u

#define EXTENSION_FORMAT    0xe2792acau
#define EXTENSION_DATA_FILE 0x44415441u

#define MAX_CLUSTERS 256u

struct qcow2_header {
	uint32_t version, bits; /* of a cluster */
	uint64_t size;
	uint32_t length; /* of the header */
	uint64_t incompatible;
	uint8_t compression;
};

struct qcow2 {
	const struct job *j;
	int fd;
	struct qcow2_header h;
	uint64_t cluster;            /* bytes */
	uint32_t next;               /* the first free cluster */
	uint16_t refs[MAX_CLUSTERS]; /* refcounts of host clusters */
	uint32_t extensions;         /* position of the next one */
};

/* Creates NAMESUFFIX with a header and empty tables. */
void qcow2_begin(
	struct qcow2 *q, const struct job *j, const char *suffix, const struct qcow2_header *h);

/* Writes the refcounts and the patch of the case. */
void qcow2_end(struct qcow2 *q);

void qcow2_extension(struct qcow2 *q, uint32_t type, const char *text);
void qcow2_backing(struct qcow2 *q, const char *format, const char *name);

/* Allocates a host cluster and returns its position. */
uint64_t qcow2_alloc(struct qcow2 *q);

/* Set the L2 entry of a guest cluster, and the bitmap of an extended entry. */
void qcow2_entry(struct qcow2 *q, uint32_t guest, uint64_t entry);
void qcow2_bitmap(struct qcow2 *q, uint32_t guest, uint64_t bitmap);

/* Allocates a cluster for guest and fills it with the data stream from guest * cluster on. */
uint64_t qcow2_data(struct qcow2 *q, uint32_t guest);

/* Stores compressed data of a guest cluster at pos, and adds a reference to its host clusters. */
void qcow2_compressed(struct qcow2 *q, uint32_t guest, uint64_t pos, const void *data, size_t len);
uint64_t qcow2_compressed_entry(const struct qcow2 *q, uint64_t pos, size_t len);

#endif
