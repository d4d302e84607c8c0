/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check-collect.h - the tables of an image. */
#ifndef VDISK_DRIVER_QCOW2_CHECK_COLLECT_H
#define VDISK_DRIVER_QCOW2_CHECK_COLLECT_H

#include "check.h"

/* Reads the L1 tables, the refcount table and the snapshot table, and reports their errors. */
int qcow2_check_collect(struct qcow2_check *c, struct err *e);

#endif
