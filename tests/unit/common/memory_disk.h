/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memory_disk.h - a disk of any size for tests: zeroes but for the sectors written to it. */
#ifndef UNIT_COMMON_MEMORY_DISK_H
#define UNIT_COMMON_MEMORY_DISK_H

#include <stddef.h>
#include <stdint.h>

struct view;

/* Freed by view_free. */
struct view *memdisk_new(uint64_t size);
void memdisk_put(struct view *v, uint64_t off, const void *data, size_t len);
void memdisk_get(const struct view *v, uint64_t off, void *data, size_t len);

/* From now on reading the sector at off fails. */
void memdisk_break(struct view *v, uint64_t off);

/* What a partition has lost or a disk has gained at its end. */
void memdisk_resize(struct view *v, uint64_t size);

#endif
