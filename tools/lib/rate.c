/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rate.h"

#include <errno.h>

#include "args.h"

#define NS UINT64_C(1000000000)

bool rate_begin(struct rate *rate, const struct args *a)
{
	*rate = (struct rate){0};
	clock_gettime(CLOCK_MONOTONIC, &rate->begun);
	return args_size(a, OPT_RATE, "rate limit", &rate->limit);
}

void rate_wait(struct rate *rate, uint64_t bytes)
{
	struct timespec until = rate->begun;
	uint64_t ns;

	rate->written += bytes;
	if (rate->limit == 0)
		return;
	ns = (uint64_t)((double)(rate->written % rate->limit) * (double)NS / (double)rate->limit) +
	     (uint64_t)until.tv_nsec;
	until.tv_sec += (time_t)(rate->written / rate->limit + ns / NS);
	until.tv_nsec = (long)(ns % NS);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}
