/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alloc.h - private to the VMDK driver: room for new grains of a hosted sparse extent.
 *
 * Offsets are those in the extent.  All but vmdk_alloc_new under the meta lock.
 */
#ifndef VDISK_DRIVER_VMDK_ALLOC_H
#define VDISK_DRIVER_VMDK_ALLOC_H

#include "tables.h"

struct reservation;
struct writer;

/* Looks at all entries, and makes both tables of a pair say the same where they do not.  -EUCLEAN:
 * one of them cannot be right, so that nobody may write. */
int vmdk_alloc_new(struct vmdk_tables *t, struct writer *w, struct err *e);
void vmdk_alloc_free(struct vmdk_allocator *room); /* NULL is fine */

/* As in struct write_ops, but that the reservation is of whole grains, and off in it of the extent.
 */
int vmdk_alloc_reserve(
	struct vmdk_tables *t, uint64_t off, uint64_t len, struct reservation *res, struct err *e);
int vmdk_alloc_commit(
	struct vmdk_tables *t, uint64_t off, const struct reservation *res, struct err *e);
void vmdk_alloc_cancel(struct vmdk_tables *t, const struct reservation *res);

/* Grains that are not stored: they read as zeroes, whatever the parent has.  Only where
 * t->zero_marks. */
int vmdk_alloc_zero(struct vmdk_tables *t, uint64_t off, uint64_t len, struct err *e);

/* Makes the file longer by whole grains, which may hold anything. */
int vmdk_alloc_append(struct vmdk_tables *t, uint64_t len, uint64_t *pos, struct err *e);

/* Have the last grain tables as many entries as the others?  Other programs may have left out those
 * that the disk does not need, and have put something else there. */
bool vmdk_alloc_has_tail(const struct vmdk_tables *t);

/* Takes the mark off the header. */
int vmdk_alloc_finish(struct vmdk_tables *t, struct err *e);

#endif
