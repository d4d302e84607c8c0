/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ranges FILE - prints the ranges of data that SEEK_DATA reports, "START LENGTH" a line; reads
 * none. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	off_t data, hole = 0;

	if (fd < 0) {
		perror("ranges");
		return 2;
	}
	while ((data = lseek(fd, hole, SEEK_DATA)) >= 0) {
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole <= data)
			break;
		printf("%lld %lld\n", (long long)data, (long long)(hole - data));
	}
	if (data >= 0 || errno != ENXIO) {
		perror(argv[1]);
		return 1;
	}
	return 0;
}
