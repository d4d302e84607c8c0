/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bounded [-c CPU_MS] [-w WALL_MS] [-m MIB] COMMAND...
 *
 * Runs COMMAND and ends with its exit status - or with 99, and a line that says so, when it used
 * more processor time, took longer, or had more memory resident than allowed.  Nothing is cut
 * short: that is timeout's and ulimit's job.  Processor time stays the same on a busy machine, so
 * -c may be tight where -w must not. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXCEEDED 99

struct bounds {
	long cpu_ms, wall_ms, mib;
};

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static long ms_of(struct timeval t)
{
	return t.tv_sec * 1000 + t.tv_usec / 1000;
}

static bool within(const char *what, long used, long allowed, const char *unit)
{
	if (allowed < 0 || used <= allowed)
		return true;
	fprintf(stderr, "bounded: %ld %s of %s, %ld allowed\n", used, unit, what, allowed);
	return false;
}

static int run(char **command, const struct bounds *b)
{
	long start = now_ms();
	struct rusage used;
	int status;
	bool ok;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(command[0], command);
		perror(command[0]);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &used) < 0) {
		perror("bounded");
		return 126;
	}
	ok = within("processor time", ms_of(used.ru_utime) + ms_of(used.ru_stime), b->cpu_ms, "ms");
	ok &= within("time", now_ms() - start, b->wall_ms, "ms");
	ok &= within("memory", used.ru_maxrss / 1024, b->mib, "MiB");
	if (WIFSIGNALED(status)) {
		fprintf(stderr, "bounded: ended by signal %d\n", WTERMSIG(status));
		return 128 + WTERMSIG(status);
	}
	return ok ? WEXITSTATUS(status) : EXCEEDED;
}

int main(int argc, char **argv)
{
	struct bounds b = {-1, -1, -1};
	int c;

	while ((c = getopt(argc, argv, "+c:w:m:")) != -1) {
		if (c == 'c')
			b.cpu_ms = atol(optarg);
		else if (c == 'w')
			b.wall_ms = atol(optarg);
		else if (c == 'm')
			b.mib = atol(optarg);
		else
			return 2;
	}
	if (optind == argc)
		return 2;
	return run(argv + optind, &b);
}
