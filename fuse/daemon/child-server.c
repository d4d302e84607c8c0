/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "child-server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "util/err.h"
#include "util/shell.h"
#include "base/process.h"

/* The first descriptor that systemd hands over. */
#define LISTEN_FD 3

/* How long the server may take to end before it is killed, in seconds. */
#define END_MAX 5

#define SOCKET "nbd"

static bool complain(const char *problem)
{
	fprintf(stderr, "vdiskfs: %s\n", problem);
	return false;
}

/* The words of a command in brackets, as a user can paste them; malloc'ed, or NULL. */
static char *name_of(char *const *words)
{
	char *name = NULL;
	size_t len;
	FILE *f = open_memstream(&name, &len);

	if (!f)
		return NULL;
	fputs("[", f);
	for (; *words; words++)
		fprintf(f, " %s", shell_word(*words).text);
	fputs(" ]", f);
	return fclose(f) == 0 ? name : NULL;
}

/* The index of a word, from first on; argc: it is not there. */
static int find(int argc, char *const *argv, int first, const char *word)
{
	int i = first;

	while (i < argc && strcmp(argv[i], word) != 0)
		i++;
	return i;
}

bool child_server_take(int *argc, char **argv, char ***command, char **name)
{
	int open = find(*argc, argv, 1, "["), end = find(*argc, argv, open, "]");
	size_t n = (size_t)(end - open);

	if (open == *argc)
		return true;
	if (end == *argc)
		return complain("[: no \"]\" ends the command");
	if (n == 1)
		return complain("[ ]: there is no command in it");
	*command = calloc(n, sizeof *command[0]);
	if (*command) {
		memcpy(*command, argv + open + 1, (n - 1) * sizeof *command[0]);
		*name = name_of(*command);
	}
	if (!*command || !*name)
		return complain("out of memory");
	argv[open] = *name;
	memmove(argv + open + 1, argv + end + 1, (size_t)(*argc - end) * sizeof argv[0]);
	*argc -= (int)n;
	return true;
}

/* A directory of which the path can be part of a URI as it is, and fits in the address of a socket.
 */
static const char *parent_dir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir && dir[0] == '/' && strlen(dir) < 64 &&
			       dir[strspn(dir, "/._-0123456789abcdefghijklmnopqrstuvwxyz"
					       "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0'
		       ? dir
		       : "/tmp";
}

static int make_dir(struct child_server *c, struct err *e)
{
	char *dir;

	if (asprintf(&dir, "%s/vdiskfs-XXXXXX", parent_dir()) < 0)
		return err_nomem(e);
	if (!mkdtemp(dir)) {
		err_set(e, errno, "%s: %s", dir, strerror(errno));
		free(dir);
		return -e->code;
	}
	c->dir = dir;
	return asprintf(&c->uri, "nbd+unix:///?socket=%s/" SOCKET, dir) < 0 ? err_nomem(e) : 0;
}

static int make_socket(struct child_server *c, struct err *e)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	snprintf(at.sun_path, sizeof at.sun_path, "%s/" SOCKET, c->dir);
	c->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->listening < 0 || bind(c->listening, (struct sockaddr *)&at, sizeof at) < 0 ||
		listen(c->listening, SOMAXCONN) < 0)
		return err_set(e, errno, "%s: %s", at.sun_path, strerror(errno));
	return 0;
}

int child_server_open(struct child_server *c, char **command, struct err *e)
{
	int pipes[2], ret;

	*c = (struct child_server){
		.command = command, .listening = -1, .printing = -1, .printed = -1};
	if (!command)
		return 0;
	ret = make_dir(c, e);
	if (ret == 0)
		ret = make_socket(c, e);
	if (ret == 0 && pipe2(pipes, O_CLOEXEC) < 0)
		ret = err_set(e, errno, "pipe: %s", strerror(errno));
	if (ret < 0) {
		child_server_free(c);
		return ret;
	}
	c->printed = pipes[0];
	c->printing = pipes[1];
	return 0;
}

/* In the server. */
static void run(const struct child_server *c, pid_t supervisor)
{
	char pid[24];
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != supervisor)
		return;
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGXFSZ, SIG_DFL);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	unsetenv("LISTEN_FDNAMES");
	/* dup2(2) leaves the flags as they are if both are the same descriptor. */
	if (dup2(c->printing, STDOUT_FILENO) < 0 || dup2(c->printing, STDERR_FILENO) < 0 ||
		(c->listening == LISTEN_FD ? fcntl(LISTEN_FD, F_SETFD, 0)
					   : dup2(c->listening, LISTEN_FD)) < 0)
		return;
	closefrom(LISTEN_FD + 1);
	execvp(c->command[0], c->command);
	fprintf(stderr, "vdiskfs: %s: %s\n", c->command[0], strerror(errno));
}

void child_server_run(struct child_server *c)
{
	pid_t supervisor = getpid();

	if (!c->command)
		return;
	c->pid = fork();
	if (c->pid == 0) {
		run(c, supervisor);
		_exit(127);
	}
	if (c->pid < 0) {
		dprintf(c->printing, "vdiskfs: fork: %s\n", strerror(errno));
		c->pid = 0;
	}
}

static void *wait_for_end(void *arg)
{
	struct child_server *c = arg;
	siginfo_t info;

	/* The process is not reaped yet, so no other one can have its number. */
	while (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&c->lock);
	kill(-c->pid, SIGTERM);
	waitpid(c->pid, NULL, 0);
	c->pid = 0;
	pthread_cond_signal(&c->ended);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

void child_server_watch(struct child_server *c)
{
	struct err ignored = ERR_INIT;

	if (c->pid == 0)
		return;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->ended, NULL);
	c->is_watched = process_thread(&c->waiter, wait_for_end, c, &ignored) == 0;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* The server has no group of its own until it has run a little. */
static void send_signal(const struct child_server *c, int signal)
{
	kill(c->pid, signal);
	kill(-c->pid, signal);
}

/* The lock is held. */
static void wait_with_limit(struct child_server *c)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_MAX;
	while (c->pid > 0 && pthread_cond_timedwait(&c->ended, &c->lock, &until) == 0)
		;
}

void child_server_end(struct child_server *c)
{
	if (!c->is_watched) {
		if (c->pid > 0)
			send_signal(c, SIGKILL);
		return;
	}
	pthread_mutex_lock(&c->lock);
	if (c->pid > 0) {
		send_signal(c, SIGTERM);
		wait_with_limit(c);
	}
	if (c->pid > 0)
		send_signal(c, SIGKILL);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->waiter, NULL);
}

void child_server_leave(struct child_server *c)
{
	close_one(&c->listening);
	close_one(&c->printing);
}

void child_server_remove(struct child_server *c)
{
	char path[sizeof((struct sockaddr_un *)NULL)->sun_path];

	if (!c->dir)
		return;
	snprintf(path, sizeof path, "%s/" SOCKET, c->dir);
	unlink(path);
	rmdir(c->dir);
	free(c->dir);
	c->dir = NULL;
}

void child_server_free(struct child_server *c)
{
	child_server_leave(c);
	child_server_remove(c);
	free(c->uri);
	c->uri = NULL;
}
