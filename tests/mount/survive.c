/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* survive.c - writes to a disk until its server is killed, and verifies afterwards that all synced
 * data is there.
 *
 *   survive write DISK SEED NOTE [PID...]   writes and syncs at random; NOTE gets the number of the
 * last synced write; after some writes the processes are killed survive verify DISK SEED NOTE each
 * sector must have its last synced write or a later one
 *
 * A write that was not synced may be there partly: SIGKILL ends the daemon's pwrite between two
 * pages. The block of a write follows from the seed and the number of the write, and both are its
 * contents. With an odd seed the blocks are large, and the file is open for writing only.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define BLOCK_MAX  65536u
#define BLOCKS_MAX 1500u
#define WRITES     4000u
#define BATCH      24u /* maximal number of writes between two syncs */
#define SECTOR     512u

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccd;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53;
	return x ^ x >> 33;
}

static size_t block_len(uint64_t seed)
{
	return seed % 2 ? BLOCK_MAX : 4096;
}

static uint64_t blocks(uint64_t seed)
{
	return seed % 2 ? 150 : BLOCKS_MAX;
}

static uint64_t block_of(uint64_t seed, uint64_t i)
{
	return mix(seed * 1000003 + i) % blocks(seed);
}

static bool ends_batch(uint64_t seed, uint64_t i)
{
	return mix(seed + 7 * i) % BATCH == 0 || i % BATCH == 0;
}

static void fill(uint64_t block[BLOCK_MAX / 8], uint64_t i, uint64_t number)
{
	for (size_t k = 0; k < BLOCK_MAX / 8; k++)
		block[k] = k % 2 ? number : i;
}

static int die(const char *what)
{
	fprintf(stderr, "survive: %s: %s\n", what, strerror(errno));
	return 1;
}

static int do_write(int disk, int note, uint64_t seed, char **pids)
{
	static uint64_t block[BLOCK_MAX / 8];
	uint64_t last = 20 + mix(seed) % 300;
	size_t len = block_len(seed);

	for (uint64_t i = 1; i < WRITES; i++) {
		uint64_t number = block_of(seed, i);

		if (i == last)
			for (; *pids; pids++)
				kill((pid_t)atoi(*pids), SIGKILL);
		fill(block, i, number);
		if (pwrite(disk, block, len, (off_t)(number * len)) != (ssize_t)len)
			return i >= last ? 0 : die("write");
		if (!ends_batch(seed, i))
			continue;
		if (fsync(disk) < 0)
			return i >= last ? 0 : die("fsync");
		if (pwrite(note, &i, sizeof i, 0) != sizeof i)
			return die("note");
	}
	fprintf(stderr, "survive: the writes did not end\n");
	return 1;
}

/* Sets last to the last of the first n writes to each block. */
static void remember(uint64_t seed, uint64_t n, uint64_t last[BLOCKS_MAX])
{
	for (uint64_t i = 1; i <= n; i++)
		last[block_of(seed, i)] = i;
}

/* last: the number of the block's last synced write. */
static bool is_right(
	const uint64_t *sector, uint64_t seed, uint64_t number, uint64_t last, uint64_t durable)
{
	static uint64_t want[BLOCK_MAX / 8];
	uint64_t i = sector[0];

	fill(want, i, i ? number : 0);
	return memcmp(sector, want, SECTOR) == 0 &&
	       (i == last || (i > durable && block_of(seed, i) == number));
}

static int do_verify(int disk, int note, uint64_t seed)
{
	static uint64_t last[BLOCKS_MAX], block[BLOCK_MAX / 8];
	uint64_t durable = 0;
	size_t len = block_len(seed);

	if (pread(note, &durable, sizeof durable, 0) < 0)
		return die("note");
	remember(seed, durable, last);
	for (uint64_t number = 0; number < blocks(seed); number++) {
		if (pread(disk, block, len, (off_t)(number * len)) != (ssize_t)len)
			return die("read");
		for (size_t k = 0; k < len / 8; k += SECTOR / 8) {
			if (is_right(block + k, seed, number, last[number], durable))
				continue;
			fprintf(stderr,
				"survive: seed %ju, byte %zu of block %ju holds write %ju of block "
				"%ju, not %ju; %ju were synced\n",
				(uintmax_t)seed, k * 8, (uintmax_t)number, (uintmax_t)block[k],
				(uintmax_t)block[k + 1], (uintmax_t)last[number],
				(uintmax_t)durable);
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	bool write = argc >= 5 && strcmp(argv[1], "write") == 0;
	int disk, note;
	uint64_t seed;

	if (argc < 5) {
		fprintf(stderr, "usage: survive write|verify DISK SEED NOTE [PID...]\n");
		return 2;
	}
	seed = strtoull(argv[3], NULL, 10);
	disk = open(argv[2], !write ? O_RDONLY : seed % 2 ? O_WRONLY : O_RDWR);
	note = open(argv[4], write ? O_RDWR | O_CREAT | O_TRUNC : O_RDONLY, 0600);
	if (disk < 0 || note < 0)
		return die(disk < 0 ? argv[2] : argv[4]);
	return write ? do_write(disk, note, seed, argv + 5) : do_verify(disk, note, seed);
}
