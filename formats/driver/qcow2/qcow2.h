/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2.h - the qcow2 driver: an opened image, its geometry and the ranges of its metadata.
 *
 * driver.c opens images; header.c decodes and encodes the header; map.c maps guest offsets through
 * l1.c and l2.c; snapshot.c has the snapshot table and snapshot-ops.c changes it; refcount.c and
 * alloc.c have the clusters; write.c and compress.c change the disk, resize.c its size, backing.c
 * its backing file, and write-ops.c begins that; walk.c visits all clusters of a state; check.h has
 * the check; create.c makes images, export.c files over other disks.  dirty.c keeps persistent
 * bitmaps up to date, bitmap-ops.c changes them; head.c writes the header anew, amend.c changes the
 * version and, by refcount-width.c, the width of refcounts.
 *
 * A disk is mapped by an L1 table, whose entries point to L2 tables, whose entries point to
 * clusters.  A refcount table points to refcount blocks, which count the references to each
 * cluster of the file.
 */
#ifndef VDISK_DRIVER_QCOW2_QCOW2_H
#define VDISK_DRIVER_QCOW2_QCOW2_H

#include <stdbool.h>
#include <stdint.h>

#include "util/bytes.h"
#include "volume/luks/luks.h"
#include "image/creation.h"
#include "view/view.h"
#include "dirty.h"
#include "header.h"

struct amendment;
struct bitmap_ops;
struct cache;
struct check_report;
struct codec;
struct crypt;
struct export_format;
struct image;
struct io;
struct measured;
struct snapshot_ops;

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
	struct qcow2_dirty dirty;  /* bitmaps of changes of the disk */
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

/* L1 entries that a disk of size bytes needs. */
static inline uint64_t qcow2_l1_needed(const struct qcow2 *q, uint64_t size)
{
	return div_round_up(size, UINT64_C(1) << qcow2_l1_bits(q));
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

/* Entry points that struct format names, each in the file of its name. */
int qcow2_amend(struct image *img, const struct amendment *a, struct err *e);
int qcow2_backing_set(struct image *img, const char *name, const char *format, struct err *e);
/* All of an empty disk is read from the backing file. */
int qcow2_backing_empty(struct image *img, struct err *e);
/* No page of the metadata may be pinned or wait to be written.  An image is clean after all repairs
 * unless the report still has corruptions or check errors. */
int qcow2_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);
int qcow2_create(struct creation *c, struct err *e);
extern const struct create_option qcow2_create_options[];
extern const struct export_format qcow2_export;
int qcow2_measure(
	const struct view *disk, const struct creation *c, struct measured *m, struct err *e);
extern const struct snapshot_ops qcow2_snapshot_ops;
int qcow2_write_ops_start(struct image *img, struct err *e);

extern const struct bitmap_ops qcow2_bitmap_ops;

/* write-ops.c: sets the write operations of the view of the live disk. */
void qcow2_write_ops_set(struct view *v);

#endif
