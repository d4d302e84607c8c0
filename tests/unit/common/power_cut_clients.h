/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* power_cut_clients.h - power cuts while several clients write to one image.
 *
 * Each client is a thread that writes, clears, reads and flushes its own sectors.  Sectors of
 * different clients alternate, so that they share clusters and blocks.  After some calls to the
 * host a power cut is simulated: any subset of the pending writes is there.  Each sector must have
 * the last write that its client has flushed, or a later one, and the format's check must find no
 * corruption.
 */
#ifndef UNIT_COMMON_POWER_CUT_CLIENTS_H
#define UNIT_COMMON_POWER_CUT_CLIENTS_H

#include <stdint.h>

struct clients {
	const char *path; /* an empty image in a single file */
	const char *format;
	uint64_t seed;
	unsigned n;   /* number of clients */
	unsigned ops; /* operations of each client */
};

void clients_run(const struct clients *c);

#endif
