/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stream.h - private to the VMDK driver: streamOptimized extents that are made.
 *
 * Such a file is header, descriptor, compressed grains in the order of the disk, a grain table
 * behind those that it is of, grain directory, footer, end; each but the first two behind a marker.
 * It is written once, from front to back.  What has no footer yet is no image.
 */
#ifndef VDISK_DRIVER_VMDK_STREAM_H
#define VDISK_DRIVER_VMDK_STREAM_H

#include <stdint.h>

#include "descriptor-write.h"

struct err;
struct image;
struct io;

#define VMDK_STREAM_START VMDK_GRAIN /* sector: what comes behind the descriptor */

#define VMDK_TABLE_SECTORS (VMDK_TABLE * 4 / VMDK_SECTOR)

/* The header of a stream, or with the sector of the directory its footer. */
struct vmdk_header vmdk_stream_header(uint64_t capacity, uint64_t gd);

/* What announces so many sectors of this type: fills a sector of zeroes. */
void vmdk_marker_encode(uint64_t sectors, enum vmdk_markers type, unsigned char *out);

/* Makes a stream of a disk of zeroes, but for the descriptor. */
int vmdk_stream_create(struct io *io, uint64_t capacity, struct err *e);

/* Lets a disk that is an empty stream be filled; v->stream stays NULL when it is none. */
int vmdk_stream_open(const struct image *img, struct vmdk *v, struct err *e);
void vmdk_stream_free(struct vmdk_stream *s); /* NULL is fine */

#endif
