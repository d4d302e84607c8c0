/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* process.h - helpers for daemons: descriptors, pipes between processes, threads without signals, a
 * clock. */
#ifndef VDISKFS_BASE_PROCESS_H
#define VDISKFS_BASE_PROCESS_H

#include <pthread.h>
#include <stddef.h>
#include <time.h>

struct err;

/* Opens /dev/null for those of the descriptors 0 to 2 that are closed: else an image could become
 * standard error. */
void process_guard_stdio(void);

/* Closes all descriptors from 3 on except those in keep; -1 in keep is ignored. */
void process_close_others(const int *keep, size_t n);

/* Reads one byte from a pipe; 0 at its end. */
char process_receive(int fd);
void process_send(int fd, char byte);

/* Redirects standard input, output and error to null, an open /dev/null. */
void process_mute(int null);

/* Writes to a file in /sys; does nothing without permission. */
void process_set_control(const char *path, const char *value);

/* Seconds of the monotonic clock. */
time_t process_now(void);

/* Starts a thread with all signals blocked, so that the main thread gets them. */
int process_thread(pthread_t *thread, void *(*loop)(void *arg), void *arg, struct err *e);

#endif
