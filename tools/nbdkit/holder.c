/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* holder.c - see holder.h. */
#include "holder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define CLIENTS_MAY_STAY 1000 /* milliseconds */

static int fd = -1; /* of the pipe; -1: none */
static int stop_fd; /* an eventfd, which holder_stop sets */
static pthread_t thread;
static bool running;

int holder_set(const char *value)
{
	if (nbdkit_parse_int("holder", value, &fd) < 0)
		return -1;
	if (fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
		return 0;
	nbdkit_error("holder=%s: it must be an open file descriptor", value);
	return -1;
}

/* Waits for the end of the pipe; false if holder_stop was called before. */
static bool await_end(void)
{
	struct pollfd p[] = {{.fd = fd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};
	char c;

	for (;;) {
		if (poll(p, 2, -1) < 0)
			continue; /* a signal */
		if (p[1].revents)
			return false;
		if (read(fd, &c, 1) <= 0)
			return true;
	}
}

static void *watch(void *arg)
{
	void (*end)(void) = *(void (**)(void))arg;
	struct pollfd stop = {.fd = stop_fd, .events = POLLIN};
	int r;

	if (!await_end())
		return NULL;
	nbdkit_shutdown();
	do
		r = poll(&stop, 1, CLIENTS_MAY_STAY);
	while (r < 0 && errno == EINTR);
	/* From here on, holder_stop waits for the end of the process. */
	if (r == 0)
		end();
	return NULL;
}

int holder_start(void (*end)(void))
{
	static void (*kept)(void);
	int r;

	if (fd < 0)
		return 0;
	kept = end;
	stop_fd = eventfd(0, EFD_CLOEXEC);
	r = stop_fd < 0 ? errno : pthread_create(&thread, NULL, watch, &kept);
	running = r == 0;
	if (!running) {
		nbdkit_error("holder: %s", strerror(r));
		if (stop_fd >= 0)
			close(stop_fd);
	}
	return running ? 0 : -1;
}

void holder_stop(void)
{
	if (!running)
		return;
	eventfd_write(stop_fd, 1);
	pthread_join(thread, NULL);
	close(stop_fd);
	running = false;
}
