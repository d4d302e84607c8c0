/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.h - the check of an image: the references to each cluster compared with its refcount.
 *
 * check-collect.c finds the tables, check-references.c counts the references in them, check.c
 * compares these with the refcounts, repair.c corrects the refcounts, check-copied.c checks and
 * repairs the flag COPIED, and write-ops.c decides by all that whether the image may be written to.
 *
 * References are counted in a window of clusters at a time, so that memory does not grow with the
 * length of a sparse file.  One window nearly always covers the file; else the tables are walked
 * again for each.  An L2 table is walked once, however many snapshots share it: its entries count
 * as many references as it has itself.
 */
#ifndef VDISK_DRIVER_QCOW2_CHECK_H
#define VDISK_DRIVER_QCOW2_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/check.h"
#include "qcow2.h"

struct err;

#define QCOW2_REFTABLE_OFFSET 0xfffffffffffffe00u /* of refcount table entries */

struct qcow2_l2_table {
	uint64_t pos;
	uint32_t references; /* from L1 entries */
	uint32_t live;       /* of these, from the L1 table of the live disk */
	uint32_t l1_index;   /* of the first of them */
};

/* Compressed clusters in the last sector of the file that were decoded. */
enum { QCOW2_TAILS = 64 };

struct qcow2_check {
	struct qcow2 *q;
	struct check_report *r;
	uint64_t file_len; /* in whole sectors, as in QEMU */
	uint64_t nclusters;

	/* The tables. */
	struct qcow2_range *regions; /* metadata that something other than an L1 table refers to */
	size_t nregions;
	struct qcow2_l2_table *tables; /* those of the live disk first, in its order */
	size_t ntables;
	uint32_t *index; /* a hash table: position to index in tables, plus 1 */
	size_t nindex;
	uint64_t *reftable;
	uint64_t nreftable;

	/* The window: the references to clusters from first on, up to the largest refcount. */
	uint64_t first, nwindow;
	uint32_t *refs;
	bool counted, dirty;    /* refs are those of first; some are not 0 */
	bool without_refcounts; /* refcount blocks and their table are not counted */

	/* Errors of tables are reported in the first window only, to r; later ones to ignored. */
	bool reported;
	struct check_report *table_report;
	struct check_report ignored;

	unsigned char *buf;          /* a cluster */
	uint64_t tails[QCOW2_TAILS]; /* L2 entries */
	unsigned ntails;
	uint64_t budget;         /* bytes of tables that may still be read */
	uint64_t references_max; /* references that may still be counted */
	bool uncertain;          /* references may be missing: some entry is invalid */
	bool overflow;           /* a cluster has more references than a refcount can hold */
	bool bad_snapshots;      /* entries of the snapshot table are incomplete or invalid */
	bool misplaced_zeroes;   /* zero clusters have positions that are not aligned */
	bool rebuild;            /* the refcounts cannot be repaired in place */
	bool block_outside;      /* a refcount block is beyond the end of the file */
	bool beyond_end;         /* something else that is referred to is beyond the end */
	bool for_writing;        /* leaks and harmless findings are not reported */
	uint64_t harmless;       /* findings that no write makes worse; not in the report */
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

/* The position of refcount block number i; 0: there is none, its refcounts are 0. */
static inline uint64_t qcow2_check_block(const struct qcow2_check *c, uint64_t i)
{
	return i < c->nreftable ? c->reftable[i] & QCOW2_REFTABLE_OFFSET : 0;
}

/* Can a refcount block at pos be read?  Beyond the end of the file it is zeroes, as in QEMU. */
static inline bool qcow2_check_block_readable(const struct qcow2_check *c, uint64_t pos)
{
	return qcow2_in_cluster(c->q, pos) == 0 && pos <= (uint64_t)INT64_MAX - c->q->cluster_size;
}

/* Checks everything but COPIED, for a check in which only q, r and for_writing are set. */
int qcow2_check_look(struct qcow2_check *c, struct err *e);
void qcow2_check_end(struct qcow2_check *c);

/* check-read.c: the work of a check is limited by the bytes that the host stores of the file. */

/* The bytes that the host stores of the file: holes cost nothing. */
uint64_t qcow2_check_read_stored(const struct qcow2_check *c);

/* Limits the bytes and references of a walk over all tables to those of a sound file. */
void qcow2_check_read_limit(struct qcow2_check *c);

/* The same, and limits the findings to those of a file whose refcounts are all lost. */
void qcow2_check_read_restart(struct qcow2_check *c);

/* Reads len bytes of a table; bytes beyond the end of the file are zeroes.  *empty: all of them
 * are, and buf was left alone. */
int qcow2_check_read(
	struct qcow2_check *c, uint64_t pos, void *buf, size_t len, bool *empty, struct err *e);

/* Reads the first *n, a cluster at most, of the len bytes of a table into c->buf.  *empty: they
 * are in a hole of the file, which may be longer than a cluster. */
int qcow2_check_read_piece(
	struct qcow2_check *c, uint64_t pos, uint64_t len, uint64_t *n, bool *empty, struct err *e);

/* check-collect.c: reads the L1 tables, the refcount table and the snapshot table, and reports
 * their errors. */
int qcow2_check_collect(struct qcow2_check *c, struct err *e);

/* check-references.c: counts the references in one window of clusters after the other, up to end
 * and to the last cluster, and calls work for each window.  The first count reports errors of the
 * tables. */
typedef int qcow2_check_window(struct qcow2_check *c, void *arg, struct err *e);
int qcow2_check_references(
	struct qcow2_check *c, uint64_t end, qcow2_check_window *work, void *arg, struct err *e);

/* check-copied.c: reports flags that are wrong in the tables of the live disk, and repairs those
 * that repair allows and that can be repaired without doubt. */
int qcow2_check_copied(struct qcow2_check *c, unsigned repair, struct err *e);

/* repair.c: corrects refcounts in place, as far as repair allows. */
int qcow2_repair_refcounts(struct qcow2_check *c, unsigned repair, struct err *e);

/* Writes a new refcount table with new refcount blocks beyond the end of the file. */
int qcow2_repair_rebuild(struct qcow2_check *c, struct err *e);

/* Makes zero clusters at positions that are not aligned zero clusters without a position. */
int qcow2_repair_zeroes(struct qcow2_check *c, struct err *e);

/* repair-snapshots.c: writes a new snapshot table beyond the end of the file, with all entries
 * that can be read. */
int qcow2_repair_snapshots(struct qcow2_check *c, struct err *e);

#endif
