/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2.h - an opened qcow2 image: its geometry and the ranges of its metadata.
 *
 * A disk is mapped by an L1 table, whose entries point to L2 tables, whose entries point to
 * clusters.  A refcount table points to refcount blocks, which count the references to each
 * cluster of the file.
 */
#ifndef VDISK_DRIVER_QCOW2_QCOW2_H
#define VDISK_DRIVER_QCOW2_QCOW2_H

#include <stdbool.h>
#include <stdint.h>

#include "view/view.h"
#include "driver/common/luks.h"
#include "header.h"

struct cache;
struct codec;
struct crypt;
struct io;

#define QCOW2_ENTRY_SIZE  8u /* bytes of an L1, refcount table or bitmap table entry */
#define QCOW2_SUBCLUSTERS 32

/* A range of whole clusters that hold metadata. */
struct qcow2_range {
	const char *what;
	uint64_t pos, len;
};

enum { QCOW2_RANGES = 6 };

/* An opened image.  It does not change once it is open, except that the sizes and table positions
 * of a writable one change with the request lock held exclusively, or under the meta lock where
 * only writers use them. */
struct qcow2 {
	struct qcow2_header header;
	struct cache *cache;
	struct codec *codec;
	struct io *io;       /* tables and compressed clusters; the image's */
	struct io *data;     /* standard clusters: io, or the external data file */
	struct crypt *crypt; /* of standard clusters, or NULL */
	struct luks luks;    /* when that is LUKS */
	uint32_t cluster_size;
	uint32_t entry_size;   /* bytes of an L2 entry */
	uint32_t entries_bits; /* an L2 table has 1 << entries_bits of them */
	bool external;         /* there is a data file; a cluster lies there at its guest offset */
	bool extended;         /* L2 entries have a bitmap of subclusters */
	bool zero_flag;        /* bit 0 of an L2 entry marks a zero cluster */
	uint64_t size;         /* of the live disk */
	const char *broken;    /* why the live disk cannot be read; NULL: it can */
	bool l1_misplaced;     /* the L1 table cannot be at the position in the header */
	bool data_missing;     /* the external data file was not found */
	struct qcow2_range ranges[QCOW2_RANGES];
	unsigned nranges;
	struct qcow2_alloc *alloc; /* of an image that is being written, or NULL */
};

/* The disk, or the VM state, of a state. */
struct qcow2_view {
	struct view view;
	struct qcow2 *q;
	uint64_t start; /* guest offset of the view's first byte */
	uint64_t l1_pos;
	uint32_t l1_size;
};

/* Sets everything that follows from q->header, for an image in io. */
void qcow2_init(struct qcow2 *q, struct io *io, struct cache *cache, struct codec *codec);

/* Sets the range of the metadata called what, where no data may lie; replaces the former one.
 * Needs the request lock exclusively once the image is open. */
void qcow2_range_set(struct qcow2 *q, const char *what, uint64_t pos, uint64_t len);

/* The first range of metadata that [pos, pos+len) overlaps, or NULL. */
const struct qcow2_range *qcow2_range_hit(const struct qcow2 *q, uint64_t pos, uint64_t len);

/* log2 of the bytes of disk that an L1 entry, and so a whole L2 table, maps. */
static inline unsigned qcow2_l1_bits(const struct qcow2 *q)
{
	return q->header.cluster_bits + q->entries_bits;
}

/* log2 of the refcounts in a refcount block. */
static inline unsigned qcow2_block_bits(const struct qcow2 *q)
{
	return q->header.cluster_bits + 3 - q->header.refcount_order;
}

/* The offset of off in its cluster; 0: it is aligned. */
static inline uint64_t qcow2_in_cluster(const struct qcow2 *q, uint64_t off)
{
	return off & (q->cluster_size - 1);
}

/* The number of clusters that [off, off+len) touches. */
static inline uint64_t qcow2_clusters_of(const struct qcow2 *q, uint64_t off, uint64_t len)
{
	unsigned bits = q->header.cluster_bits;

	return ((off + len - 1) >> bits) - (off >> bits) + 1;
}

/* Does an unallocated cluster at off read as zeroes? */
static inline bool qcow2_zero_below(const struct qcow2_view *v, uint64_t off)
{
	return !v->view.below || off >= v->view.below->size;
}

#endif
