/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gunzip.h - the contents of a gzip file, read at any position.
 *
 * The file is read through once when it is opened: for its length, its checksums, and points from
 * which decoding can begin.  Their number is bounded, so they are further apart in a longer file.
 */
#ifndef VDISK_IO_GUNZIP_H
#define VDISK_IO_GUNZIP_H

#include <stdbool.h>
#include <stddef.h>

struct cache;
struct err;
struct io;

/* Has it the magic of a gzip file? */
bool gunzip_probe(struct io *packed);

/* Decodes the first len bytes, fewer of a shorter file or before data that cannot be decoded. */
size_t gunzip_peek(struct io *packed, unsigned char *out, size_t len);

/* A stand-in for the file in packed, which it takes, also on failure.  Decoded units are kept in
 * the cache. */
struct io *gunzip_open(struct io *packed, struct cache *cache, struct err *e);

#endif
