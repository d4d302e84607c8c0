/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* in-use.h - uses of a host file that take none of QEMU's locks (io/lock.h). */
#ifndef VDISK_IO_IN_USE_H
#define VDISK_IO_IN_USE_H

struct err;
struct io;

/* EBUSY: a loop device or the swap space is on the file, or the device is mounted, swapped on or
 * part of another device.  0 also where the host does not show its uses. */
int in_use_check(const struct io *io, struct err *e);

#endif
