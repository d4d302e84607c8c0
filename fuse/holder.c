/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "holder.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "err.h"
#include "process.h"

void holder_init(struct holder *h, int fd)
{
	h->fd = fd;
	/* Without a pipe the holder never leaves. */
	atomic_init(&h->users, 1);
	sem_init(&h->unused, 0, 0);
}

static void await_holder(const struct holder *h)
{
	char byte;
	ssize_t n;

	do
		n = read(h->fd, &byte, 1);
	while (n > 0 || (n < 0 && errno == EINTR));
}

/* A signal that comes just before libfuse's loop waits is lost on it, so one is not enough. */
static void *hold(void *arg)
{
	const struct timespec pause = {.tv_nsec = 100000000};
	struct holder *h = arg;

	await_holder(h);
	holder_put(h);
	while (sem_wait(&h->unused) < 0)
		;
	for (;;) {
		pthread_kill(h->server, SIGTERM);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

int holder_start(struct holder *h, struct err *e)
{
	int code;

	if (h->fd < 0)
		return 0;
	h->server = pthread_self();
	code = process_thread(&h->thread, hold, h);
	if (code != 0)
		h->fd = -1;
	return code == 0 ? 0 : err_set(e, code, "no thread: %s", strerror(code));
}

void holder_end(struct holder *h)
{
	if (h->fd < 0)
		return;
	pthread_cancel(h->thread);
	pthread_join(h->thread, NULL);
}

void holder_get(struct holder *h)
{
	atomic_fetch_add(&h->users, 1);
}

void holder_put(struct holder *h)
{
	if (atomic_fetch_sub(&h->users, 1) == 1)
		sem_post(&h->unused);
}
