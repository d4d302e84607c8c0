/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* replay.h - a file with the changes of a log that has not been replayed into it.
 *
 * Replaced pages are not held in memory: they are read from the log.
 */
#ifndef VDISK_IO_REPLAY_H
#define VDISK_IO_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct io;

#define OVERLAY_PAGE      4096u
#define OVERLAY_PAGE_HEAD 8u
#define OVERLAY_PAGE_TAIL 4u

/* A stand-in for base, which it holds.  At most max changes are taken. */
struct io *replay_new(struct io *base, uint32_t max, struct err *e);

/* Later changes replace earlier ones.  pos and len are multiples of OVERLAY_PAGE; the file grows as
 * needed.  A page is that at from in base, but for its first and its last bytes. */
int replay_page(struct io *io, uint64_t pos, uint64_t from, const unsigned char *head,
	const unsigned char *tail, struct err *e);
int replay_zero(struct io *io, uint64_t pos, uint64_t len, struct err *e);

/* Extends a shorter file to this size, by zeroes. */
int replay_grow(struct io *io, uint64_t size, struct err *e);

/* Does a change lie anywhere in [pos, pos+len)? */
bool replay_touches(const struct io *io, uint64_t pos, uint64_t len);

/* Writes the changes to the base, which is writable; not yet durable.  They must not change the
 * log.
 */
int replay_apply(struct io *io, struct err *e);

#endif
