/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stream.h - private to the VMDK driver: writing streamOptimized extents.
 *
 * Such a file is header, descriptor, compressed grains in the order of the disk, a grain table
 * after the grains that it maps, grain directory, footer, end; each but the first two after a
 * marker.  It is written once, from front to back.  A file without footer is not an image yet.
 */
#ifndef VDISK_DRIVER_VMDK_STREAM_H
#define VDISK_DRIVER_VMDK_STREAM_H

#include <stdint.h>

#include "header.h"

struct err;
struct image;
struct io;
struct vmdk;

#define VMDK_STREAM_START VMDK_GRAIN /* the sector after the descriptor */

/* The header of a stream, with gd VMDK_GD_AT_END; its footer, with the sector of the directory. */
struct vmdk_header vmdk_stream_header(uint64_t capacity, uint64_t gd);

/* Writes a stream of a disk of zeroes, except the descriptor. */
int vmdk_stream_create(struct io *io, uint64_t capacity, struct err *e);

/* Opens an empty stream for writing, once and in order.  v->stream stays NULL when the disk is not
 * an empty stream. */
int vmdk_stream_open(const struct image *img, struct vmdk *v, struct err *e);

#endif
