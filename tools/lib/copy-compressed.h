/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copy-compressed.h - copies a range of a disk into compressed clusters.
 *
 * All threads compress; clusters are written in the order of the disk.  So the output is the same
 * each time, and can be a stream.
 */
#ifndef VDISK_TOOLS_LIB_COPY_COMPRESSED_H
#define VDISK_TOOLS_LIB_COPY_COMPRESSED_H

#include <stdint.h>

struct copy;
struct err;

/* Copies [start, end) of c->disk.  Both ends lie at a multiple of the output's unit, or end where
 * the output ends. */
int copy_compressed(const struct copy *c, uint64_t start, uint64_t end, struct err *e);

#endif
