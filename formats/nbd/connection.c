/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connection.c - see connection.h.
 *
 * libnbd calls back in the thread of the connection, or in one that sends, with the handle locked;
 * an answer is only noted then, and given by the thread of the connection without that lock.
 */
#include "connection.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "libnbd.h"
#include "util/bytes.h"
#include "util/err.h"

/* A request waits longer as long as others are answered, and one that takes the server long in any
 * case, but not for ever: this many timeouts. */
#define PATIENCE 4

#define REASON 256

struct requests {
	struct nbd_request *first, *last;
};

struct connection {
	pthread_t thread;
	int socket;       /* for connection_socket */
	int wake;         /* eventfd: the thread has to look again */
	uint64_t timeout; /* ms */
	void (*failed)(void *arg, const char *reason, bool late);
	void *arg;
	bool late; /* it has failed for want of an answer */

	pthread_mutex_t use; /* held while libnbd sends or receives, so that whoever finds the end
			      * of the connection knows the reason */
	struct nbd_handle *handle; /* NULL: closed */

	pthread_mutex_t lock;      /* protects all below */
	struct requests under_way; /* in the order in which they were sent */
	struct requests answered;
	uint64_t heard; /* when the last answer came, ms */
	bool asleep;    /* the thread has no limit of time */
	bool ending;
	bool paused;
	char reason[REASON]; /* why the connection has failed */

	atomic_bool alive;
	atomic_uint load;
};

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Lists of requests. */

static void append(struct requests *list, struct nbd_request *r)
{
	r->next = NULL;
	r->previous = list->last;
	if (list->last)
		list->last->next = r;
	else
		list->first = r;
	list->last = r;
}

static void take_out(struct requests *list, struct nbd_request *r)
{
	if (r->next)
		r->next->previous = r->previous;
	else
		list->last = r->previous;
	if (r->previous)
		r->previous->next = r->next;
	else
		list->first = r->next;
}

/* Answers all requests of a list; error: 0, or that of all. */
static void answer(struct connection *c, struct nbd_request *r, int error)
{
	for (struct nbd_request *next; r; r = next) {
		next = r->next;
		atomic_fetch_sub(&c->load, 1);
		r->done(r, error ? error : r->error);
	}
}

static struct nbd_request *take_all(struct connection *c, struct requests *list)
{
	struct nbd_request *first;

	pthread_mutex_lock(&c->lock);
	first = list->first;
	*list = (struct requests){NULL, NULL};
	pthread_mutex_unlock(&c->lock);
	return first;
}

/* Calls of libnbd. */

static int note_chunk(
	void *arg, const void *buf, size_t len, uint64_t pos, unsigned status, int *error)
{
	struct nbd_request *r = arg;

	(void)buf, (void)pos, (void)error;
	if (status != LIBNBD_READ_ERROR)
		r->bytes += len;
	return 0;
}

static int note_extents(
	void *arg, const char *context, uint64_t pos, uint32_t *entries, size_t n, int *error)
{
	struct nbd_request *r = arg;

	(void)error;
	if (pos == r->pos && strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) == 0)
		r->extents(r, entries, n);
	return 0;
}

/* libnbd frees the command at once, and so compares no number of bytes: a server that left some out
 * has broken the protocol, and its zeroes are not those of the disk. */
static int note_answer(void *arg, int *error)
{
	struct nbd_request *r = arg;
	struct connection *c = r->connection;

	r->error = *error;
	if (!r->error && r->command == NBD_READ && r->bytes != r->len)
		r->error = EPROTO;
	pthread_mutex_lock(&c->lock);
	take_out(&c->under_way, r);
	append(&c->answered, r);
	pthread_mutex_unlock(&c->lock);
	return 1;
}

