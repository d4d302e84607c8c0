/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nbdkit.c - see nbdkit.h.
 *
 * The socket is bound by this process and passed on as systemd passes sockets, so that its name is
 * known before nbdkit runs and is removed after it, however it ends.  There are two pipes: nbdkit
 * writes its "pid file" into one when it is ready; the plugin ends nbdkit when the other is closed,
 * which the death of this process does, too.
 */
#include "nbdkit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"
#include "subprocess.h"
#include "util/string-list.h"

#define PLUGIN "nbdkit-vdisk-plugin.so"

/* The first socket that is passed on (sd_listen_fds). */
#define LISTEN_FD 3

/* Appends name to the directory of this executable. */
static bool beside_program(char *path, size_t size, const char *name)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	if (n <= 0)
		return false;
	path[n] = '\0';
	slash = strrchr(path, '/');
	return snprintf(slash + 1, size - (slash + 1 - path), "%s", name) <
		       (int)(size - (slash + 1 - path)) &&
	       access(path, R_OK) == 0;
}

/* In the directory that nbdkit was built with. */
static bool in_nbdkit(char *path, size_t size)
{
	FILE *f = popen("nbdkit --dump-config", "re");
	char line[PATH_MAX];
	bool found = false;

	while (f && fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "plugindir=", 10) == 0 &&
			snprintf(path, size, "%s/" PLUGIN, line + 10) < (int)size)
			found = access(path, R_OK) == 0;
	}
	if (f)
		pclose(f);
	return found;
}

bool nbdkit_find(struct nbdkit *n)
{
	size_t size = sizeof n->plugin;

	subprocess_search_sbin();
	if (!subprocess_find("nbdkit", n->program, sizeof n->program))
		return !report("nbdkit is not installed: install the package nbdkit");
	/* That of the same build or prefix is of the same version. */
	return beside_program(n->plugin, size, PLUGIN) ||
	       beside_program(n->plugin, size, "../lib/nbdkit/plugins/" PLUGIN) ||
	       in_nbdkit(n->plugin, size) ||
	       !report(PLUGIN
		       " is not installed: install the package nbdkit-plugin-vdisk, or build "
		       "with nbdkit's header (nbdkit-plugin-dev)");
}

/* Signals. */

static volatile sig_atomic_t holder = -1; /* the write end of the pipe of the plugin */

static void let_go(int number)
{
	int fd = holder, code = errno;

	(void)number;
	holder = -1;
	if (fd >= 0)
		close(fd);
	errno = code;
}

static const int signals[] = {SIGHUP, SIGINT, SIGTERM};

#define NSIGNALS (sizeof signals / sizeof signals[0])

/* Signals that are ignored stay so (nohup). */
static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = let_go}, old;

	/* It runs once. */
	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < NSIGNALS; i++)
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			sigaction(signals[i], &action, NULL);
}

/* Pipes. */

struct pipes {
	int ready[2];
	int holder[2];
};

/* inherited: the end that nbdkit inherits; its number is above LISTEN_FD. */
static bool open_pipe(int pipe[2], int inherited)
{
	int end;

	if (pipe2(pipe, O_CLOEXEC) < 0) {
		pipe[0] = pipe[1] = -1;
		return !report("pipe: %s", strerror(errno));
	}
	end = fcntl(pipe[inherited], F_DUPFD, LISTEN_FD + 1);
	if (end < 0)
		return !report("pipe: %s", strerror(errno));
	close(pipe[inherited]);
	pipe[inherited] = end;
	return true;
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool add_words(struct string_list *words, const struct nbdkit *n,
	const struct string_list *parameters, const struct pipes *pipes)
{
	char pid_file[32], end[32];
	bool good;

	snprintf(pid_file, sizeof pid_file, "/proc/self/fd/%d", pipes->ready[1]);
	snprintf(end, sizeof end, "holder=%d", pipes->holder[0]);
	good = string_list_add(words, n->program) && string_list_add(words, "--foreground") &&
	       string_list_add(words, "--pidfile") && string_list_add(words, pid_file) &&
	       string_list_add(words, n->plugin) && string_list_add(words, end);
	for (size_t i = 0; i < parameters->n && good; i++)
		good = string_list_add(words, parameters->v[i]);
	return good || !report("out of memory");
}

/* The child. */

static void start(char **words, int fd)
{
	char pid[16];

	snprintf(pid, sizeof pid, "%d", (int)getpid());
	if (dup2(fd, LISTEN_FD) == LISTEN_FD && fcntl(LISTEN_FD, F_SETFD, 0) == 0 &&
		setenv("LISTEN_FDS", "1", 1) == 0 && setenv("LISTEN_PID", pid, 1) == 0 &&
		unsetenv("LISTEN_FDNAMES") == 0)
		execv(words[0], words);
	_exit(127);
}

/* Has the server written to the pipe, rather than ended? */
static bool await_ready(int pipe)
{
	ssize_t n;
	char c;

	do
		n = read(pipe, &c, 1);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

static int await_end(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return report("nbdkit: %s", strerror(errno));
	if (WIFSIGNALED(status))
		return report("nbdkit was killed by signal %d", WTERMSIG(status));
	/* It has said why. */
	return WEXITSTATUS(status) == 0 ? EXIT_SUCCESS : report("nbdkit failed");
}

static int run(char **words, int fd, struct pipes *pipes, void (*ready)(void *arg), void *arg)
{
	pid_t pid;

	fflush(NULL);
	holder = pipes->holder[1];
	catch_signals();
	pid = fork();
	if (pid == 0)
		start(words, fd);
	close_end(&pipes->ready[1]);
	close_end(&pipes->holder[0]);
	if (pid < 0)
		return report("fork: %s", strerror(errno));
	if (await_ready(pipes->ready[0]))
		ready(arg);
	return await_end(pid);
}

int nbdkit_serve(const struct nbdkit *n, const struct string_list *parameters, int fd,
	void (*ready)(void *arg), void *arg)
{
	struct pipes pipes = {{-1, -1}, {-1, -1}};
	struct string_list words = {0};
	int status = EXIT_FAILURE;

	if (open_pipe(pipes.ready, 1) && open_pipe(pipes.holder, 0) &&
		add_words(&words, n, parameters, &pipes))
		status = run(words.v, fd, &pipes, ready, arg);
	close_end(&pipes.ready[0]);
	close_end(&pipes.ready[1]);
	close_end(&pipes.holder[0]);
	let_go(0);
	string_list_free(&words);
	return status;
}
