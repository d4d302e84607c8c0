/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bitmap_reader.h - the persistent bitmaps of a qcow2 file, read without the driver. */
#ifndef UNIT_DRIVER_QCOW2_BITMAP_READER_H
#define UNIT_DRIVER_QCOW2_BITMAP_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { READ_IN_USE = 1, READ_AUTO = 2 };

struct read_bitmap {
	uint64_t granularity, bits;
	uint32_t flags;
	unsigned char *bit; /* one byte a bit */
};

/* Reads the bitmap of that name in a file of len bytes, which the caller frees; false: there is
 * none.  Asserts that its structures lie in the file and have the sizes that the disk requires,
 * unless it is in use. */
bool bitmap_reader_find(
	const unsigned char *file, size_t len, const char *name, struct read_bitmap *b);

#endif