static int64_t send_request(struct nbd_handle *h, struct nbd_request *r)
{
	const nbd_completion_callback done = {.callback = note_answer, .user_data = r};
	const nbd_chunk_callback chunk = {.callback = note_chunk, .user_data = r};
	const nbd_extent_callback extent = {.callback = note_extents, .user_data = r};

	switch (r->command) {
	case NBD_READ:
		return libnbd.aio_pread_structured(h, r->buf, r->len, r->pos, chunk, done, 0);
	case NBD_WRITE:
		return libnbd.aio_pwrite(h, r->buf, r->len, r->pos, done, 0);
	case NBD_FLUSH:
		return libnbd.aio_flush(h, done, 0);
	case NBD_TRIM:
		return libnbd.aio_trim(h, r->len, r->pos, done, 0);
	case NBD_ZERO:
		return libnbd.aio_zero(h, r->len, r->pos, done, 0);
	case NBD_STATUS:
		return libnbd.aio_block_status(h, r->len, r->pos, extent, done, 0);
	}
	return -1;
}

static void wake(struct connection *c)
{
	eventfd_write(c->wake, 1);
}

/* Adds the request to the list; true: the thread sleeps without a limit. */
static bool note_request(struct connection *c, struct nbd_request *r)
{
	bool asleep;

	r->bytes = 0;
	r->sent = now();
	pthread_mutex_lock(&c->lock);
	append(&c->under_way, r);
	asleep = c->asleep;
	c->asleep = false;
	pthread_mutex_unlock(&c->lock);
	return asleep;
}

static void note_reason(struct connection *c, const char *reason)
{
	pthread_mutex_lock(&c->lock);
	if (!c->reason[0])
		snprintf(c->reason, sizeof c->reason, "%s", reason);
	pthread_mutex_unlock(&c->lock);
}

/* The error of the last call of libnbd in this thread that had one, without the name of the
 * function; the next call may free it. */
static const char *last_error(const char *otherwise)
{
	const char *text = libnbd.get_error();
	size_t n = text ? strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;

	if (!text)
		return otherwise;
	return strncmp(text, "nbd_", 4) == 0 && strncmp(text + n, ": ", 2) == 0 ? text + n + 2
										: text;
}

static bool is_ended(struct nbd_handle *h)
{
	return libnbd.aio_is_dead(h) == 1 || libnbd.aio_is_closed(h) == 1;
}

/* Has the call that was made just now, on a connection that had not ended before, ended it?  Notes
 * the reason; the lock use is held from before the call on. */
static bool has_ended(struct connection *c, struct nbd_handle *h)
{
	char text[REASON];

	snprintf(text, sizeof text, "%s", last_error("the connection is broken"));
	if (!is_ended(h))
		return false;
	note_reason(
		c, libnbd.aio_is_closed(h) == 1 ? "the server has closed the connection" : text);
	return true;
}

/* Sends the request, under the lock use; returns 0 or an errno, after which there is no answer. The
 * end of the connection is answered by the thread, once the reason is known to all. */
static int try_to_send(struct connection *c, struct nbd_request *r, bool *must_wake)
{
	struct nbd_handle *h = c->handle;
	int error;

	if (!h)
		return ENOTCONN;
	*must_wake = note_request(c, r);
	if (is_ended(h) || send_request(h, r) >= 0) {
		/* It was not sent to its end, or found that of the connection: the thread waits for
		 * the wrong event. */
		if (has_ended(c, h) || libnbd.aio_get_direction(h) != LIBNBD_AIO_DIRECTION_READ)
			*must_wake = true;
		return 0;
	}
	error = libnbd.get_errno();
	pthread_mutex_lock(&c->lock);
	take_out(&c->under_way, r);
	pthread_mutex_unlock(&c->lock);
	return error > 0 ? error : EIO;
}

void connection_submit(struct connection *c, struct nbd_request *r)
{
	bool must_wake = false;
	int error;

	r->connection = c;
	atomic_fetch_add(&c->load, 1);
	pthread_mutex_lock(&c->use);
	error = try_to_send(c, r, &must_wake);
	pthread_mutex_unlock(&c->use);
	if (must_wake)
		wake(c);
	if (error) {
		r->next = NULL;
		answer(c, r, error);
	}
}

/* The thread. */

/* The time at which the request, the first that is under way, is late. */
static uint64_t end_of(const struct connection *c, const struct nbd_request *r)
{
	uint64_t last = r->sent + PATIENCE * c->timeout;
	bool slow = r->command == NBD_FLUSH || r->command == NBD_TRIM || r->command == NBD_ZERO;

	return slow ? last : MIN(MAX(r->sent, c->heard) + c->timeout, last);
}

