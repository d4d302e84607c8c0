/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bounded [-c CPU_MS] [-m MIB] COMMAND...
 *
 * Runs COMMAND and exits with its status, or with 99 and a message if it used more processor time
 * or resident memory than allowed.  It does not stop COMMAND: timeout and ulimit do.  Elapsed time
 * is not limited, since it depends on the load of the machine. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXCEEDED 99

struct bounds {
	long cpu_ms, mib;
};

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
	ok &= within("memory", used.ru_maxrss / 1024, b->mib, "MiB");
	if (WIFSIGNALED(status)) {
		fprintf(stderr, "bounded: ended by signal %d\n", WTERMSIG(status));
		return 128 + WTERMSIG(status);
	}
	return ok ? WEXITSTATUS(status) : EXCEEDED;
}

int main(int argc, char **argv)
{
	struct bounds b = {-1, -1};
	int c;

	while ((c = getopt(argc, argv, "+c:m:")) != -1) {
		if (c == 'c')
			b.cpu_ms = atol(optarg);
		else if (c == 'm')
			b.mib = atol(optarg);
		else
			return 2;
	}
	if (optind == argc)
		return 2;
	return run(argv + optind, &b);
}
