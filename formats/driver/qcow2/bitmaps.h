/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitmaps.h - the directory of persistent bitmaps. */
#ifndef VDISK_DRIVER_QCOW2_BITMAPS_H
#define VDISK_DRIVER_QCOW2_BITMAPS_H

#include <stdint.h>

struct err;
struct facts;
struct qcow2;

#define QCOW2_BITMAP_FIXED 24u /* bytes of a directory entry before its extra data and name */

#define QCOW2_BITMAP_NAME_MAX        1023
#define QCOW2_BITMAP_MIN_GRANULARITY 9u /* log2 of bytes */
#define QCOW2_BITMAP_MAX_GRANULARITY 31u
#define QCOW2_BITMAP_DIRTY           1u /* the only type */

/* Flags of an entry. */
#define QCOW2_BITMAP_IN_USE           1u /* it may lack changes of the disk */
#define QCOW2_BITMAP_AUTO             2u /* enabled: each program that writes to the disk updates it */
#define QCOW2_BITMAP_EXTRA_COMPATIBLE 4u /* programs that do not know its extra data can use it */
#define QCOW2_BITMAP_FLAGS            7u

/* An entry of a bitmap's table is the position of a cluster, or without one, 0, or ONES if all of
 * its bits are set. */
#define QCOW2_BITMAP_ONES     UINT64_C(1)
#define QCOW2_BITMAP_RESERVED UINT64_C(0xff000000000001fe)

/* Reads the entry of bitmap i at *at of the directory, and moves *at to the next one. */
int qcow2_bitmaps_read(const struct qcow2 *q, uint32_t i, uint64_t *at,
	unsigned char raw[QCOW2_BITMAP_FIXED], struct err *e);

/* With qemu-img's keys; damaged ones, and those after them, are left out. */
void qcow2_bitmaps_facts(const struct qcow2 *q, struct facts *f);

/* The bytes that all bitmaps and their directory take in an image with clusters of this size. */
uint64_t qcow2_bitmaps_size(const struct qcow2 *q, uint64_t cluster);

#endif
