/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "job.h"

/* Writers: each has its own range of blocks. */

void choose_run(struct job *j, unsigned *start, unsigned *n)
{
	*n = 1 + random_below(j, random_below(j, 4) ? 16 : RUN_MAX);
	*start = j->first + random_below(j, j->n - *n + 1);
}

static void write_run(struct job *j)
{
	unsigned start, n;

	choose_run(j, &start, &n);
	j->version++;
	for (unsigned i = 0; i < n; i++) {
		fill(j->buf + (size_t)i * BLOCK, j->no, start + i, j->version);
		j->versions[start + i] = j->version;
	}
	write_all(j, j->fd, j->buf, (size_t)n * BLOCK, (off_t)start * BLOCK);
}

static void clear_run(struct job *j)
{
	int mode = FALLOC_FL_KEEP_SIZE |
		   (random_below(j, 2) ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
	unsigned start, n;

	choose_run(j, &start, &n);
	if (fallocate(j->fd, mode, (off_t)start * BLOCK, (off_t)n * BLOCK) < 0) {
		fault(j, "fallocate: %s", strerror(errno));
		return;
	}
	for (unsigned i = 0; i < n; i++)
		j->versions[start + i] = 0;
}

static void check_run(struct job *j)
{
	unsigned start, n;

	choose_run(j, &start, &n);
	if (read_all(j, j->fd, j->buf, (size_t)n * BLOCK, (off_t)start * BLOCK))
		is_right(j, j->buf, start, n);
}

static void reopen(struct job *j)
{
	if (j->fd >= 0 && close(j->fd) < 0)
		fault(j, "close: %s", strerror(errno));
	j->fd = open_patiently(j, mount_dir, j->image, O_RDWR);
}

void do_write(struct job *j)
{
	unsigned what = random_below(j, 100);

	if (j->fd < 0 || what == 0)
		reopen(j);
	if (j->fd < 0)
		return;
	if (what < 45)
		write_run(j);
	else if (what < 60)
		clear_run(j);
	else if (what < 97)
		check_run(j);
	else if (fdatasync(j->fd) < 0)
		fault(j, "fdatasync: %s", strerror(errno));
}

/* Copies from static.qcow2 to the job's image. */
void do_copy(struct job *j)
{
	int from = open_patiently(j, mount_dir, "static.qcow2", O_RDONLY);
	unsigned start, n;
	off_t in, out;

	if (j->fd < 0)
		reopen(j);
	choose_run(j, &start, &n);
	in = out = (off_t)start * BLOCK;
	if (from >= 0 && j->fd >= 0) {
		ssize_t done = copy_file_range(from, &in, j->fd, &out, (size_t)n * BLOCK, 0);

		if (done < 0)
			fault(j, "copy_file_range: %s", strerror(errno));
		n = done < 0 ? 0 : (unsigned)done / BLOCK;
		for (unsigned i = 0; i < n; i++)
			j->versions[start + i] =
				1; /* static.qcow2 is filled with the number of this job */
		check_run(j);
	}
	if (from >= 0)
		close(from);
}

void do_map(struct job *j)
{
	unsigned start, n;
	void *map;

	if (j->fd < 0)
		reopen(j);
	if (j->fd < 0)
		return;
	map = mmap(NULL, BLOCKS * BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, j->fd, 0);
	if (map == MAP_FAILED) {
		fault(j, "mmap: %s", strerror(errno));
		return;
	}
	choose_run(j, &start, &n);
	j->version++;
	for (unsigned i = 0; i < n; i++) {
		fill((unsigned char *)map + (size_t)(start + i) * BLOCK, j->no, start + i,
			j->version);
		j->versions[start + i] = j->version;
	}
	if (msync(map, BLOCKS * BLOCK, MS_SYNC) < 0)
		fault(j, "msync: %s", strerror(errno));
	munmap(map, BLOCKS * BLOCK);
	check_run(j);
}

/* Shrinks and grows the job's raw image. */
void do_resize(struct job *j)
{
	unsigned n = 1 + random_below(j, BLOCKS);

	if (j->fd < 0)
		reopen(j);
	if (j->fd < 0)
		return;
	if (ftruncate(j->fd, (off_t)n * BLOCK) < 0 || ftruncate(j->fd, (off_t)BLOCKS * BLOCK) < 0) {
		fault(j, "ftruncate: %s", strerror(errno));
		return;
	}
	for (unsigned i = n; i < BLOCKS; i++)
		j->versions[i] = 0;
	write_run(j);
	check_run(j);
}
