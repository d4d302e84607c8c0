/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header-last.h - a file under creation whose first sector is written last.
 *
 * Each format that can be created is recognized by its first sector, or (VHD) by a footer that its
 * driver writes after a sync.  While the first sector is missing, a power cut leaves a file that no
 * format accepts, whichever of the other writes have reached the disk.
 */
#ifndef VDISK_IO_HEADER_LAST_H
#define VDISK_IO_HEADER_LAST_H

#include <stdbool.h>

struct err;
struct io;

/* A stand-in for base, which it holds: writes to the first sector stay in memory.  The first change
 * removes the old contents: until then, a driver that refuses its options has destroyed nothing.  A
 * device loses its first sector and its last. */
struct io *header_last_new(struct io *base, struct err *e);

/* Are the old contents removed? */
bool header_last_begun(const struct io *io);

/* Syncs base, writes the first sector and syncs again; nothing may be written afterwards. */
int header_last_finish(struct io *io, struct err *e);

#endif
