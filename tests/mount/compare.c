/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compare [-e] [-t THREADS] [-n READS] [-u UNIT] [-s SEED] FILE REFERENCE
 *
 * Compares FILE, on a mount, with REFERENCE.  First the size.  Then random reads of odd offsets and
 * lengths by several threads, most of them across a multiple of UNIT or the end.  Then a sequential
 * read of the ranges that SEEK_DATA reports; between them the reference must be zero.  st_blocks
 * must be between the amount of nonzero data and the amount that SEEK_DATA reports; it may differ
 * from the latter, since a preallocated range of the host file changes from hole to data when it is
 * read.  With -e, for a mount from which nothing was read, they must be equal.  Prints the first
 * difference and exits with status 1. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (1u << 20)

struct job {
	const char *name, *refname;
	uint64_t size, unit, seed;
	long reads;
	atomic_bool failed;
};

/* Sums of sequential(), in bytes. */
struct sums {
	uint64_t data, nonzero;
};

static bool report(const struct job *j, uint64_t off, const char *what)
{
	fprintf(stderr, "%s: %s at %" PRIu64 " (seed %" PRIu64 ")\n", j->name, what, off, j->seed);
	return false;
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static bool read_all(int fd, char *buf, size_t len, uint64_t off)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, buf + done, len - done, off + done);

		if (n <= 0)
			return false;
		done += n;
	}
	return true;
}

static bool same_range(
	const struct job *j, int fd, int ref, char *a, char *b, size_t len, uint64_t off)
{
	if (!read_all(fd, a, len, off))
		return report(j, off, "read failed or ended too early");
	if (!read_all(ref, b, len, off))
		return report(j, off, "the reference cannot be read");
	if (memcmp(a, b, len) == 0)
		return true;
	while (*a == *b)
		a++, b++, off++;
	return report(j, off, "differs");
}

/* Most reads cross a unit boundary, since errors of the mapping occur there. */
static void pick(const struct job *j, uint64_t *state, uint64_t *off, size_t *len)
{
	uint64_t r = next_random(state), borders = j->size / j->unit;

	*len = 1 + next_random(state) % (r % 8 == 0 ? CHUNK : r % 8 < 4 ? 70000 : 5000);
	if (r % 4 != 0 && borders > 0)
		*off = (1 + next_random(state) % borders) * j->unit;
	else
		*off = next_random(state) % j->size;
	*off -= next_random(state) % (*len < *off ? *len : *off + 1);
	if (*off >= j->size)
		*off = j->size - 1;
	if (*len > j->size - *off)
		*len = j->size - *off;
}

static void *read_randomly(void *arg)
{
	static atomic_uint number;
	struct job *j = arg;
	uint64_t state = j->seed * 1000 + atomic_fetch_add(&number, 1);
	char *a = malloc(CHUNK), *b = malloc(CHUNK);
	int fd = open(j->name, O_RDONLY), ref = open(j->refname, O_RDONLY);
	bool ok = fd >= 0 && ref >= 0;

	for (long i = 0; ok && !j->failed && i < j->reads; i++) {
		uint64_t off;
		size_t len;

		pick(j, &state, &off, &len);
		ok = same_range(j, fd, ref, a, b, len, off);
	}
	if (!ok)
		j->failed = true;
	close(fd);
	close(ref);
	free(a);
	free(b);
	return NULL;
}

static bool random_reads(struct job *j, int nthreads)
{
	pthread_t threads[64];

	if (j->size == 0)
		return true;
	for (int i = 0; i < nthreads; i++)
		pthread_create(&threads[i], NULL, read_randomly, j);
	for (int i = 0; i < nthreads; i++)
		pthread_join(threads[i], NULL);
	return !j->failed;
}

static bool all_zero(const struct job *j, int ref, char *buf, uint64_t off, uint64_t end)
{
	while (off < end) {
		off_t data = lseek(ref, off, SEEK_DATA);
		size_t len;

		if (data < 0 || (uint64_t)data >= end)
			return true;
		off = data;
		len = end - off < CHUNK ? end - off : CHUNK;
		if (!read_all(ref, buf, len, off))
			return report(j, off, "the reference cannot be read");
		if (buf[0] != 0 || memcmp(buf, buf + 1, len - 1) != 0)
			return report(
				j, off, "reported as a hole, but the reference has data near");
		off += len;
	}
	return true;
}

