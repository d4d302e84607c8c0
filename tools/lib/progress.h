/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* progress.h - shows the progress of a long operation: on a terminal a bar with rate and remaining
 * time, else the lines of qemu-img -p. */
#ifndef VDISK_TOOLS_LIB_PROGRESS_H
#define VDISK_TOOLS_LIB_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct args;

struct progress {
	bool on, terminal;
	uint64_t done, total; /* bytes */
	struct timespec begun, shown;
	double part_shown; /* of 1 */
};

/* Shows nothing without -p or with -q. */
void progress_begin(struct progress *p, const struct args *a, uint64_t total);

/* Not thread-safe: callers hold a lock. */
void progress_add(struct progress *p, uint64_t bytes);

/* Shows the final state and ends the line. */
void progress_end(struct progress *p);

#endif
