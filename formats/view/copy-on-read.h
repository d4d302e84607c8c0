/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copy-on-read.h - an overlay keeps what is read of its parents, so that the next read needs only
 * the overlay.
 *
 * A range is stored only while the overlay does not have it: under the same locks as an allocating
 * write (writer.h), so that it never replaces bytes that were written meanwhile.  Whole units of
 * zeroes become zeroes in the map, if the format can.
 */
#ifndef VDISK_VIEW_COPY_ON_READ_H
#define VDISK_VIEW_COPY_ON_READ_H

#include <stdint.h>

struct err;
struct view;

/* To be called before [off, off+len) of v is read, not entered; the part past the end is ignored.
 * Does nothing unless the image below v is opened with copy_on_read.  -errno: something could not
 * be stored, so copy_on_read is off for the image from now on; the read can go on.  A parent that
 * cannot be read is no error here, but to the read itself.  Any number of threads. */
int copy_on_read(const struct view *v, uint64_t off, uint64_t len, struct err *e);

#endif
