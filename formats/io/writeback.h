/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* writeback.h - changed metadata on its way from memory to the files of an image.
 *
 * Tables of a writable image are changed in the pages of the cache, where readers see the change at
 * once, and nowhere else.  They reach the file in a flush, and in an order: whatever points at
 * something is written after what it points at is durable, and whatever counts something before it
 * is used.  So a power cut at any moment leaves nothing worse than room that nobody uses.
 *
 * Whoever turns data into a table writes all of the table through here before it is looked at.
 *
 * Threads: changes and flushes one at a time, under the meta lock of the image (view/writer.h).
 */
#ifndef VDISK_IO_WRITEBACK_H
#define VDISK_IO_WRITEBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/bitmap.h"

struct cache;
struct err;
struct io;
struct writeback;

/* What is written first.  Between two of them that both have something to write there is a sync;
 * what was written to the files as data is durable before ORDER_COUNTS_ROOT and all that follow. */
enum write_order {
	ORDER_COUNTS = 1,  /* reference counts and the like */
	ORDER_COUNTS_ROOT, /* what points at counts */
	ORDER_TABLES,      /* what points at data; tables that nothing points at yet */
	ORDER_TABLES_ROOT, /* what points at tables */
	ORDER_HEADER,      /* what makes all of it valid */
	ORDERS,
};

/* The unit of order, and the least that is written: bytes, and aligned. */
#define WRITE_SECTOR 512u

struct writeback *writeback_new(struct cache *c, struct err *e);

/* Changes that were not written are lost. */
void writeback_free(struct writeback *w); /* NULL is fine */

/* From now on the metadata of io, which must stay until writeback_free, is changed through w. */
int writeback_add(struct writeback *w, struct io *io, struct err *e);

/* Pages that wait to be written; asked by any thread, at any time. */
size_t writeback_pending(const struct writeback *w);

/* Calls each for every page that waits: a multiple of META_PAGE and what it will be. */
typedef int writeback_each_fn(
	void *arg, struct io *io, uint64_t pos, const unsigned char *page, struct err *e);
int writeback_each(struct writeback *w, writeback_each_fn *each, void *arg, struct err *e);

/* May nothing be written any more, as far as is known: has another program changed the length of
 * one of the files, or do structures of the metadata share bytes?  Any thread. */
bool writeback_is_stopped(const struct writeback *w);

/* Looks at the length of each file: 0, or the error why nothing may be written any more. */
int writeback_check(struct writeback *w, struct err *e);

/* Makes data and changes durable, in order.  After a failure the files hold a part of the changes,
 * a prefix in their order: nothing more may be written then. */
int writeback_flush(struct writeback *w, struct err *e);

/* Changes len bytes of metadata at pos.  -EUCLEAN: bytes of one of the sectors wait for another
 * order, so two structures overlap; then nothing is written any more.  Past the end of the file it
 * grows, once they are written. */
int meta_write(struct io *io, const void *buf, size_t len, uint64_t pos, enum write_order order,
	struct err *e);

/* The same with len bytes that are at from. */
int meta_copy(struct cache *c, struct io *io, uint64_t from, size_t len, uint64_t pos,
	enum write_order order, struct err *e);

/* The same with zeroes. */
int meta_zero(struct io *io, size_t len, uint64_t pos, enum write_order order, struct err *e);

/* Makes n bits from the one numbered first on, in a map of bits that begins at pos, a multiple of
 * WRITE_SECTOR, equal to value. */
int meta_put_bits(struct io *io, uint64_t pos, uint64_t first, uint64_t n, bool value,
	enum bit_order bits, enum write_order order, struct err *e);

#endif
