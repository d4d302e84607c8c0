/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scan [-d] [-b BYTES] FILE REFERENCE
 *
 * Reads all of FILE, on a mount that may have unreadable ranges, BYTES (4096) at a time; with -d by
 * direct I/O, without which an unreadable range is rounded to pages.  Prints the ranges that fail
 * with EIO, "error START END" a line.  A wrong byte, a short read, another errno or another size is
 * a failure. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scan {
	int fd, ref;
	uint64_t size, step;
	char *got, *wanted;
	bool in_error;
	uint64_t error_start;
};

enum outcome { RIGHT, ERROR, WRONG };

static enum outcome read_step(struct scan *s, uint64_t off, size_t len)
{
	ssize_t n = pread(s->fd, s->got, len, off);

	if (n < 0 && errno == EIO)
		return ERROR;
	if (n != (ssize_t)len) {
		fprintf(stderr, "%zu bytes at %" PRIu64 ": %s\n", len, off,
			n < 0 ? strerror(errno) : "a short read");
		return WRONG;
	}
	if (pread(s->ref, s->wanted, len, off) != (ssize_t)len) {
		perror("reference");
		return WRONG;
	}
	if (memcmp(s->got, s->wanted, len) == 0)
		return RIGHT;
	fprintf(stderr, "wrong bytes in the %zu at %" PRIu64 "\n", len, off);
	return WRONG;
}

static void end_error(struct scan *s, uint64_t off)
{
	if (s->in_error)
		printf("error %" PRIu64 " %" PRIu64 "\n", s->error_start, off);
	s->in_error = false;
}

static bool scan_all(struct scan *s)
{
	for (uint64_t off = 0; off < s->size; off += s->step) {
		uint64_t left = s->size - off;
		enum outcome o = read_step(s, off, left < s->step ? left : s->step);

		if (o == WRONG)
			return false;
		if (o == RIGHT) {
			end_error(s, off);
		} else if (!s->in_error) {
			s->in_error = true;
			s->error_start = off;
		}
	}
	end_error(s, s->size);
	return true;
}

static bool open_both(struct scan *s, const char *file, int flags, const char *reference)
{
	struct stat a, b;

	s->fd = open(file, O_RDONLY | O_CLOEXEC | flags);
	s->ref = open(reference, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0 || s->ref < 0 || fstat(s->fd, &a) < 0 || fstat(s->ref, &b) < 0) {
		perror(s->fd < 0 ? file : reference);
		return false;
	}
	s->size = a.st_size;
	if (a.st_size != b.st_size)
		fprintf(stderr, "%s has %jd bytes, %s %jd\n", file, (intmax_t)a.st_size, reference,
			(intmax_t)b.st_size);
	return a.st_size == b.st_size;
}

int main(int argc, char **argv)
{
	struct scan s = {.step = 4096};
	int c, flags = 0, status = 2;

	while ((c = getopt(argc, argv, "db:")) != -1) {
		if (c == 'd')
			flags = O_DIRECT;
		else if (c == 'b')
			s.step = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	if (argc - optind != 2 || s.step == 0)
		return 2;
	s.got = malloc(s.step);
	s.wanted = malloc(s.step);
	if (s.got && s.wanted)
		status = open_both(&s, argv[optind], flags, argv[optind + 1]) && scan_all(&s) ? 0
											      : 1;
	free(s.got);
	free(s.wanted);
	return status;
}
