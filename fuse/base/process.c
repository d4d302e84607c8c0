/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* process.c - see process.h. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "util/err.h"

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

void process_close_others(const int *keep, size_t n)
{
	int high = STDERR_FILENO;

	for (size_t i = 0; i < n; i++)
		high = MAX(high, keep[i]);
	for (int fd = STDERR_FILENO + 1; fd < high; fd++) {
		bool kept = false;

		for (size_t i = 0; i < n; i++)
			kept |= keep[i] == fd;
		if (!kept)
			close(fd);
	}
	closefrom(high + 1);
}

char process_receive(int fd)
{
	char byte = 0;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? byte : 0;
}

void process_send(int fd, char byte)
{
	ssize_t n;

	do
		n = write(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
}

void process_mute(int null)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup3(null, fd, 0);
}

void process_set_control(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	dprintf(fd, "%s", value);
	close(fd);
}

time_t process_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

int process_thread(pthread_t *thread, void *(*loop)(void *arg), void *arg, struct err *e)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(thread, NULL, loop, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return code == 0 ? 0 : err_set(e, code, "no thread: %s", strerror(code));
}
