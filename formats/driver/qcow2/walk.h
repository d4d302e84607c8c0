/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* walk.h - operations on all that an L1 table refers to: its L2 tables and their clusters.
 *
 * The request lock is held exclusively; each takes as long as reading all tables does.
 */
#ifndef VDISK_DRIVER_QCOW2_WALK_H
#define VDISK_DRIVER_QCOW2_WALK_H

#include "l1.h"

struct image;

/* Checks that all L2 tables can be found. */
int qcow2_walk_check(struct qcow2 *q, struct qcow2_l1 l1, struct err *e);

/* Adds a reference to everything, and clears COPIED in the L2 entries; when it fails nothing has
 * one more. */
int qcow2_walk_share(struct qcow2 *q, struct qcow2_l1 l1, struct err *e);

/* Takes the references back at once, when no other table was written that has them. */
void qcow2_walk_unshare(struct qcow2 *q, struct qcow2_l1 l1);

/* Drops a reference to everything, when nothing on disk points to the table any more. */
int qcow2_walk_drop(struct qcow2 *q, struct qcow2_l1 l1, struct err *e);

/* Warns when dropping has failed (r < 0): clusters leak, but the change itself is done.  Returns
 * 0. */
int qcow2_walk_warn_leak(struct image *img, int r, const struct err *why);

/* Clears COPIED in all tables of the live disk, or with renew, sets it by the refcounts. */
int qcow2_walk_flag_copied(struct qcow2_view *live, bool renew, struct err *e);

/* Replaces zero clusters, which version 2 does not know: by unallocated ones if there is no backing
 * file, else by new ones with zeroes.  live: the table is that of the live disk, so new clusters
 * with one reference get COPIED. */
int qcow2_walk_expand_zeroes(struct qcow2 *q, struct qcow2_l1 l1, bool live, struct err *e);

#endif
