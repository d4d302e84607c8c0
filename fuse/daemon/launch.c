/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* launch.c - see launch.h. */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/err.h"
#include "base/process.h"

/* Messages of the daemon. */
#define MOUNTED 'm'
#define READY   'r'

/* How long the mount may take to answer, in ms: longer than any limit of the daemon itself. */
#define READY_MAX 60000

/* Waits until the mount answers or the daemon ends.  There is no time limit for opening the image,
 * only for the mount. */
static bool await_ready(int fd, pid_t daemon)
{
	struct pollfd next = {.fd = fd, .events = POLLIN};
	char byte = process_receive(fd);
	int n, status;

	if (byte == MOUNTED) {
		do
			n = poll(&next, 1, READY_MAX);
		while (n < 0 && errno == EINTR);
		if (n <= 0) {
			fprintf(stderr,
				"vdiskfs: the mount does not answer within %d s; it is removed\n",
				READY_MAX / 1000);
			kill(daemon, SIGKILL);
			return false;
		}
		byte = process_receive(fd);
	}
	if (byte == READY)
		return true;
	while (waitpid(daemon, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	if (WIFSIGNALED(status)) /* else it has reported its error */
		fputs("vdiskfs: the daemon ended before the mount answered\n", stderr);
	return false;
}

int launch_daemon(struct launch *l, int failed, struct err *e)
{
	int ready[2];
	pid_t launcher = getpid(), pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		return err_set(e, errno, "fork: %s", strerror(errno));
	if (pid > 0) {
		process_close_others(&ready[0], 1);
		_exit(await_ready(ready[0], pid) ? EXIT_SUCCESS : failed);
	}
	close(ready[0]);
	l->ready = ready[1];
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != launcher)
		_exit(EXIT_FAILURE);
	return 0;
}

void launch_mounted(const struct launch *l)
{
	if (l->ready >= 0)
		process_send(l->ready, MOUNTED);
}

void launch_detach(const struct launch *l)
{
	if (l->ready < 0)
		return;
	prctl(PR_SET_PDEATHSIG, 0);
	setsid();
}

void launch_ready(struct launch *l)
{
	if (l->ready < 0)
		return;
	process_send(l->ready, READY);
	close(l->ready);
	l->ready = -1;
}
