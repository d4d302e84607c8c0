/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alloc.h - the MiB of the file that are in use.  All of it under the meta lock. */
#ifndef VDISK_DRIVER_VHDX_ALLOC_H
#define VDISK_DRIVER_VHDX_ALLOC_H

#include "vhdx.h"

/* Finds the free space.  -EUCLEAN: two structures overlap. */
int vhdx_alloc_scan(struct vhdx *d, struct err *e);

/* Reports structures that overlap, or are not in the file; d->alloc stays as it is. */
int vhdx_alloc_check(struct vhdx *d, struct check_report *report, struct err *e);

/* Allocates len bytes, whole MiB, that read as zeroes; the file is long enough then. */
int vhdx_alloc_take(struct vhdx *d, uint64_t len, uint64_t *pos, struct err *e);
void vhdx_alloc_give(struct vhdx *d, uint64_t pos, uint64_t len);

/* Cuts free space off the end of the file. */
int vhdx_alloc_trim(struct vhdx *d, struct err *e);

#endif
