/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fetch_log.h"

#include <string.h>

#include "common/unit.h"

static ssize_t log_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	(void)io, (void)pos;
	memset(buf, 0, len);
	return (ssize_t)len;
}

static void log_fetch(struct io *io, uint64_t pos, uint64_t len)
{
	struct fetch_log *log = (struct fetch_log *)io;

	ck_assert_uint_lt(log->n, FETCHES_MAX);
	log->fetched[log->n].pos = pos;
	log->fetched[log->n++].len = len;
}

static const struct io_ops log_ops = {.read = log_read, .fetch = log_fetch};

void fetch_log_init(struct fetch_log *log, uint64_t size)
{
	*log = (struct fetch_log){.io = {.ops = &log_ops, .fd = -1, .size = size, .refs = 1}};
}
