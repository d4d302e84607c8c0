/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* process.h - descriptors and the background: what a daemon does about being a process. */
#ifndef VDISK_PROCESS_H
#define VDISK_PROCESS_H

#include <pthread.h>

/* Makes sure that descriptors 0 to 2 are open, so that no image becomes somebody's standard error.
 */
void process_guard_stdio(void);

/* Closes all descriptors from 3 on, but a and b (-1: none). */
void process_close_others(int a, int b);

/* Lets standard input, output and error be null, an open /dev/null. */
void process_mute(int null);

/* Starts a thread that leaves all signals to the others.  0 or an errno. */
int process_thread(pthread_t *thread, void *(*loop)(void *arg), void *arg);

#endif
