/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* subprocess.c - see subprocess.h. */
#include "subprocess.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void subprocess_add(struct subprocess *c, const char *word)
{
	if (c->n == SUBPROCESS_WORDS)
		abort(); /* callers keep below the maximum */
	c->words[c->n++] = word;
	c->words[c->n] = NULL;
}

char *subprocess_option(const char *key, const char *value)
{
	char *word = malloc(strlen(key) + 2 * strlen(value) + 1), *p;

	if (!word)
		return NULL;
	p = stpcpy(word, key);
	for (; *value; value++) {
		if (*value == ',' || *value == '\\')
			*p++ = '\\';
		*p++ = *value;
	}
	*p = '\0';
	return word;
}

/* In the child.  It is killed with its parent, so that no half of an operation continues.
 * errors: a file for standard error; -1: inherit standard output and error. */
static void start(const struct subprocess *c, pid_t parent, int errors)
{
	int null = errors >= 0 ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126);
	if (null >= 0)
		dup2(null, STDOUT_FILENO);
	if (errors >= 0)
		dup2(errors, STDERR_FILENO);
	execvp(c->words[0], (char *const *)c->words);
	_exit(127);
}

static int run(const struct subprocess *c, int errors)
{
	pid_t pid, parent = getpid();
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		start(c, parent, errors);
	if (pid < 0)
		return 126;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 126;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

int subprocess_run(const struct subprocess *c)
{
	return run(c, -1);
}

int subprocess_run_quietly(const struct subprocess *c, char *text, size_t size)
{
	/* Not a pipe: a daemon that the program starts may keep it open, and reading would block.
	 */
	int errors = memfd_create("errors", MFD_CLOEXEC), status;
	ssize_t n = -1;

	status = run(c, errors);
	if (errors >= 0) {
		n = pread(errors, text, size - 1, 0);
		close(errors);
	}
	text[n > 0 ? n : 0] = '\0';
	return status;
}

void subprocess_search_sbin(void)
{
	const char *dirs = getenv("PATH");
	char *longer;

	if (asprintf(&longer, "%s:/usr/local/sbin:/usr/sbin:/sbin", dirs ? dirs : "/usr/bin:/bin") <
		0)
		return;
	setenv("PATH", longer, 1);
	free(longer);
}

bool subprocess_find(const char *name, char *path, size_t size)
{
	const char *dirs = getenv("PATH");

	for (; dirs && *dirs; dirs += strcspn(dirs, ":"), dirs += *dirs == ':') {
		int n = (int)strcspn(dirs, ":");

		if (snprintf(path, size, "%.*s/%s", n, dirs, name) < (int)size &&
			access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* Reads the start of a file of /proc, NUL-terminated; returns its length. */
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
	if (!word)
		return strncmp(buf, name, strlen(name)) == 0 && buf[strlen(name)] == '\n';
	if (strncmp(buf, name, strlen(name)) != 0)
		return false;
	n = read_start(pid, "cmdline", buf, sizeof buf);
	for (const char *p = buf; p < buf + n; p += strlen(p) + 1)
		if (strcmp(p, word) == 0)
			return true;
	return false;
}

void subprocess_await_begin(struct subprocess_await *a, const char *name, const char *word)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;

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

bool subprocess_await_end(struct subprocess_await *a, unsigned seconds)
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