static uint64_t count_nonzero(const char *buf, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i += 512) {
		size_t piece = len - i < 512 ? len - i : 512;

		if (buf[i] != 0 || memcmp(buf + i, buf + i + 1, piece - 1) != 0)
			n += piece;
	}
	return n;
}

/* Reads data and skips holes, as cp does. */
static bool sequential(const struct job *j, struct sums *sums)
{
	char *a = malloc(CHUNK), *b = malloc(CHUNK);
	int fd = open(j->name, O_RDONLY), ref = open(j->refname, O_RDONLY);
	uint64_t off = 0;
	bool ok = true;

	*sums = (struct sums){0};
	while (ok && off < j->size) {
		off_t data = lseek(fd, off, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			data = j->size;
		if (data < 0)
			ok = report(j, off, "SEEK_DATA failed");
		ok = ok && all_zero(j, ref, b, off, data);
		if (!ok || (uint64_t)data == j->size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole <= data)
			ok = report(j, data, "SEEK_HOLE found no hole after data");
		for (off = data; ok && off < (uint64_t)hole;) {
			size_t len = hole - off < CHUNK ? hole - off : CHUNK;

			ok = same_range(j, fd, ref, a, b, len, off);
			sums->nonzero += count_nonzero(b, len);
			off += len;
		}
		sums->data += hole - data;
	}
	if (ok && lseek(fd, j->size, SEEK_DATA) >= 0)
		ok = report(j, j->size, "SEEK_DATA found data at the end");
	close(fd);
	close(ref);
	free(a);
	free(b);
	return ok;
}

/* The amount of data that SEEK_DATA reports, without reading it. */
static uint64_t data_of(const char *name)
{
	int fd = open(name, O_RDONLY);
	uint64_t sum = 0;
	off_t data, hole = 0;

	while ((data = lseek(fd, hole, SEEK_DATA)) >= 0) {
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole <= data)
			break;
		sum += hole - data;
	}
	close(fd);
	return sum;
}

static bool blocks_within(const char *name, uint64_t blocks, uint64_t least, uint64_t most)
{
	if (blocks >= (least + 511) / 512 && blocks <= (most + 511) / 512)
		return true;
	fprintf(stderr, "%s: %" PRIu64 " blocks for %" PRIu64 " to %" PRIu64 " bytes of data\n",
		name, blocks, least, most);
	return false;
}

int main(int argc, char **argv)
{
	struct job j = {.unit = 65536, .seed = 1, .reads = 400};
	struct stat st, ref;
	struct sums sums;
	int opt, nthreads = 4;
	bool exact = false;

	while ((opt = getopt(argc, argv, "et:n:u:s:")) != -1) {
		if (opt == 'e')
			exact = true;
		else if (opt == 't')
			nthreads = atoi(optarg);
		else if (opt == 'n')
			j.reads = atol(optarg);
		else if (opt == 'u')
			j.unit = strtoull(optarg, NULL, 0);
		else if (opt == 's')
			j.seed = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	if (argc - optind != 2 || nthreads < 1 || nthreads > 64 || j.unit == 0)
		return 2;
	j.name = argv[optind];
	j.refname = argv[optind + 1];
	if (stat(j.name, &st) < 0 || stat(j.refname, &ref) < 0) {
		perror(j.name);
		return 1;
	}
	j.size = ref.st_size;
	if (st.st_size != ref.st_size) {
		fprintf(stderr, "%s: %" PRIu64 " bytes, the reference has %" PRIu64 "\n", j.name,
			(uint64_t)st.st_size, j.size);
		return 1;
	}
	sums.data = exact ? data_of(j.name) : 0;
	if (exact && !blocks_within(j.name, st.st_blocks, sums.data, sums.data))
		return 1;
	if (!random_reads(&j, nthreads) || !sequential(&j, &sums))
		return 1;
	return !blocks_within(j.name, st.st_blocks, sums.nonzero, sums.data);
}
