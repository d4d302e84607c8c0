/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "holder.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util/err.h"
#include "base/process.h"

/* The signal is sent again after this time, in ms: libfuse's loop misses a signal that comes just
 * before it waits. */
#define AGAIN 100

int holder_init(struct holder *h, int fd, struct err *e)
{
	h->fd = fd;
	h->wake = fd < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* The holder is a user; without a pipe it stays for ever. */
	atomic_init(&h->users, 1);
	atomic_init(&h->ending, false);
	return fd < 0 || h->wake >= 0 ? 0 : err_set(e, errno, "eventfd: %s", strerror(errno));
}

/* Is the write end of the pipe closed? */
static bool is_closed(int fd)
{
	char text[64];
	ssize_t n = read(fd, text, sizeof text);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static void *hold(void *arg)
{
	struct holder *h = arg;
	struct pollfd p[] = {{.fd = h->fd, .events = POLLIN}, {.fd = h->wake, .events = POLLIN}};
	eventfd_t count;

	while (!atomic_load(&h->ending)) {
		bool is_used = atomic_load(&h->users) > 0;

		if (!is_used)
			pthread_kill(h->server, SIGTERM);
		if (poll(p, 2, is_used ? -1 : AGAIN) <= 0)
			continue;
		if (p[1].revents && eventfd_read(h->wake, &count) < 0)
			continue;
		if (p[0].revents && is_closed(h->fd)) {
			p[0].fd = -1;
			holder_put(h);
		}
	}
	return NULL;
}

int holder_start(struct holder *h, struct err *e)
{
	int ret;

	if (h->fd < 0)
		return 0;
	h->server = pthread_self();
	ret = process_thread(&h->thread, hold, h, e);
	if (ret < 0)
		h->fd = -1;
	return ret;
}

void holder_end(struct holder *h)
{
	if (h->fd < 0)
		return;
	atomic_store(&h->ending, true);
	eventfd_write(h->wake, 1);
	pthread_join(h->thread, NULL);
}

void holder_get(struct holder *h)
{
	atomic_fetch_add(&h->users, 1);
}

void holder_put(struct holder *h)
{
	if (atomic_fetch_sub(&h->users, 1) == 1)
		eventfd_write(h->wake, 1);
}
