/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gunzip.h - what is in a gzip file, to be read at any place.
 *
 * The file is read through once when it is opened: then its length is known, its checksums have
 * been right, and there are points all over it from which decoding can begin.  Their number is
 * bounded, so they lie further apart in a longer file.
 */
#ifndef VDISK_IO_GUNZIP_H
#define VDISK_IO_GUNZIP_H

#include <stdbool.h>
#include <stddef.h>

struct cache;
struct err;
struct io;

/* Does it begin as gzip files do? */
bool gunzip_probe(struct io *packed);

/* Decodes the first len bytes, fewer of a shorter file or before data that cannot be decoded. */
size_t gunzip_peek(struct io *packed, unsigned char *out, size_t len);

/* A stand-in for the file in packed, which it takes, also on failure.  What is decoded is kept in
 * the cache, if there is room. */
struct io *gunzip_open(struct io *packed, struct cache *cache, struct err *e);

#endif
