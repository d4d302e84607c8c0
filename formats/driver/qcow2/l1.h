/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* l1.h - L1 tables: of the live disk, of snapshots, and new ones. */
#ifndef VDISK_DRIVER_QCOW2_L1_H
#define VDISK_DRIVER_QCOW2_L1_H

#include <stdint.h>

#include "io/writeback.h"
#include "qcow2.h"

struct err;

#define QCOW2_OFFSET      0x00fffffffffffe00u /* of L1 and L2 entries */
#define QCOW2_OFFSET_BITS 56u

/* Set in an L1 or L2 entry when the refcount is 1; meaningless in tables of snapshots. */
#define QCOW2_COPIED (UINT64_C(1) << 63)

#define QCOW2_L1_RESERVED UINT64_C(0x7f000000000001ff)

/* An L1 table, and so all that it refers to. */
struct qcow2_l1 {
	uint64_t pos;
	uint32_t entries;
};

static inline struct qcow2_l1 qcow2_l1_of(const struct qcow2_view *v)
{
	return (struct qcow2_l1){.pos = v->l1_pos, .entries = v->l1_size};
}

/* Checks the size and alignment of an L1 table; or its position: inside the file and apart from
 * the ranges of other metadata; or both. */
int qcow2_l1_check_shape(const struct qcow2 *q, uint64_t pos, uint32_t entries, struct err *e);
int qcow2_l1_check_place(const struct qcow2 *q, uint64_t pos, uint32_t entries, struct err *e);
int qcow2_l1_check(const struct qcow2 *q, uint64_t pos, uint32_t entries, struct err *e);

/* The L2 table that an L1 entry points to; 0: to none. */
int qcow2_l1_decode(const struct qcow2 *q, uint64_t entry, uint64_t *table, struct err *e);

/* The L1 entry for guest offset off and its L2 table.  *len: the bytes from there on that the L2
 * table maps, or without one, that have none as far as one page of the L1 table shows. */
int qcow2_l1_lookup(const struct qcow2_view *v, uint64_t off, uint64_t *entry, uint64_t *table,
	uint64_t *len, struct err *e);

/* Copies len bytes of table entries of size bytes each, the first 8 of each masked. */
int qcow2_l1_copy_entries(const struct qcow2 *q, uint64_t from, uint64_t to, uint64_t len,
	uint32_t size, uint64_t mask, enum write_order order, struct err *e);

/* Allocates a table of so many entries, the first of which are those of from, masked.  Calls
 * qcow2_alloc_prepare for dropping it, and for dropping the table that it replaces. */
int qcow2_l1_make(struct qcow2 *q, struct qcow2_l1 from, uint64_t mask, uint32_t entries,
	struct qcow2_l1 *to, struct err *e);

/* Drops the clusters of a table, not those that it refers to.  Needs qcow2_alloc_prepare. */
void qcow2_l1_drop(struct qcow2 *q, struct qcow2_l1 l1);

/* Makes the header point to another table, durably, and drops the old one. */
int qcow2_l1_switch(struct qcow2_view *v, struct qcow2_l1 to, struct err *e);

#endif
