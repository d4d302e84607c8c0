/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* holder.h - ends the server when the program that has started it closes a pipe or dies.
 *
 * A signal would not do: nbdkit then waits for its clients, and a guest stays for days.
 */
#ifndef VDISK_TOOLS_NBDKIT_HOLDER_H
#define VDISK_TOOLS_NBDKIT_HOLDER_H

/* Sets the read end of the pipe, a number.  -1 after an error, which is reported. */
int holder_set(const char *value);

/* Starts a thread that waits for the end of the pipe, if there is one; after the fork.  It lets
 * nbdkit shut down; if clients keep it from that for a second, it calls end, which ends the
 * process.  -1 after an error, which is reported. */
int holder_start(void (*end)(void));

/* Ends the thread: afterwards end is not called. */
void holder_stop(void);

#endif
