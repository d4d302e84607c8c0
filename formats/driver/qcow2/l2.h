/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* l2.h - L2 tables and their entries. */
#ifndef VDISK_DRIVER_QCOW2_L2_H
#define VDISK_DRIVER_QCOW2_L2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/meta.h"
#include "qcow2.h"
#include "refcount.h"

struct err;
struct qcow2_alloc;

#define QCOW2_COMPRESSED  (UINT64_C(1) << 62)
#define QCOW2_L2_RESERVED UINT64_C(0x3f000000000001fe) /* of an entry of a standard cluster */
#define QCOW2_ZERO        UINT64_C(1)

enum qcow2_l2_kind {
	QCOW2_L2_UNALLOCATED,
	QCOW2_L2_ZERO, /* without a cluster */
	QCOW2_L2_ZERO_ALLOCATED,
	QCOW2_L2_DATA,
	QCOW2_L2_COMPRESSED,
};

/* The kind of an L2 entry, whatever else may be wrong with it. */
enum qcow2_l2_kind qcow2_l2_kind(const struct qcow2 *q, uint64_t entry);

/* Has the entry a cluster of its own, DATA or ZERO_ALLOCATED? */
bool qcow2_l2_has_cluster(const struct qcow2 *q, uint64_t entry);

/* The subcluster bitmap of the entry at p; 0 without extended L2 entries. */
uint64_t qcow2_l2_bitmap(const struct qcow2 *q, const unsigned char *p);

/* Is it a zero cluster at a position that is not aligned? */
bool qcow2_l2_is_misplaced_zero(const struct qcow2 *q, uint64_t entry, uint64_t bitmap);

/* The position of a compressed cluster.  Its length is in whole sectors, and so an upper bound:
 * the rest of the last sector may belong to others. */
uint64_t qcow2_l2_compressed_range(const struct qcow2 *q, uint64_t entry, uint64_t *len);

/* The L2 entry of a compressed cluster of len bytes at pos.  False: it cannot lie there. */
bool qcow2_l2_compressed_entry(const struct qcow2 *q, uint64_t pos, uint64_t len, uint64_t *entry);

/* The clusters of the image's file that an entry refers to; n is 0 for none. */
struct qcow2_clusters qcow2_l2_clusters(const struct qcow2 *q, uint64_t entry);

/* Finds the L2 table for guest offset off for a change: makes one, or copies one that is shared. */
int qcow2_l2_own(struct qcow2_view *v, uint64_t off, uint64_t *table, struct err *e);

/* Entries in one page of a table. */
struct qcow2_l2_entries {
	uint64_t pos;
	size_t n;
	unsigned char raw[META_PAGE];
};

/* Reads the entries for off and after, max at most. */
int qcow2_l2_read(const struct qcow2 *q, uint64_t table, uint64_t off, uint64_t max,
	struct qcow2_l2_entries *t, struct err *e);

/* Does the live disk own the cluster of the entry at p, so that it may be overwritten? */
int qcow2_l2_is_owned(const struct qcow2 *q, const unsigned char *p, bool *owned, struct err *e);

/* Drops the clusters that the entry at p refers to.  Needs qcow2_alloc_prepare for one call. */
void qcow2_l2_drop_entry(struct qcow2_alloc *a, const unsigned char *p);

/* Drops the clusters of all entries of a table from that for off on, and with clear the
 * entries as well. */
int qcow2_l2_drop_entries(
	const struct qcow2 *q, uint64_t table, uint64_t off, bool clear, struct err *e);

/* Drops a whole table and the clusters of its entries. */
int qcow2_l2_drop_table(const struct qcow2 *q, uint64_t table, struct err *e);

#endif
