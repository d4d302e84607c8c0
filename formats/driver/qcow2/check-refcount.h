/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check-refcount.h - refcounts as the file has them, however damaged they are. */
#ifndef VDISK_DRIVER_QCOW2_CHECK_REFCOUNT_H
#define VDISK_DRIVER_QCOW2_CHECK_REFCOUNT_H

#include "io/meta.h"
#include "check.h"

#define QCOW2_REFTABLE_OFFSET 0xfffffffffffffe00u /* of refcount table entries */

/* The position of refcount block number i; 0: there is none, its refcounts are 0. */
uint64_t qcow2_check_refcount_block(const struct qcow2_check *c, uint64_t i);

/* Can a refcount block at pos be read? */
bool qcow2_check_refcount_readable(const struct qcow2_check *c, uint64_t pos);

/* Looks refcounts up; keeps the page of a refcount block that was used last. */
struct qcow2_lookup {
	const struct qcow2_check *c;
	uint64_t page; /* position */
	struct meta m; /* of that page when block is set */
};

/* 1: found, 0: the refcount block cannot be read, or -errno. */
int qcow2_check_refcount_lookup(
	struct qcow2_lookup *l, uint64_t cluster, uint64_t *count, struct err *e);
void qcow2_check_refcount_end(struct qcow2_lookup *l);

#endif
