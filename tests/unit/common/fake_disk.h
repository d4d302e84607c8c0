/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fake_disk.h - a disk of any size that takes no room, and a file that is a view. */
#ifndef UNIT_COMMON_FAKE_DISK_H
#define UNIT_COMMON_FAKE_DISK_H

#include <stdint.h>

struct cache;
struct io;
struct view;

/* The first unit from number i on that is stored; any beyond the disk: there is none. */
typedef uint64_t fake_next(uint64_t i);

/* A disk of units of unit bytes, which is a multiple of 8.  What is stored says where it is and is
 * nowhere zero; the rest is zero.  Freed by view_free. */
struct view *fake_disk_new(struct cache *cache, uint64_t size, uint32_t unit, fake_next *next);

/* From now on reading what is stored of the unit at off fails. */
void fake_disk_break(struct view *v, uint64_t off);

/* An io that reads v, which must outlive it. */
struct io *view_io_new(const struct view *v);

#endif
