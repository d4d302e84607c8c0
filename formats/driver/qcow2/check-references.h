/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check-references.h - the references to each cluster. */
#ifndef VDISK_DRIVER_QCOW2_CHECK_REFERENCES_H
#define VDISK_DRIVER_QCOW2_CHECK_REFERENCES_H

#include "check.h"

typedef int qcow2_check_window(struct qcow2_check *c, void *arg, struct err *e);

/* Counts the references in one window of clusters after the other, up to end and to the last
 * cluster, and calls work for each window.  The first count reports errors of the tables. */
int qcow2_check_references(
	struct qcow2_check *c, uint64_t end, qcow2_check_window *work, void *arg, struct err *e);

#endif
