/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refcount-width.h - refcounts of another width. */
#ifndef VDISK_DRIVER_QCOW2_REFCOUNT_WIDTH_H
#define VDISK_DRIVER_QCOW2_REFCOUNT_WIDTH_H

struct err;
struct qcow2;

/* Replaces all refcounts by ones of 1 << order bits, durably.  ERANGE: one is too large for that.
 * The request lock is held exclusively, with the meta lock. */
int qcow2_refcount_set_width(struct qcow2 *q, unsigned order, struct err *e);

#endif
