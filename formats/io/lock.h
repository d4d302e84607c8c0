/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lock.h - advisory locks that QEMU understands, on the image file itself.
 *
 * They belong to the open file description: they survive fork and end with the last descriptor.
 */
#ifndef VDISK_IO_LOCK_H
#define VDISK_IO_LOCK_H

#include <stdbool.h>

struct err;
struct io;

/* Locks an opened file for reading.  share: also when another program holds it for writing.  The
 * error names the program that holds the lock, if it can be found.  A file system without locks is
 * no error. */
int lock_for_reading(struct io *io, bool share, struct err *e);

/* Locks an opened file for writing; fails also if another program reads it. */
int lock_for_writing(struct io *io, struct err *e);

#endif
