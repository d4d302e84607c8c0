/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "util/err.h"
#include "log.h"
#include "process.h"

int relay_init(struct relay *r, int from, struct log *log, const char *program, struct err *e)
{
	*r = (struct relay){
		.from = from, .log = log, .program = program, .stop = -1, .stopped = -1};
	if (fcntl(from, F_SETFL, O_NONBLOCK) < 0)
		return err_set(e, errno, "a pipe: %s", strerror(errno));
	return 0;
}

static void pass_line(struct relay *r)
{
	r->line[r->len] = '\0';
	if (r->len > 0)
		log_pass_on(r->log, r->program, r->line);
	r->len = 0;
}

static void pass_text(struct relay *r, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n')
			pass_line(r);
		else
			r->line[r->len++] = text[i];
		if (r->len == sizeof r->line - 1)
			pass_line(r);
	}
}

/* Passes on what is in the pipe. */
static void drain(struct relay *r)
{
	char text[4096];
	ssize_t n;

	while ((n = read(r->from, text, sizeof text)) > 0 || (n < 0 && errno == EINTR))
		pass_text(r, text, n > 0 ? (size_t)n : 0);
	if (n == 0) {
		pass_line(r);
		atomic_store(&r->ended, true);
	}
}

static void *loop(void *arg)
{
	struct relay *r = arg;
	struct pollfd fds[2] = {{.fd = r->from, .events = POLLIN}, {.fd = r->stopped}};

	while (!fds[1].revents && !atomic_load(&r->ended)) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		drain(r);
	}
	return NULL;
}

int relay_start(struct relay *r, struct err *e)
{
	int stop[2], ret;

	if (r->from < 0)
		return 0;
	if (pipe2(stop, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	r->stopped = stop[0];
	r->stop = stop[1];
	ret = process_thread(&r->thread, loop, r, e);
	r->runs = ret == 0;
	return ret;
}

void relay_stop(struct relay *r)
{
	if (r->stop >= 0)
		close(r->stop);
	if (r->runs)
		pthread_join(r->thread, NULL);
	if (r->stopped >= 0)
		close(r->stopped);
	r->stop = r->stopped = -1;
	r->runs = false;
}

void relay_await_end(const struct relay *r, int ms)
{
	struct pollfd end = {.fd = r->from};

	poll(&end, 1, ms);
}

void relay_free(struct relay *r)
{
	relay_stop(r);
	if (r->from >= 0)
		close(r->from);
	r->from = -1;
}
