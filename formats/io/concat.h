/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* concat.h - files laid end to end, as one: a file that was cut into chunks. */
#ifndef VDISK_IO_CONCAT_H
#define VDISK_IO_CONCAT_H

#include <stddef.h>

struct err;
struct io;

/* A stand-in for n > 0 files, which it holds.  name begins as theirs do if they are members of an
 * archive. */
struct io *concat_new(struct io *const *parts, size_t n, const char *name, struct err *e);

#endif
