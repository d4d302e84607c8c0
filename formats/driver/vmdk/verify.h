/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify.h - private to the VMDK driver: the entries of all grain tables, before the first write.
 */
#ifndef VDISK_DRIVER_VMDK_VERIFY_H
#define VDISK_DRIVER_VMDK_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct vmdk_tables;
struct writer;

/* Reads all grain tables and makes each redundant table equal to its table.  Sets the end of grains
 * and metadata in the file, and whether the bytes after the last grain tables are in use.
 * -EUCLEAN: an entry cannot be right, so that the disk must not be written. */
int vmdk_verify(const struct vmdk_tables *t, struct writer *w, uint64_t *end, bool *tail_used,
	struct err *e);

#endif
