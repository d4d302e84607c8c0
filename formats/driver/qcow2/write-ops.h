/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write-ops.h - the start of writing to an image. */
#ifndef VDISK_DRIVER_QCOW2_WRITE_OPS_H
#define VDISK_DRIVER_QCOW2_WRITE_OPS_H

struct err;
struct image;
struct view;

/* Sets the write operations of the view of the live disk. */
void qcow2_write_ops_set(struct view *v);

/* As in struct format: start_writing. */
int qcow2_write_ops_start(struct image *img, struct err *e);

#endif
