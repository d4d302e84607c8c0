/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitmaps.h - the directory of persistent bitmaps. */
#ifndef VDISK_DRIVER_QCOW2_BITMAPS_H
#define VDISK_DRIVER_QCOW2_BITMAPS_H

#include <stdint.h>

struct err;
struct facts;
struct qcow2;

#define QCOW2_BITMAP_FIXED 24u /* bytes of a directory entry before its extra data and name */

/* Reads the entry of bitmap i at *at of the directory, and moves *at to the next one. */
int qcow2_bitmaps_read(const struct qcow2 *q, uint32_t i, uint64_t *at,
	unsigned char raw[QCOW2_BITMAP_FIXED], struct err *e);

/* With qemu-img's keys; damaged ones, and those after them, are left out. */
void qcow2_bitmaps_facts(const struct qcow2 *q, struct facts *f);

/* The bytes that all bitmaps and their directory take in an image with clusters of this size. */
uint64_t qcow2_bitmaps_size(const struct qcow2 *q, uint64_t cluster);

/* Marks all bitmaps as in use, so that their users see that they are not up to date.  -EUCLEAN:
 * none was marked, since the directory is damaged. */
int qcow2_bitmaps_mark(const struct qcow2 *q, struct err *e);

#endif
