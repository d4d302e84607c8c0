/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* writeback.h - changed metadata on its way from memory to the files of an image.
 *
 * Tables of a writable image are changed only in the pages of the cache, where readers see the
 * change at once.  A flush writes them to the file in order: a reference after its target is
 * durable, a reference count before its cluster is used.  So a power cut at any moment leaves at
 * worst leaks.
 *
 * All of a new table in the place of data is written through here before it is read.
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

/* The order of writes in a flush.  A sync separates two orders that both have changes; data that
 * was written to the files is durable before ORDER_COUNTS_ROOT and all that follow. */
enum write_order {
	ORDER_COUNTS = 1,  /* reference counts and the like */
	ORDER_COUNTS_ROOT, /* references to counts */
	ORDER_TABLES,      /* references to data; tables without a reference */
	ORDER_TABLES_ROOT, /* references to tables */
	ORDER_HEADER,      /* the header, which makes all of it valid */
	ORDERS,
};

/* The smallest aligned range that is written, and that has one order: bytes. */
#define WRITE_SECTOR 512u

struct writeback *writeback_new(struct cache *c, struct err *e);

/* Changes that were not written are lost. */
void writeback_free(struct writeback *w); /* NULL is fine */

/* From now on w has the changes of the metadata of io, which must stay until writeback_free. */
int writeback_add(struct writeback *w, struct io *io, struct err *e);

/* The number of pages that wait to be written; any thread, at any time. */
size_t writeback_pending(const struct writeback *w);

/* Calls each for every page that waits: pos is a multiple of META_PAGE, page the new contents. */
typedef int writeback_each_fn(
	void *arg, struct io *io, uint64_t pos, const unsigned char *page, struct err *e);
int writeback_each(struct writeback *w, writeback_each_fn *each, void *arg, struct err *e);

/* Is writing over?  It is when another program was found to have changed the length of one of the
 * files, or structures of the metadata to share bytes.  Any thread. */
bool writeback_is_stopped(const struct writeback *w);

/* Compares the length of each file: 0, or the error because of which writing is over. */
int writeback_check(struct writeback *w, struct err *e);

/* Makes data and changes durable, in order.  After a failure the files hold a part of the changes,
 * a prefix in their order: nothing more may be written then. */
int writeback_flush(struct writeback *w, struct err *e);

/* Changes len bytes of metadata at pos.  -EUCLEAN: bytes of one of the sectors wait for another
 * order, so two structures overlap; then nothing is written any more.  Past its end the file grows,
 * once they are written. */
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
