/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk.h - private to the VMDK driver: the operations that driver.c and write.c list.
 *
 * A disk (disk.h) is a text descriptor (descriptor.h) and the extents that it lists, one after
 * another.  An extent is flat (disk.c) or of one of three sparse kinds: hosted (sparse.c, with
 * header.c, and recover.c for streams that were cut), COWD of ESX (cowd.c) and seSparse of ESX 5.5
 * and later (sesparse.c).  All three find their grains through grain directories and grain tables,
 * which tables.c reads.
 *
 * Only hosted extents are written.  write.c opens a disk for writing, after verify.c has read all
 * entries; alloc.c changes them; resize.c appends tables; check.c repairs.  metadata.c has the
 * bytes that are not grains.  header.c has the layout of new extents, for create.c and export.c;
 * stream.c writes streamOptimized ones from front to back.
 *
 * Section names are those of VMware's "Virtual Disk Format 5.0".
 */
#ifndef VDISK_DRIVER_VMDK_VMDK_H
#define VDISK_DRIVER_VMDK_VMDK_H

#include <stdint.h>

#include "image/creation.h"

struct check_report;
struct err;
struct image;
struct view;
struct vmdk;

#define VMDK_SECTOR 512u /* bytes of a sector in all fields, independent of the guest's sectors */

/* create.c, check.c: as in struct format. */
int vmdk_create(struct creation *c, struct err *e);
extern const struct create_option vmdk_create_options[];
int vmdk_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);

/* write.c: gives the opened disk write ops, or sets the reason why it is read-only; nothing when
 * the image is opened for reading. */
int vmdk_write_enable(struct image *img, struct vmdk *v, struct err *e);
int vmdk_write_start(struct image *img, struct err *e); /* as start_writing of struct format */

/* export.c */
extern const struct export_format vmdk_export_sparse, vmdk_export_stream;

/* resize.c: as in struct write_ops. */
int vmdk_resize(struct view *view, uint64_t size, struct err *e);

#endif
