/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2-check.h - private to the check of qcow2: qcow2-refs.c finds out how often each cluster is
 * referred to, qcow2-check.c compares that with the refcounts.
 *
 * References are counted in a window of clusters at a time, so that memory does not grow with the
 * length of a sparse file: nearly always one window has them all; else the tables are walked again
 * for each.  An L2 table is walked once however many snapshots share it: what it refers to counts
 * as often as it is itself referred to.
 */
#ifndef VDISK_QCOW2_CHECK_H
#define VDISK_QCOW2_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check.h"

struct err;
struct qcow2;
struct qcow2_snapshot;

/* Clusters that something refers to, whatever is in them. */
struct qcow2_used {
	uint64_t pos, len;
};

/* An L2 table. */
struct qcow2_table {
	uint64_t pos;
	uint32_t times;  /* that L1 entries refer to it */
	uint32_t active; /* of these, in the L1 table of the live disk */
};

struct qcow2_check {
	struct qcow2 *q;
	struct check_report *r;
	uint64_t file_len; /* in whole sectors, as QEMU sees it */
	uint64_t nclusters;

	/* What refers to clusters. */
	struct qcow2_used *used;
	size_t nused;
	struct qcow2_table *tables; /* those of the live disk first, in its order */
	size_t ntables;
	uint32_t *index; /* where each is in tables, plus 1; a hash table */
	size_t nindex;
	uint64_t *reftable;
	uint64_t nreftable;

	/* The window: how often clusters from first on are referred to, as far as refcounts go. */
	uint64_t first, nwindow;
	uint32_t *refs;
	struct check_report *say; /* the report in the first window, what nobody reads later */
	struct check_report silence;

	unsigned char *buf; /* a cluster */
	uint64_t budget;    /* bytes of tables that may still be read */
	bool uncertain;     /* some reference may have been missed or misread */
	bool rebuild;       /* the refcounts as such are no good */
};

/* qcow2-refs.c */

/* Reads the L1 tables, that of refcounts and that of snapshots, and tells what is wrong in them. */
int qcow2_refs_collect(struct qcow2_check *c, struct err *e);

/* Counts in the window what everything refers to; in the first one tells what is wrong. */
int qcow2_refs_count(struct qcow2_check *c, struct err *e);

/* Reads len bytes of a table, zeroes past the end of the file.  *empty: there are only zeroes, and
 * buf was left alone. */
int qcow2_check_read(
	struct qcow2_check *c, uint64_t pos, void *buf, size_t len, bool *empty, struct err *e);

/* Starts a new walk over all tables. */
void qcow2_check_rewind(struct qcow2_check *c);

/* The most that a refcount can be, as far as references are counted. */
uint32_t qcow2_refcount_max(const struct qcow2 *q);

#endif
