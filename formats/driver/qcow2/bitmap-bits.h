/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitmap-bits.h - the bits of a persistent bitmap in the file.
 *
 * A table has the position of each cluster of bits; the lowest bit of a byte is the first.  Changes
 * are made in place, so the bitmap is marked as in use, or nothing refers to it yet.  The meta lock
 * is held.
 */
#ifndef VDISK_DRIVER_QCOW2_BITMAP_BITS_H
#define VDISK_DRIVER_QCOW2_BITMAP_BITS_H

#include <stdatomic.h>
#include <stdint.h>

struct err;
struct qcow2;
struct qcow2_bitmap;

/* Sets the bits that are set in bytes of added. */
int qcow2_bits_add(const struct qcow2 *q, const struct qcow2_bitmap *b, const atomic_uchar *added,
	uint64_t bytes, struct err *e);

/* Gives the bitmap of a disk of old bytes the size of one of q->header.size, with 0 in new bits;
 * changes the table in b, for the caller to store.  Clusters that are left over are dropped. */
int qcow2_bits_resize(struct qcow2 *q, struct qcow2_bitmap *b, uint64_t old, struct err *e);

/* Reads len bytes of the bits, from the byte at of the bitmap on, which lie in one cluster. */
int qcow2_bits_read(const struct qcow2 *q, const struct qcow2_bitmap *b, uint64_t at,
	unsigned char *bits, uint64_t len, struct err *e);

/* Allocates a table of so many entries, all 0: no bit is set. */
int qcow2_bits_make_table(struct qcow2 *q, uint64_t entries, uint64_t *pos, struct err *e);

/* Writes the i-th cluster of bits, which is not in the file yet. */
int qcow2_bits_put(const struct qcow2 *q, const struct qcow2_bitmap *b, uint64_t i,
	const unsigned char *bits, struct err *e);

/* Drops the clusters of the bits and of the table. */
int qcow2_bits_drop(struct qcow2 *q, const struct qcow2_bitmap *b, struct err *e);

#endif
