/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* await-mount SECONDS DIR - waits until a file system is mounted on DIR, a path without links. */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_mounted(FILE *mountinfo, const char *dir)
{
	char *path = NULL;
	bool found = false;

	rewind(mountinfo);
	while (!found && fscanf(mountinfo, "%*d %*d %*s %*s %ms %*[^\n]", &path) == 1) {
		found = strcmp(path, dir) == 0;
		free(path);
	}
	return found;
}

int main(int argc, char **argv)
{
	FILE *mountinfo = argc == 3 ? fopen("/proc/self/mountinfo", "re") : NULL;

	if (!mountinfo)
		return 2;
	while (!is_mounted(mountinfo, argv[2])) {
		struct pollfd change = {.fd = fileno(mountinfo), .events = POLLPRI};

		if (poll(&change, 1, atoi(argv[1]) * 1000) <= 0) {
			fprintf(stderr, "nothing was mounted on %s\n", argv[2]);
			return 1;
		}
	}
	return 0;
}
