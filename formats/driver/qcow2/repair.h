/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* repair.h - refcounts and L2 entries repaired. */
#ifndef VDISK_DRIVER_QCOW2_REPAIR_H
#define VDISK_DRIVER_QCOW2_REPAIR_H

#include "check.h"

/* Corrects refcounts in place, as far as repair allows. */
int qcow2_repair_refcounts(struct qcow2_check *c, unsigned repair, struct err *e);

/* Writes a new refcount table with new refcount blocks beyond the end of the file. */
int qcow2_repair_rebuild(struct qcow2_check *c, struct err *e);

/* Makes zero clusters at positions that are not aligned zero clusters without a position. */
int qcow2_repair_zeroes(struct qcow2_check *c, struct err *e);

#endif
