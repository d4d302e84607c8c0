/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parallels.h - private to the Parallels driver: the operations that driver.c lists. */
#ifndef VDISK_DRIVER_PARALLELS_PARALLELS_H
#define VDISK_DRIVER_PARALLELS_PARALLELS_H

struct check_report;
struct err;
struct image;

/* check.c: as in struct format. */
int parallels_check(struct image *img, unsigned repair, struct check_report *r, struct err *e);

#endif
