/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memory_disk.h - a disk of any size: zeroes, except for the sectors written by the test. */
#ifndef UNIT_COMMON_MEMORY_DISK_H
#define UNIT_COMMON_MEMORY_DISK_H

#include <stddef.h>
#include <stdint.h>

struct view;

/* view_free frees it. */
struct view *memdisk_new(uint64_t size);
void memdisk_put(struct view *v, uint64_t off, const void *data, size_t len);
void memdisk_get(const struct view *v, uint64_t off, void *data, size_t len);

/* Makes every read of the sector at off fail. */
void memdisk_break(struct view *v, uint64_t off);

/* Changes the size, as for a truncated or grown disk. */
void memdisk_resize(struct view *v, uint64_t size);

#endif
