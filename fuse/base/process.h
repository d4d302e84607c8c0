/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* process.h - descriptors and the background: what a daemon does about being a process. */
#ifndef VDISKFS_BASE_PROCESS_H
#define VDISKFS_BASE_PROCESS_H

#include <pthread.h>
#include <stddef.h>

/* Makes sure that descriptors 0 to 2 are open, so that no image becomes somebody's standard error.
 */
void process_guard_stdio(void);

/* Closes all descriptors from 3 on, but those in keep (-1: none). */
void process_close_others(const int *keep, size_t n);

/* The next byte from the other end of a pipe, 0 at its end. */
char process_hear(int fd);
void process_say(int fd, char byte);

/* Lets standard input, output and error be null, an open /dev/null. */
void process_mute(int null);

/* Writes to a file of /sys; who may not does without. */
void process_set_control(const char *path, const char *value);

/* Starts a thread that leaves all signals to the others.  0 or an errno. */
int process_thread(pthread_t *thread, void *(*loop)(void *arg), void *arg);

#endif
