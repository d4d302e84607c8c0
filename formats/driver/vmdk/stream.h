/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stream.h - private to the VMDK driver: writing streamOptimized extents.
 *
 * Such a file is header, descriptor, compressed grains in the order of the disk, a grain table
 * after the grains that it maps, grain directory, footer, end; each but the first two after a
 * marker.  It is written once, from front to back.  A file without footer is not an image yet.
 * Until the first grain it has its tables at the front, like a sparse extent: QEMU appends to it.
 */
#ifndef VDISK_DRIVER_VMDK_STREAM_H
#define VDISK_DRIVER_VMDK_STREAM_H

#include <stdint.h>

#include "header.h"

struct err;
struct image;
struct vmdk;

#define VMDK_STREAM_START VMDK_GRAIN /* the sector after the descriptor */

/* The header of a stream, with gd VMDK_GD_AT_END; its footer, with the sector of the directory. */
struct vmdk_header vmdk_stream_header(uint64_t capacity, uint64_t gd);

/* Opens an image without grains for writing, once and in order.  v->stream stays NULL when the disk
 * is not one. */
int vmdk_stream_open(const struct image *img, struct vmdk *v, struct err *e);

#endif
