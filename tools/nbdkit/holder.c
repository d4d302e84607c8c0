/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* holder.c - see holder.h. */
#include "holder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define CLIENTS_MAY_STAY 1 /* seconds */

static int fd = -1; /* of the pipe; -1: none */
static pthread_t thread;
static bool running;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static bool stopped; /* by holder_stop; under lock */

int holder_set(const char *value)
{
	if (nbdkit_parse_int("holder", value, &fd) < 0)
		return -1;
	if (fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
		return 0;
	nbdkit_error("holder=%s: it must be an open file descriptor", value);
	return -1;
}

/* Has nbdkit shut down, as far as holder_stop, before the time is over? */
static bool await_stop(void)
{
	struct timespec until;
	bool gone;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CLIENTS_MAY_STAY;
	pthread_mutex_lock(&lock);
	while (!stopped && r == 0)
		r = pthread_cond_timedwait(&changed, &lock, &until);
	gone = stopped;
	pthread_mutex_unlock(&lock);
	return gone;
}

static void *watch(void *arg)
{
	void (*end)(void) = *(void (**)(void))arg;
	ssize_t n;
	char c;

	do
		n = read(fd, &c, 1);
	while (n > 0 || (n < 0 && errno == EINTR));
	/* holder_stop waits for the end of the process from here on. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	nbdkit_shutdown();
	if (!await_stop())
		end();
	return NULL;
}

int holder_start(void (*end)(void))
{
	static void (*kept)(void);
	pthread_condattr_t monotonic;
	int r;

	if (fd < 0)
		return 0;
	kept = end;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = pthread_create(&thread, NULL, watch, &kept);
	running = r == 0;
	if (!running)
		nbdkit_error("no thread for holder: %s", strerror(r));
	return running ? 0 : -1;
}

void holder_stop(void)
{
	if (!running)
		return;
	pthread_mutex_lock(&lock);
	stopped = true;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	running = false;
}
