/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backing.h - the name of the backing file, as in struct format. */
#ifndef VDISK_DRIVER_QCOW2_BACKING_H
#define VDISK_DRIVER_QCOW2_BACKING_H

struct err;
struct image;

int qcow2_backing_set(struct image *img, const char *name, const char *format, struct err *e);

/* Empties the disk, so that all of it is read from the backing file. */
int qcow2_backing_empty(struct image *img, struct err *e);

#endif
