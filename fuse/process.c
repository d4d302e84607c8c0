/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* process.c - descriptors and the background. */
#include "process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "bytes.h"

void process_guard_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			_exit(EXIT_FAILURE);
	} while (fd <= STDERR_FILENO);
	close(fd);
}

void process_close_others(int a, int b)
{
	int high = MAX(MAX(a, b), STDERR_FILENO);

	for (int fd = STDERR_FILENO + 1; fd < high; fd++)
		if (fd != a && fd != b)
			close(fd);
	closefrom(high + 1);
}

void process_mute(int null)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup3(null, fd, 0);
}

int process_thread(pthread_t *thread, void *(*loop)(void *arg), void *arg)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(thread, NULL, loop, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return code;
}
