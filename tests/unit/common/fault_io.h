/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fault_io.h - an io on memory of which one read can be made to fail. */
#ifndef UNIT_COMMON_FAULT_IO_H
#define UNIT_COMMON_FAULT_IO_H

#include <stddef.h>

struct io;

enum fault { FAULT_EIO, FAULT_SHORT };

/* data is borrowed.  All reads succeed until fault_io_arm is called. */
struct io *fault_io_new(const void *data, size_t len);

/* Makes the nth read from now on fail (1: the next); 0 disarms it. */
void fault_io_arm(struct io *io, unsigned nth, enum fault fault);

/* Returns whether the armed read was reached. */
int fault_io_failed(const struct io *io);

#endif
