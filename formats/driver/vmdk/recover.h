/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* recover.h - private to the VMDK driver: grains of a stream that lost its grain directory. */
#ifndef VDISK_DRIVER_VMDK_RECOVER_H
#define VDISK_DRIVER_VMDK_RECOVER_H

#include <stdint.h>

struct err;
struct extent;
struct io;
struct vmdk_header;

/* The grains that were found by their markers. */
struct vmdk_recovery;

/* -ENODATA: no grain was found. */
int vmdk_recover_scan(
	struct io *io, const struct vmdk_header *h, struct vmdk_recovery **recovery, struct err *e);
void vmdk_recover_free(struct vmdk_recovery *recovery); /* NULL is fine */

/* As vmdk_tables_map. */
int vmdk_recover_map(const struct vmdk_recovery *recovery, uint64_t off, uint64_t len,
	struct extent *out, struct err *e);

#endif
