/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* extents.h - the extents of an export that the server has told, as far as they are kept: which
 * bytes read as zeroes.
 *
 * A few answers are kept, of which each covers a range.  A write forgets all of them, and an answer
 * to a request that was sent before it is not kept.
 *
 * Any thread.  Lock: one mutex, the last in the order.
 */
#ifndef VDISK_NBD_EXTENTS_H
#define VDISK_NBD_EXTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct extents;

struct extents *extents_new(struct err *e);
void extents_free(struct extents *x); /* NULL is fine */

/* The kind of the byte at pos and the end of the extent, as far as known; false: not known. */
bool extents_find(struct extents *x, uint64_t pos, bool *zero, uint64_t *end);

/* Before a request for extents: to be given to extents_add. */
unsigned extents_age(struct extents *x);

/* Keeps the start of an answer: n numbers, in turn the length of an extent and its flags
 * (base:allocation), from pos on.  Nothing at or past size is kept. */
void extents_add(struct extents *x, unsigned age, uint64_t pos, const uint32_t *entries, size_t n,
	uint64_t size);

/* Forgets everything. */
void extents_forget(struct extents *x);

#endif
