/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* await-exit SECONDS PID... - waits until all processes have exited; status 1 if one runs longer.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int milliseconds_left(const struct timespec *end)
{
	struct timespec now;
	long ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (end->tv_sec - now.tv_sec) * 1000 + (end->tv_nsec - now.tv_nsec) / 1000000;
	return ms > 0 ? ms : 0;
}

int main(int argc, char **argv)
{
	struct timespec end;

	if (argc < 2)
		return 2;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += atoi(argv[1]);
	for (int i = 2; i < argc; i++) {
		struct pollfd p = {.events = POLLIN};

		p.fd = syscall(SYS_pidfd_open, atoi(argv[i]), 0);
		if (p.fd < 0)
			continue; /* it has exited */
		if (poll(&p, 1, milliseconds_left(&end)) != 1) {
			fprintf(stderr, "process %s is still there\n", argv[i]);
			return 1;
		}
		close(p.fd);
	}
	return 0;
}
