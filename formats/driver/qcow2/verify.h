/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* verify.h - the check that allows writing. */
#ifndef VDISK_DRIVER_QCOW2_VERIFY_H
#define VDISK_DRIVER_QCOW2_VERIFY_H

struct err;
struct image;
struct qcow2;

/* Refuses an image that cannot be written to without losing data: refcounts that are too low,
 * clusters with two owners, entries that point beyond the end of the file. */
int qcow2_verify(const struct image *img, struct qcow2 *q, struct err *e);

#endif
