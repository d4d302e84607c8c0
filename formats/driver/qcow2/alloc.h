/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alloc.h - clusters allocated and freed.
 *
 * The meta lock is held.
 */
#ifndef VDISK_DRIVER_QCOW2_ALLOC_H
#define VDISK_DRIVER_QCOW2_ALLOC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver/common/freed.h"
#include "refcount.h"

struct err;
struct qcow2;
struct view;
struct writer;

struct qcow2_alloc {
	struct qcow2 *q;
	struct writer *writer;
	_Atomic(struct qcow2_reftable *) table;
	uint64_t next; /* no cluster before it is free */
	/* The end of the last compressed cluster, where the next may begin; or 0. */
	uint64_t compressed_end;
	struct freed freed; /* clusters that lose one reference each */
};

struct qcow2_alloc *qcow2_alloc_new(struct qcow2 *q, struct writer *w, struct err *e);
void qcow2_alloc_free(struct qcow2_alloc *a); /* NULL is fine */

/* Allocates up to want clusters that follow each other; all of them, if whole.  *reads_zero, unless
 * that is NULL: they read as zeroes. */
int qcow2_alloc_take(struct qcow2_alloc *a, uint64_t want, bool whole, struct qcow2_clusters *got,
	bool *reads_zero, struct err *e);

/* Frees at once clusters that nothing has ever pointed to. */
void qcow2_alloc_cancel(struct qcow2_alloc *a, struct qcow2_clusters c);

/* Allocates len bytes, less than a cluster, for a compressed cluster: after the one before, or in a
 * new cluster.  Each cluster that they touch gets one more reference. */
int qcow2_alloc_compressed(struct qcow2_alloc *a, uint32_t len, uint64_t *pos, struct err *e);
void qcow2_alloc_cancel_compressed(struct qcow2_alloc *a, uint64_t pos, uint32_t len);

/* Allocates memory for n more calls of qcow2_alloc_drop, which cannot fail then. */
int qcow2_alloc_prepare(struct qcow2_alloc *a, size_t n, struct err *e);

/* Takes one reference from each of n clusters, if any, once the change before it is durable. */
void qcow2_alloc_drop(struct qcow2_alloc *a, uint64_t first, uint64_t n);

/* With the request lock held exclusively: makes all changes durable, and releases the clusters that
 * were dropped. */
int qcow2_alloc_flush(struct qcow2_alloc *a, struct err *e);

/* The same in the middle of a long operation, when much was dropped or waits to be written. */
int qcow2_alloc_flush_if_full(struct qcow2_alloc *a, struct err *e);

/* As in struct write_ops. */
bool qcow2_alloc_durable(struct view *v);
int qcow2_alloc_release_freed(struct view *v, struct err *e);

#endif
