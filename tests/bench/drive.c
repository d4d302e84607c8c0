/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* drive sequential FILE             reads all of FILE, 1 MiB at a time; prints MiB a second
 * drive random FILE READERS SECONDS reads pages of 4 KiB; prints reads a second
 * drive write FILE WRITERS SECONDS  writes pages and syncs at the end; prints writes a second
 * drive direct FILE WRITERS SECONDS the same with O_DIRECT
 * drive extents FILE                walks SEEK_DATA and SEEK_HOLE; prints number of extents and
 * seconds
 *
 * "random" reads no page twice, so that no read is answered by the page cache; for "sequential",
 * mount anew.  "direct" opens the file for reading as well, as virtual machines and fio do. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MIB         (1u << 20)
#define PAGE        4096u
#define READERS_MAX 64

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int open_or_exit(const char *name, int flags)
{
	int fd = open(name, flags);

	if (fd < 0) {
		perror(name);
		exit(1);
	}
	return fd;
}

static uint64_t size_of(int fd)
{
	return (uint64_t)lseek(fd, 0, SEEK_END);
}

static int drive_sequential(const char *name)
{
	int fd = open_or_exit(name, O_RDONLY);
	char *buf = aligned_alloc(PAGE, MIB);
	uint64_t done = 0;
	double start;
	ssize_t n;

	memset(buf, 1, MIB); /* faults its pages in before the measurement */
	start = now();
	while ((n = read(fd, buf, MIB)) > 0)
		done += (uint64_t)n;
	if (n < 0) {
		perror(name);
		return 1;
	}
	printf("%.1f\n", done / (now() - start) / MIB);
	return 0;
}

struct random_job {
	int fd;
	uint64_t pages, stride;
	double end;
	bool writes;
	atomic_ulong next;
	atomic_bool failed;
};

/* Page numbers are multiples of a stride that is coprime to their count, so each occurs once. */
static void *visit_pages(void *arg)
{
	struct random_job *job = arg;
	char *buf = aligned_alloc(PAGE, PAGE);
	ssize_t n;

	memset(buf, 'w', PAGE);
	while (now() < job->end) {
		uint64_t i = atomic_fetch_add(&job->next, 1);
		off_t off = (off_t)(i * job->stride % job->pages * PAGE);

		if (i >= job->pages)
			break;
		n = job->writes ? pwrite(job->fd, buf, PAGE, off) : pread(job->fd, buf, PAGE, off);
		if (n != PAGE) {
			job->failed = true;
			break;
		}
	}
	free(buf);
	return NULL;
}

/* The golden ratio keeps neighbouring pages far apart in time. */
static uint64_t stride_for(uint64_t pages)
{
	uint64_t stride = pages * 0.6180339887498949 + 1, a, b, t;

	for (;; stride++) {
		for (a = pages, b = stride; b; t = a % b, a = b, b = t)
			;
		if (a == 1)
			return stride;
	}
}

static int drive_random(const char *name, int flags, int readers, double seconds)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	struct random_job job = {.fd = open_or_exit(name, flags), .writes = writes};
	pthread_t threads[READERS_MAX];
	double start;

	if (readers < 1 || readers > READERS_MAX)
		return 2;
	posix_fadvise(job.fd, 0, 0, POSIX_FADV_RANDOM); /* without readahead */
	job.pages = size_of(job.fd) / PAGE;
	job.stride = stride_for(job.pages);
	start = now();
	job.end = start + seconds;
	for (int i = 0; i < readers; i++)
		pthread_create(&threads[i], NULL, visit_pages, &job);
	for (int i = 0; i < readers; i++)
		pthread_join(threads[i], NULL);
	if (writes && fsync(job.fd) < 0)
		job.failed = true;
	if (job.failed) {
		fprintf(stderr, "%s: a read or write failed\n", name);
		return 1;
	}
	printf("%.0f\n", job.next / (now() - start));
	return 0;
}

static int drive_extents(const char *name)
{
	int fd = open_or_exit(name, O_RDONLY);
	unsigned long n = 0;
	double start = now();
	off_t off = 0;

	while ((off = lseek(fd, off, SEEK_DATA)) >= 0) {
		off = lseek(fd, off, SEEK_HOLE);
		n++;
	}
	if (errno != ENXIO) {
		perror(name);
		return 1;
	}
	printf("%lu %.3f\n", n, now() - start);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "sequential") == 0)
		return drive_sequential(argv[2]);
	if (argc == 5 && strcmp(argv[1], "random") == 0)
		return drive_random(argv[2], O_RDONLY, atoi(argv[3]), atof(argv[4]));
	if (argc == 5 && strcmp(argv[1], "write") == 0)
		return drive_random(argv[2], O_WRONLY, atoi(argv[3]), atof(argv[4]));
	if (argc == 5 && strcmp(argv[1], "direct") == 0)
		return drive_random(argv[2], O_RDWR | O_DIRECT, atoi(argv[3]), atof(argv[4]));
	if (argc == 3 && strcmp(argv[1], "extents") == 0)
		return drive_extents(argv[2]);
	fprintf(stderr,
		"usage: drive sequential|random|write|direct|extents FILE [THREADS SECONDS]\n");
	return 2;
}