/* Milliseconds until the time is up, 0: it is; or -1: nothing is waited for, and nothing was for
 * some time.  Without a request the time is limited for a while, so that one that comes soon need
 * not wake the thread. */
static int time_left(struct connection *c)
{
	uint64_t t = now(), end;
	const struct nbd_request *r;

	pthread_mutex_lock(&c->lock);
	r = c->under_way.first;
	end = r ? end_of(c, r) : c->heard + 2 * c->timeout;
	c->asleep = !r && t >= end;
	pthread_mutex_unlock(&c->lock);
	if (t >= end)
		return r ? 0 : -1;
	return (int)MIN(end - t, r ? UINT64_MAX : c->timeout / 4 + 1);
}

/* Waits for what libnbd waits for; other: a descriptor that is waited for, too, or -1.  *ready: the
 * direction that libnbd is to be told of, or 0.  The result is that of poll. */
static int wait_for(struct nbd_handle *h, int other, int ms, unsigned *ready)
{
	unsigned direction = libnbd.aio_get_direction(h);
	bool reads = direction & LIBNBD_AIO_DIRECTION_READ;
	bool writes = direction & LIBNBD_AIO_DIRECTION_WRITE;
	struct pollfd p[] = {
		{.fd = libnbd.aio_get_fd(h),
			.events = (reads ? POLLIN : 0) | (writes ? POLLOUT : 0)},
		{.fd = other, .events = POLLIN},
	};
	const short broken = POLLHUP | POLLERR;
	eventfd_t events;
	int n = poll(p, 2, ms);

	*ready = 0;
	if (n <= 0)
		return n;
	/* As reading may change what is written, only one of them. */
	if (reads && p[0].revents & (POLLIN | broken))
		*ready = LIBNBD_AIO_DIRECTION_READ;
	else if (writes && p[0].revents & (POLLOUT | broken))
		*ready = LIBNBD_AIO_DIRECTION_WRITE;
	if (p[1].revents)
		eventfd_read(other, &events);
	return n;
}

static void notify(struct nbd_handle *h, unsigned ready)
{
	if (ready == LIBNBD_AIO_DIRECTION_READ)
		libnbd.aio_notify_read(h);
	else if (ready == LIBNBD_AIO_DIRECTION_WRITE)
		libnbd.aio_notify_write(h);
}

/* Lets libnbd work, and takes the answers that it has.  False: the connection is over, and none is
 * taken, since it may be an answer to that. */
static bool advance(struct connection *c, unsigned ready, struct nbd_request **answered)
{
	struct nbd_handle *h = c->handle;
	bool over;

	pthread_mutex_lock(&c->use);
	over = is_ended(h);
	if (!over && ready) {
		notify(h, ready);
		over = has_ended(c, h);
	}
	if (!over)
		*answered = take_all(c, &c->answered);
	pthread_mutex_unlock(&c->use);
	return !over;
}

static bool is_set(struct connection *c, const bool *flag)
{
	bool set;

	pthread_mutex_lock(&c->lock);
	set = *flag;
	pthread_mutex_unlock(&c->lock);
	return set;
}

static void set(struct connection *c, bool *flag)
{
	pthread_mutex_lock(&c->lock);
	*flag = true;
	pthread_mutex_unlock(&c->lock);
	wake(c);
}

static bool must_stop(struct connection *c)
{
	return is_set(c, &c->ending) || is_set(c, &c->paused);
}

/* Waits for an event and handles it; false: the connection is over. */
static bool handle_event(struct connection *c)
{
	struct nbd_request *answered;
	int left = time_left(c);
	unsigned ready;
	char text[64];

	if (wait_for(c->handle, c->wake, left, &ready) == 0 && left == 0) {
		snprintf(text, sizeof text, "no answer within %u seconds",
			(unsigned)(c->timeout / 1000));
		note_reason(c, text);
		c->late = true;
		return false;
	}
	if (!advance(c, ready, &answered))
		return false;
	if (answered) {
		pthread_mutex_lock(&c->lock);
		c->heard = now();
		pthread_mutex_unlock(&c->lock);
		answer(c, answered, 0);
	}
	return true;
}

