/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nzstream FILE - prints a stream for hashing a disk: its blocks of 4 KiB that are not zero, each
 * after its offset, then the size; both are 64 bits, little-endian.
 *
 * The hash of a disk takes time only for its data and does not depend on which zeroes are holes. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096
#define CHUNK (1 << 20)

static char buf[CHUNK];

static bool put_number(uint64_t v)
{
	v = htole64(v);
	return fwrite(&v, sizeof v, 1, stdout) == 1;
}

static bool put_block(const char *block, size_t len, uint64_t off)
{
	if (block[0] == 0 && memcmp(block, block + 1, len - 1) == 0)
		return true;
	return put_number(off) && fwrite(block, 1, len, stdout) == len;
}

/* off is a multiple of BLOCK, and so is len except at the end of the file. */
static bool put_chunk(int fd, size_t len, uint64_t off)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, buf + done, len - done, off + done);

		if (n <= 0)
			return false;
		done += n;
	}
	for (size_t i = 0; i < len; i += BLOCK)
		if (!put_block(buf + i, len - i < BLOCK ? len - i : BLOCK, off + i))
			return false;
	return true;
}

/* Returns the next block with data, or size if there is none. */
static uint64_t next_data(int fd, uint64_t off, uint64_t size)
{
	off_t data = lseek(fd, off, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? size : off;
	return data / BLOCK * BLOCK;
}

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	uint64_t off = 0;

	if (size < 0) {
		perror("nzstream");
		return 2;
	}
	while (off < (uint64_t)size && (off = next_data(fd, off, size)) < (uint64_t)size) {
		size_t len = size - off < CHUNK ? size - off : CHUNK;

		if (!put_chunk(fd, len, off)) {
			perror(argv[1]);
			return 1;
		}
		off += len;
	}
	return put_number(size) && fflush(stdout) == 0 ? 0 : 1;
}
