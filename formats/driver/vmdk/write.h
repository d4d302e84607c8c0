/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* write.h - private to the VMDK driver: writable disks. */
#ifndef VDISK_DRIVER_VMDK_WRITE_H
#define VDISK_DRIVER_VMDK_WRITE_H

struct err;
struct image;
struct vmdk;

/* Gives the opened disk write ops, or sets the reason why it is read-only; nothing when the image
 * is opened for reading. */
int vmdk_write_enable(struct image *img, struct vmdk *v, struct err *e);

/* As start_writing of struct format. */
int vmdk_write_start(struct image *img, struct err *e);

#endif