static void *thread_main(void *arg)
{
	struct connection *c = arg;
	struct nbd_handle *h = c->handle;

	while (!must_stop(c) && handle_event(c))
		;
	if (is_set(c, &c->paused))
		return NULL;
	atomic_store(&c->alive, false);
	/* The reason comes before the first request that fails for it. */
	if (!is_set(c, &c->ending))
		c->failed(c->arg, c->reason, c->late);
	pthread_mutex_lock(&c->use);
	c->handle = NULL;
	pthread_mutex_unlock(&c->use);
	libnbd.close(h);
	answer(c, take_all(c, &c->answered), 0);
	answer(c, take_all(c, &c->under_way), ENOTCONN);
	return NULL;
}

/* Signals are for the other threads of the program. */
static int start_thread(struct connection *c)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&c->thread, NULL, thread_main, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return code;
}

static void destroy(struct connection *c)
{
	if (c->wake >= 0)
		close(c->wake);
	pthread_mutex_destroy(&c->use);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int connection_begin(struct nbd_handle *h, unsigned timeout,
	void (*failed)(void *arg, const char *reason, bool late), void *arg,
	struct connection **out, struct err *e)
{
	struct connection *c = calloc(1, sizeof *c);
	int code;

	if (!c) {
		libnbd.close(h);
		return err_nomem(e);
	}
	*c = (struct connection){
		.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.timeout = (uint64_t)timeout * 1000,
		.failed = failed,
		.arg = arg,
		.handle = h,
		.socket = libnbd.aio_get_fd(h),
		.heard = now(),
		.alive = true,
	};
	pthread_mutex_init(&c->use, NULL);
	pthread_mutex_init(&c->lock, NULL);
	code = c->wake < 0 ? errno : start_thread(c);
	if (code == 0) {
		*out = c;
		return 0;
	}
	libnbd.close(h);
	destroy(c);
	return err_set(e, code, "no thread for the connection: %s", strerror(code));
}

void connection_end(struct connection *c)
{
	if (!c)
		return;
	/* A server that listens may end its side, too; nothing waits for that. */
	pthread_mutex_lock(&c->use);
	if (c->handle && c->load == 0)
		libnbd.aio_disconnect(c->handle, 0);
	pthread_mutex_unlock(&c->use);
	set(c, &c->ending);
	if (c->paused) {
		c->paused = false;
		thread_main(c);
	} else {
		pthread_join(c->thread, NULL);
	}
	destroy(c);
}

void connection_pause(struct connection *c)
{
	if (c->paused)
		return;
	set(c, &c->paused);
	pthread_join(c->thread, NULL);
}

int connection_resume(struct connection *c, struct err *e)
{
	int code;

	if (!c->paused)
		return 0;
	c->paused = false;
	code = start_thread(c);
	if (code == 0)
		return 0;
	c->paused = true;
	return err_set(e, code, "no thread for the connection: %s", strerror(code));
}

void connection_abort(struct connection *c)
{
	set(c, &c->ending);
}

int connection_socket(const struct connection *c)
{
	return c->socket;
}

bool connection_is_alive(const struct connection *c)
{
	return c->alive;
}

unsigned connection_load(const struct connection *c)
{
	return c->load;
}

/* The handshake. */

static int handshake_failed(struct err *e)
{
	int code = libnbd.get_errno();

	return err_set(e, code > 0 ? code : EPROTO, "%s", last_error("no connection"));
}

int connection_handshake(struct nbd_handle *h, const char *uri, unsigned timeout, struct err *e)
{
	uint64_t end = now() + (uint64_t)timeout * 1000, t;
	unsigned ready;

	if (libnbd.aio_connect_uri(h, uri) < 0)
		return handshake_failed(e);
	while (libnbd.aio_is_ready(h) != 1) {
		if (libnbd.aio_is_dead(h) == 1)
			return handshake_failed(e);
		if (libnbd.aio_is_closed(h) == 1)
			return err_set(e, EPROTO, "the server has closed the connection");
		t = now();
		if (t >= end)
			return err_set(e, ETIMEDOUT, "no answer within %u seconds", timeout);
		wait_for(h, -1, (int)(end - t), &ready);
		notify(h, ready);
	}
	return 0;
}
