/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fault_io.h - an io over memory of which one read goes wrong. */
#ifndef UNIT_COMMON_FAULT_IO_H
#define UNIT_COMMON_FAULT_IO_H

#include <stddef.h>

struct io;

enum fault { FAULT_EIO, FAULT_SHORT };

/* data is borrowed.  It reads well until it is armed. */
struct io *fault_io_new(const void *data, size_t len);

/* The nth read from now on, 1 the next, fails; 0: none does. */
void fault_io_arm(struct io *io, unsigned nth, enum fault fault);

/* Has the armed fault struck? */
int fault_io_struck(const struct io *io);

#endif
