/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "end-watch.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "util/err.h"
#include "base/process.h"

static const int signals[] = {SIGHUP, SIGINT, SIGTERM};

#define NSIGNALS (sizeof signals / sizeof signals[0])

/* For the handler of signals. */
static int end_pipe = -1;
static void (*libfuse_handlers[NSIGNALS])(int signal);

static void handle(int signal)
{
	int code = errno;

	for (size_t i = 0; i < NSIGNALS; i++)
		if (signals[i] == signal)
			libfuse_handlers[i](signal);
	if (write(end_pipe, "", 1) < 0)
		errno = code; /* the pipe is full: it has been written to before */
	errno = code;
}

/* Puts the handler before those of libfuse, which end its loop.  An ignored signal stays ignored.
 */
static void set_handlers(void)
{
	struct sigaction act;

	for (size_t i = 0; i < NSIGNALS; i++) {
		if (sigaction(signals[i], NULL, &act) < 0 || act.sa_handler == SIG_IGN ||
			act.sa_handler == SIG_DFL || act.sa_handler == handle)
			continue;
		libfuse_handlers[i] = act.sa_handler;
		act.sa_handler = handle;
		sigaction(signals[i], &act, NULL);
	}
}

/* After an unmount the device has an error, which needs not to be asked for. */
static void *watch(void *arg)
{
	struct end_watch *w = arg;
	struct pollfd fds[2] = {{.fd = w->device}, {.fd = w->ending, .events = POLLIN}};

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	w->ended(w->arg);
	return NULL;
}

int end_watch_start(struct end_watch *w, struct fuse_session *se, void (*ended)(void *arg),
	void *arg, struct err *e)
{
	int pipes[2], ret;

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	*w = (struct end_watch){
		.device = fuse_session_fd(se), .ending = pipes[0], .ended = ended, .arg = arg};
	end_pipe = pipes[1];
	set_handlers();
	ret = process_thread(&w->thread, watch, w, e);
	w->runs = ret == 0;
	return ret;
}

void end_watch_stop(struct end_watch *w)
{
	if (!w->runs)
		return;
	process_send(end_pipe, 0);
	pthread_join(w->thread, NULL);
	w->runs = false;
}
