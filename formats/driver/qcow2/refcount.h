/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refcount.h - refcounts of an image that is being written: the refcount table, refcount blocks,
 * and the counts in them.
 *
 * On disk a refcount is never less than the number of references to its cluster.  So a cluster is
 * counted before a table points to it, and counted down once it is durable that none does; until
 * then its refcount keeps it from being allocated again.
 *
 * Refcounts are always kept, also in an image with lazy refcounts: writing them costs no sync that
 * a flush would not need for the data as well.
 *
 * The meta lock is held, except for qcow2_refcount_is_one, which readers call.
 */
#ifndef VDISK_DRIVER_QCOW2_REFCOUNT_H
#define VDISK_DRIVER_QCOW2_REFCOUNT_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct qcow2;
struct qcow2_alloc;

/* Clusters, by number. */
struct qcow2_clusters {
	uint64_t first, n;
};

/* The refcount table.  Readers may use the one before it until the request lock is held
 * exclusively. */
struct qcow2_reftable {
	uint64_t pos;
	uint64_t entries;
	struct qcow2_reftable *before;
};

/* Refcount number i of those that begin at p. */
uint64_t qcow2_refcount_load(const struct qcow2 *q, const unsigned char *p, uint64_t i);
void qcow2_refcount_store(const struct qcow2 *q, unsigned char *p, uint64_t i, uint64_t count);

/* The largest value of a refcount. */
uint64_t qcow2_refcount_max(const struct qcow2 *q);

/* The refcount of cluster number first; *n: how many clusters from there on have the same, max at
 * most, as far as one page of a refcount block shows. */
int qcow2_refcount_get(const struct qcow2_alloc *a, uint64_t first, uint64_t max, uint64_t *count,
	uint64_t *n, struct err *e);

/* Is the refcount of each of these clusters 1? */
bool qcow2_refcount_is_one(const struct qcow2_alloc *a, uint64_t first, uint64_t n);

/* Adds by, 1 or -1, to the refcounts of clusters that have refcount blocks.  ERANGE: one would
 * become too large.  When it fails some may have been changed. */
int qcow2_refcount_add(struct qcow2_alloc *a, uint64_t first, uint64_t n, int by, struct err *e);

/* Is there a refcount block for the cluster? */
int qcow2_refcount_has_block(
	const struct qcow2_alloc *a, uint64_t cluster, bool *exists, struct err *e);

/* Makes the refcount block for the cluster, or as many as need be for want clusters in one piece
 * after them, in clusters that are free because they have no block yet; and a longer refcount
 * table if need be, durably.  *old: the clusters of the table that it replaced, for the caller to
 * drop, also when it fails; n is 0 when there is none. */
int qcow2_refcount_make_blocks(struct qcow2_alloc *a, uint64_t cluster, uint64_t want,
	struct qcow2_clusters *old, struct err *e);

#endif
