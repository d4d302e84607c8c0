/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ahead.h - parts of an export that were read ahead, in blocks of a bounded cache.
 *
 * A block is loading or loaded.  A read that finds a loading block waits for it.  A write forgets
 * the blocks that it touches, before it is sent and after it is answered: a block whose reading was
 * sent before the answer may have old bytes, and so is found by no read that begins after it.
 *
 * Any thread.  Lock: one mutex, the last in the order; not held while a request is sent.
 */
#ifndef VDISK_NBD_AHEAD_H
#define VDISK_NBD_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ahead;
struct ahead_block;
struct err;
struct nbd_request;

#define AHEAD_BLOCK  (256u << 10)
#define AHEAD_BLOCKS 256u /* at most: 64 MiB */

/* size: of the export; send: sends a request for a block. */
struct ahead *ahead_new(
	uint64_t size, void (*send)(void *arg, struct nbd_request *r), void *arg, struct err *e);

/* No request may be under way; NULL is fine. */
void ahead_free(struct ahead *a);

/* Begins to load the blocks of a range, as far as there is space for them. */
void ahead_fetch(struct ahead *a, uint64_t pos, uint64_t len);

/* Pins the block that pos lies in, for one ahead_read; NULL: it is neither loaded nor loading. */
struct ahead_block *ahead_pin(struct ahead *a, uint64_t pos);

/* Waits for a pinned block, copies len bytes at pos out of it, which lie in it, and unpins it.
 * False: its reading has failed. */
bool ahead_read(struct ahead *a, struct ahead_block *b, void *buf, size_t len, uint64_t pos);

/* Forgets what was read of a range. */
void ahead_forget(struct ahead *a, uint64_t pos, uint64_t len);

#endif
