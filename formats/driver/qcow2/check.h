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
#include "qcow2.h"

struct err;
struct image;

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

static inline bool qcow2_check_in_window(const struct qcow2_check *c, uint64_t cluster)
{
	return cluster >= c->first && cluster - c->first < c->nwindow;
}

/* Can the check end early?  One error is enough to refuse writing. */
static inline bool qcow2_check_ends(const struct qcow2_check *c)
{
	return c->for_writing && c->r->corruptions > 0;
}

/* Checks all but the flag COPIED, for a check in which only q, r and for_writing are set. */
int qcow2_check_look(struct qcow2_check *c, struct err *e);
void qcow2_check_end(struct qcow2_check *c);

/* Checks the image and makes the repairs in repair, for which q->io must be writable.  No page of
 * its metadata may be pinned or wait to be written.  A dirty image that is opened for writing is
 * repaired with CHECK_ALL; it is clean then unless the report still has corruptions or check
 * errors. */
int qcow2_check_run(struct qcow2 *q, unsigned repair, struct check_report *r, struct err *e);

/* As in struct format. */
int qcow2_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);

#endif
