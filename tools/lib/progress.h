/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* progress.h - how far a long work is: on a terminal a bar with rate and time left, elsewhere the
 * lines of qemu-img -p. */
#ifndef VDISK_TOOLS_LIB_PROGRESS_H
#define VDISK_TOOLS_LIB_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct progress {
	bool on, terminal;
	uint64_t done, total; /* bytes */
	struct timespec begun, shown;
};

/* Shows nothing if not on. */
void progress_begin(struct progress *p, bool on, uint64_t total);

/* One thread at a time. */
void progress_add(struct progress *p, uint64_t bytes);

/* Shows the end of it and moves to a fresh line. */
void progress_end(struct progress *p);

#endif
