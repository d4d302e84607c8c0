/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* power_cut_clients.h - power cuts while several clients write to one image.
 *
 * Each client is a thread that writes, clears, reads and flushes sectors of its own; those of all
 * clients alternate, so that they share clusters and blocks.  Amid all this, after a call to the
 * host, the power fails: any part of what is pending is there.  What each client has flushed must
 * be there, or what it has written since, and the format's check finds no corruption.
 */
#ifndef UNIT_COMMON_POWER_CUT_CLIENTS_H
#define UNIT_COMMON_POWER_CUT_CLIENTS_H

#include <stdint.h>

struct clients {
	const char *path; /* of the empty image to begin with, a single file */
	const char *format;
	uint64_t seed;
	unsigned n;   /* clients */
	unsigned ops; /* of each */
};

void clients_run(const struct clients *c);

#endif
