/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fetch_log.h - an io that records what it is told to fetch. */
#ifndef UNIT_COMMON_FETCH_LOG_H
#define UNIT_COMMON_FETCH_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "io/io.h"

#define FETCHES_MAX 4096

struct fetch_log {
	struct io io; /* of zeroes; not to be unreferenced */
	size_t n;
	struct {
		uint64_t pos, len;
	} fetched[FETCHES_MAX];
};

void fetch_log_init(struct fetch_log *log, uint64_t size);

#endif
