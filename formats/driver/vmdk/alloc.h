/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alloc.h - private to the VMDK driver: allocation of grains in a hosted sparse extent.
 *
 * Offsets count from the start of the extent.  From vmdk_alloc_reserve on all functions are called
 * with the meta lock held.
 */
#ifndef VDISK_DRIVER_VMDK_ALLOC_H
#define VDISK_DRIVER_VMDK_ALLOC_H

#include "tables.h"

struct reservation;
struct writer;

/* verify.c: reads all grain tables and makes each redundant table equal to its table.  Sets the end
 * of grains and metadata in the file, and whether the bytes after the last grain tables are in use.
 * -EUCLEAN: an entry cannot be right, so that the disk must not be written. */
int vmdk_verify(const struct vmdk_tables *t, struct writer *w, uint64_t *end, bool *tail_used,
	struct err *e);

/* Verifies all entries and sets t->alloc. */
int vmdk_alloc_new(struct vmdk_tables *t, struct writer *w, struct err *e);
void vmdk_alloc_free(struct vmdk_allocator *a); /* NULL is fine */

/* As in struct write_ops, but the reservation has whole grains and its off counts from the start of
 * the extent. */
int vmdk_alloc_reserve(
	struct vmdk_tables *t, uint64_t off, uint64_t len, struct reservation *res, struct err *e);
int vmdk_alloc_commit(
	struct vmdk_tables *t, uint64_t off, const struct reservation *res, struct err *e);
void vmdk_alloc_cancel(struct vmdk_tables *t, const struct reservation *res);

/* Marks grains that are not allocated as zeroes, whatever the parent has.  Only where
 * t->zero_marks is set. */
int vmdk_alloc_zero(struct vmdk_tables *t, uint64_t off, uint64_t len, struct err *e);

/* Extends the file by whole grains of any content. */
int vmdk_alloc_append(struct vmdk_tables *t, uint64_t len, uint64_t *pos, struct err *e);

/* The last grain tables may be filled up to per_table entries.  Some programs leave out the entries
 * that the disk does not need and put something else there. */
bool vmdk_alloc_has_tail(const struct vmdk_tables *t);

/* Cuts off unused grains at the end and clears the unclean mark. */
int vmdk_alloc_finish(struct vmdk_tables *t, struct err *e);

#endif
