/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "child.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void command_add(struct command *c, const char *word)
{
	if (c->n == COMMAND_MAX)
		abort(); /* ours are short */
	c->words[c->n++] = word;
	c->words[c->n] = NULL;
}

static void start(const struct command *c, bool quiet)
{
	int null = quiet ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;

	if (null >= 0) {
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	execvp(c->words[0], (char *const *)c->words);
	_exit(127);
}

int command_run(const struct command *c, bool quiet)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		start(c, quiet);
	if (pid < 0)
		return 126;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 126;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

bool command_is_there(const char *name)
{
	const char *way = getenv("PATH");
	char path[PATH_MAX];

	for (; way && *way; way += strcspn(way, ":"), way += *way == ':') {
		int n = (int)strcspn(way, ":");

		if (snprintf(path, sizeof path, "%.*s/%s", n, way, name) < (int)sizeof path &&
			access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* The start of a file of /proc, NUL-terminated; how much that is. */
static size_t read_start(const char *pid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof path, "/proc/%.20s/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, buf, size - 1);
		close(fd);
	}
	n = n < 0 ? 0 : n;
	buf[n] = '\0';
	return (size_t)n;
}

static bool is_wanted(const char *pid, const char *name, const char *word)
{
	char buf[4 * PATH_MAX];
	size_t n;

	read_start(pid, "comm", buf, sizeof buf);
	if (strncmp(buf, name, strlen(name)) != 0)
		return false;
	n = read_start(pid, "cmdline", buf, sizeof buf);
	for (const char *p = buf; p < buf + n; p += strlen(p) + 1)
		if (strcmp(p, word) == 0)
			return true;
	return false;
}

void await_begin(struct awaited *a, const char *name, const char *word)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;

	a->n = 0;
	while (proc && a->n < sizeof a->fds / sizeof a->fds[0] && (d = readdir(proc))) {
		int fd;

		if (!isdigit((unsigned char)d->d_name[0]) || !is_wanted(d->d_name, name, word))
			continue;
		fd = (int)syscall(SYS_pidfd_open, atoi(d->d_name), 0);
		if (fd >= 0)
			a->fds[a->n++] = fd;
	}
	if (proc)
		closedir(proc);
}

bool await_end(struct awaited *a, unsigned seconds)
{
	bool all = true;

	while (a->n > 0) {
		struct pollfd p = {.fd = a->fds[--a->n], .events = POLLIN};

		if (poll(&p, 1, (int)seconds * 1000) <= 0)
			all = false;
		close(p.fd);
	}
	return all;
}
