/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rate.h - limits how fast bytes are written.  For one thread at a time. */
#ifndef VDISK_TOOLS_LIB_RATE_H
#define VDISK_TOOLS_LIB_RATE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct args;

struct rate {
	uint64_t limit; /* bytes per second; 0: none */
	uint64_t written;
	struct timespec begun;
};

/* Sets the limit that -r gives.  False after an error. */
bool rate_begin(struct rate *rate, const struct args *a);

/* Counts bytes as written, and sleeps until the rate is kept. */
void rate_wait(struct rate *rate, uint64_t bytes);

#endif
