/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.h - private to the check of qcow2: check-collect.c finds the tables, check-references.c how
 * often each cluster is referred to, check.c compares that with the refcounts, repair.c
 * makes them right, check-copied.c looks at, or mends, the flags that tell who has a cluster alone,
 * and verify.c says whether all of that is good enough to write to the image.
 *
 * References are counted in a window of clusters at a time, so that memory does not grow with the
 * length of a sparse file: nearly always one window has them all; else the tables are walked again
 * for each.  An L2 table is walked once however many snapshots share it: what it refers to counts
 * as often as it is itself referred to.
 */
#ifndef VDISK_DRIVER_QCOW2_CHECK_H
#define VDISK_DRIVER_QCOW2_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/cache.h"
#include "image/check.h"

struct err;
struct qcow2;
struct qcow2_snapshot;

/* Metadata that something other than an L1 table refers to. */
struct qcow2_used {
	const char *what;
	uint64_t pos, len;
};

/* An L2 table. */
struct qcow2_table {
	uint64_t pos;
	uint32_t times;    /* that L1 entries refer to it */
	uint32_t active;   /* of these, in the L1 table of the live disk */
	uint32_t l1_index; /* of the first of them */
};

/* Compressed clusters in the last sector of the file that were looked into. */
enum { QCOW2_TAILS = 64 };

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
	bool counted, dirty;      /* they are those of first; some are not 0 */
	bool without_refcounts;   /* the refcounts themselves are not counted */
	bool told;                /* what there is to tell of the tables was told */
	struct check_report *say; /* the report, or what nobody reads when it was told */
	struct check_report silence;

	unsigned char *buf;          /* a cluster */
	uint64_t tails[QCOW2_TAILS]; /* L2 entries */
	unsigned ntails;
	uint64_t budget;    /* bytes of tables that may still be read */
	uint64_t refer_max; /* references that may still be counted */
	bool uncertain;     /* some reference may have been missed or misread */
	bool overflow;      /* some cluster is referred to more often than it can count */
	bool odd_snapshots; /* entries of their table are incomplete, or cannot be read */
	bool odd_zeroes;    /* there are clusters to be zero at places that cannot be */
	bool rebuild;       /* the refcounts as such are no good */
	bool outside;       /* a block of them is said to be outside the file */
	bool cut;           /* something that is referred to lies past the end of the file */
	bool for_writing;   /* leaks, and what is harmless, are not told */
	uint64_t harmless;  /* findings that no write to the image makes worse; not in the report */
};

/* check-collect.c */

/* Reads the L1 tables, that of refcounts and that of snapshots, and tells what is wrong in them. */
int qcow2_refs_collect(struct qcow2_check *c, struct err *e);

/* check-references.c */

/* Does no more need to be found?  To refuse an image one error is enough. */
static inline bool qcow2_check_ends(const struct qcow2_check *c)
{
	return c->for_writing && c->r->corruptions > 0;
}

/* Counts in the window what everything refers to; in the first one tells what is wrong. */
int qcow2_refs_count(struct qcow2_check *c, struct err *e);

/* Reads len bytes of a table, zeroes past the end of the file.  *empty: there are only zeroes, and
 * buf was left alone. */
int qcow2_check_read(
	struct qcow2_check *c, uint64_t pos, void *buf, size_t len, bool *empty, struct err *e);

/* Reads the first *n of the len bytes of a table into buf: a cluster at most.  *empty: they are in
 * a hole of the file, which may be longer. */
int qcow2_check_piece(
	struct qcow2_check *c, uint64_t pos, uint64_t len, uint64_t *n, bool *empty, struct err *e);

/* Bytes that the host stores of the file: holes cost nothing, so work is bounded by these. */
uint64_t qcow2_check_stored(const struct qcow2_check *c);

/* Starts a pass over all tables: allows the work and the findings that a sound file, or one whose
 * refcounts are all lost, can ask for. */
void qcow2_check_rewind(struct qcow2_check *c);

/* Is this the entry of a cluster to be zero, at a place that cannot be? */
bool qcow2_is_odd_zero(const struct qcow2 *q, uint64_t entry, uint64_t bitmap);

/* The most that a refcount can be, as far as references are counted. */
uint32_t qcow2_refcount_max(const struct qcow2 *q);

/* check.c */

/* Looks at all but the flags, for a check that has no more than q, r and for_writing. */
int qcow2_check_look(struct qcow2_check *c, struct err *e);
void qcow2_check_end(struct qcow2_check *c);

typedef int qcow2_window_work(struct qcow2_check *c, void *arg, struct err *e);

/* Counts in one window after the other, as far as there are clusters and up to end, and calls work
 * for each. */
int qcow2_each_window(
	struct qcow2_check *c, uint64_t end, qcow2_window_work *work, void *arg, struct err *e);

static inline bool qcow2_in_window(const struct qcow2_check *c, uint64_t cluster)
{
	return cluster >= c->first && cluster - c->first < c->nwindow;
}

/* The position of the block that has the refcounts from cluster number i << qcow2_block_bits on; 0:
 * there is none, all are 0. */
uint64_t qcow2_block_pos(const struct qcow2_check *c, uint64_t i);

/* Can a block be looked at that lies there? */
bool qcow2_block_readable(const struct qcow2_check *c, uint64_t pos);

/* The refcount of a cluster, with the page of its block at hand that was looked at last. */
struct qcow2_lookup {
	const struct qcow2_check *c;
	uint64_t page; /* position */
	struct meta m; /* of that page when block is set */
};

/* 1: found, 0: its block is nowhere, or -errno. */
int qcow2_lookup_refcount(struct qcow2_lookup *l, uint64_t cluster, uint64_t *count, struct err *e);
void qcow2_lookup_end(struct qcow2_lookup *l);

/* check-copied.c: tells which flags are wrong, and mends those that repair says and that can be
 * mended without a doubt. */
int qcow2_check_copied(struct qcow2_check *c, unsigned repair, struct err *e);

/* repair.c */

/* Makes the refcounts in place those that they should be, as far as repair says. */
int qcow2_mend_counts(struct qcow2_check *c, unsigned repair, struct err *e);

/* Puts all refcounts anew behind the end of the file. */
int qcow2_rebuild_counts(struct qcow2_check *c, struct err *e);

/* repair-snapshots.c: puts a snapshot table behind the end of the file that has all entries that
 * can be read, complete. */
int qcow2_mend_snapshots(struct qcow2_check *c, struct err *e);

/* Lets clusters that are to be zero, at places that cannot be, be zero without a place. */
int qcow2_mend_zeroes(struct qcow2_check *c, struct err *e);

#endif
