/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cached FILE <RANGES   prints how many bytes of FILE in the ranges "POSITION LENGTH", one a line,
 * are in the page cache, and how many the ranges have; whole pages of both. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pos, len, cached = 0, all = 0;
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	unsigned char *present;
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st) < 0) {
		fprintf(stderr, "usage: cached FILE <RANGES\n");
		return 2;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	present = malloc((size_t)st.st_size / page + 1);
	if (map == MAP_FAILED || !present || mincore(map, (size_t)st.st_size, present) < 0) {
		perror(argv[1]);
		return 1;
	}
	while (scanf("%" SCNu64 " %" SCNu64, &pos, &len) == 2)
		for (uint64_t i = pos / page; i < (pos + len + page - 1) / page; i++) {
			all += page;
			cached += i <= (uint64_t)st.st_size / page && (present[i] & 1) ? page : 0;
		}
	printf("%" PRIu64 " %" PRIu64 "\n", cached, all);
	free(present);
	return 0;
}
