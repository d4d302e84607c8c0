/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* meta.h - metadata of an image, read through pages of its host file that the cache keeps.
 *
 * Bytes beyond the end of the file read as zeroes.  Tables are walked page by page: an aligned
 * entry of 8 bytes or less never straddles two.  Changes go through writeback.h, which leaves a
 * note on each page until it is written.
 */
#ifndef VDISK_IO_META_H
#define VDISK_IO_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache.h"

struct io;

#define META_PAGE 4096u

struct meta {
	const unsigned char *p;    /* the byte at pos */
	size_t n;                  /* bytes from p to the end of its page, >= 1 */
	const struct block *block; /* private */
};

int meta_pin(struct cache *c, struct io *io, uint64_t pos, struct meta *m, struct err *e);
void meta_unpin(struct cache *c, struct meta *m);

/* Copies len bytes at pos, across pages: for headers and single entries. */
int meta_read(struct cache *c, struct io *io, void *buf, size_t len, uint64_t pos, struct err *e);

/* As cache_modify, of the page of the file that contains pos. */
int meta_modify(struct cache *c, struct io *io, uint64_t pos, cache_change *change, void *arg,
	struct err *e);

/* As cache_has_note. */
bool meta_has_note(struct cache *c, struct io *io, uint64_t pos);

/* As cache_release. */
void meta_release(struct cache *c, struct io *io, uint64_t pos);

#endif
