/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alloc.h - the slots of the data area that are in use.  All of it under the meta lock. */
#ifndef VDISK_DRIVER_VDI_ALLOC_H
#define VDISK_DRIVER_VDI_ALLOC_H

#include "vdi.h"

/* Finds the slots in use from the block map.  -EUCLEAN: an entry is wrong, and the image must not
 * be written. */
int vdi_alloc_scan(struct vdi *d, struct err *e);

/* Takes up to max > 0 free slots that follow each other; returns how many. */
uint32_t vdi_alloc_take(struct vdi_alloc *a, uint32_t max, uint32_t *first);

/* Frees slots that no entry of the block map has. */
void vdi_alloc_give(struct vdi_alloc *a, uint32_t first, uint32_t n);

/* Adds slots at the end, for a disk of so many blocks. */
int vdi_alloc_grow(struct vdi_alloc *a, uint32_t nblocks, struct err *e);

/* Moves blocks from the end of the data area into its gaps, if it has any.  The caller holds the
 * image alone; durable on return. */
int vdi_alloc_close_gaps(struct vdi *d, struct err *e);

/* Moves the blocks in the first n slots after the others, for which the block map has entries. */
int vdi_alloc_clear_front(struct vdi *d, uint32_t n, struct err *e);

/* Renumbers the slots: the data area begins n slots later, which were free. */
void vdi_alloc_shift(struct vdi_alloc *a, uint32_t n);

#endif
