/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dirty.h - persistent bitmaps kept up to date while the disk is written to.
 *
 * Before the first byte of the disk changes, each enabled bitmap is durably marked as in use.  From
 * then on the bits of all that changes are set in memory.  When writing ends these bits are added
 * to the bitmaps in the file, and once they are durable, the marks are removed.  So after a crash a
 * bitmap is marked, and nobody takes it for complete; a change of the header alone touches none.
 *
 * A bitmap that cannot be kept up to date, because it is damaged or has unknown properties, stays
 * marked as in use, with a warning; its other bytes stay as they are.
 *
 * Locks: qcow2_dirty_changing takes the meta lock for the first change only.  For the others it is
 * held.  The list of bitmaps changes with the request lock held exclusively, or when no request is
 * there.
 */
#ifndef VDISK_DRIVER_QCOW2_DIRTY_H
#define VDISK_DRIVER_QCOW2_DIRTY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct image;
struct qcow2;
struct qcow2_dirty_bitmap;
struct view;

struct qcow2_dirty {
	struct image *img; /* for warnings; NULL: a new image, which has no bitmaps */
	atomic_bool begun; /* the bitmaps are marked, and those enabled are in the list */
	bool resizing;     /* those disabled, too */
	struct qcow2_dirty_bitmap *list;
	size_t n;
	uint64_t memory; /* bytes of bits */
};

/* As in struct write_ops. */
int qcow2_dirty_changing(struct view *v, uint64_t off, uint64_t len, struct err *e);

/* Marks the bitmaps, unless they are already. */
int qcow2_dirty_begin(struct qcow2 *q, struct err *e);

/* Sets the bits of a range.  Bitmaps are marked. */
void qcow2_dirty_set(struct qcow2 *q, uint64_t off, uint64_t len);

/* Before the size of the disk changes, with the request lock held exclusively: marks all bitmaps,
 * disabled ones, too. */
int qcow2_dirty_begin_resize(struct qcow2 *q, struct err *e);

/* After the size of the disk has changed from old bytes to q->header.size: the bitmaps get that
 * size, with 0 in new bits.  One for which this fails stays marked, with a warning. */
void qcow2_dirty_resize(struct qcow2 *q, uint64_t old);

/* Adds the bits to the bitmaps in the file, durably, and then removes the marks.  The caller makes
 * that durable. */
int qcow2_dirty_finish(struct qcow2 *q, struct err *e);

/* Forgets the bits that were not stored. */
void qcow2_dirty_free(struct qcow2 *q);

#endif
