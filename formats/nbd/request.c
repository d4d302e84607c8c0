/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* request.c - requests on a server: see server.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ahead.h"
#include "extents.h"
#include "server.h"
#include "util/bytes.h"

/* Requests of a batch at most, and bytes of a read. */
#define PIECES 32u
#define WINDOW (4u << 20)

/* Bytes that are zeroed or trimmed by one request: not too much for a server that has to write
 * zeroes. */
#define RANGE_MAX (128u << 20)

/* Bytes whose extents are asked for. */
#define STATUS_MAX (UINT32_MAX & ~((64u << 10) - 1))

/* Batches. */

void batch_begin(struct batch *b)
{
	*b = (struct batch){.under_way = 0};
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->answered, NULL);
}

static void note_answer(struct nbd_request *r, int error)
{
	struct batch *b = ((struct batch_request *)r)->batch;

	pthread_mutex_lock(&b->lock);
	if (error && !b->error)
		b->error = error;
	if (--b->under_way == 0)
		pthread_cond_signal(&b->answered);
	pthread_mutex_unlock(&b->lock);
}

void batch_send(struct batch *b, struct nbd_server *s, struct batch_request *r)
{
	r->batch = b;
	r->request.done = note_answer;
	pthread_mutex_lock(&b->lock);
	b->under_way++;
	pthread_mutex_unlock(&b->lock);
	server_send(s, &r->request);
}

int batch_end(struct batch *b)
{
	pthread_mutex_lock(&b->lock);
	while (b->under_way > 0)
		pthread_cond_wait(&b->answered, &b->lock);
	pthread_mutex_unlock(&b->lock);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->answered);
	return -b->error;
}

/* Sends one request and waits for its answer. */
static int run(struct nbd_server *s, const struct nbd_request *request)
{
	struct batch_request r = {.request = *request};
	struct batch b;

	batch_begin(&b);
	batch_send(&b, s, &r);
	return batch_end(&b);
}

void server_send(void *arg, struct nbd_request *r)
{
	struct nbd_server *s = arg;
	struct connection *best = NULL;

	for (unsigned i = 0; i < s->n && !s->failed; i++) {
		struct connection *c = s->connections[i];

		if (connection_is_alive(c) && (!best || connection_load(c) < connection_load(best)))
			best = c;
	}
	if (best)
		connection_submit(best, r);
	else
		r->done(r, ENOTCONN);
}

/* Reading. */

/* A part of a read: of a block that was read ahead, or one of its own. */
struct piece {
	struct batch_request direct; /* with the range, also if there is a block */
	struct ahead_block *block;   /* pinned; or NULL */
};

/* Adds [pos, pos+len), in one block, of which no block was read ahead; false: to be tried again
 * with another piece. */
static bool extend(struct piece *p, size_t len, const struct nbd_server *s)
{
	if (p->block || p->direct.request.len + len > s->max)
		return false;
	p->direct.request.len += len;
	return true;
}

/* Cuts the range into pieces, as many as fit; returns their number. */
static unsigned cut(struct nbd_server *s, struct piece *pieces, char *buf, size_t len, uint64_t pos)
{
	unsigned n = 0;
	size_t step;

	for (; len > 0; buf += step, pos += step, len -= step) {
		struct ahead_block *block = ahead_pin(s->ahead, pos);

		step = MIN(len, AHEAD_BLOCK - pos % AHEAD_BLOCK);
		if (!block)
			step = MIN(step, s->max);
		if (!block && n > 0 && extend(&pieces[n - 1], step, s))
			continue;
		pieces[n++] = (struct piece){
			.direct.request = {.command = NBD_READ,
				.pos = pos,
				.len = step,
				.buf = buf},
			.block = block,
		};
		/* One more than there is space for would be pinned. */
		if (n == PIECES)
			break;
	}
	return n;
}

/* Reads a part of the range: its length, or -errno. */
static ssize_t read_window(struct nbd_server *s, char *buf, size_t len, uint64_t pos)
{
	struct piece pieces[PIECES];
	unsigned n = cut(s, pieces, buf, MIN(len, WINDOW), pos);
	struct batch batch;
	ssize_t done = 0;
	int r;

	batch_begin(&batch);
	for (unsigned i = 0; i < n; i++) {
		done += (ssize_t)pieces[i].direct.request.len;
		if (!pieces[i].block)
			batch_send(&batch, s, &pieces[i].direct);
	}
	for (unsigned i = 0; i < n; i++) {
		struct nbd_request *direct = &pieces[i].direct.request;

		if (pieces[i].block && !ahead_read(s->ahead, pieces[i].block, direct->buf,
					       direct->len, direct->pos))
			batch_send(&batch, s, &pieces[i].direct);
	}
	r = batch_end(&batch);
	return r < 0 ? r : done;
}

int server_read(struct nbd_server *s, void *buf, size_t len, uint64_t pos)
{
	char *to = buf;
	unsigned lost = 0;
	ssize_t n;

	for (; len > 0; to += n, pos += n, len -= n) {
		n = read_window(s, to, len, pos);
		/* Another connection may be left. */
		if (n == -ENOTCONN && !s->failed && lost++ < SERVER_CONNECTIONS)
			n = 0;
		if (n < 0)
			return (int)n;
	}
	return 0;
}

/* Writing. */

/* What was read before is no longer true, and what is being read may not be. */
static void forget(struct nbd_server *s, uint64_t pos, uint64_t len)
{
	ahead_forget(s->ahead, pos, len);
	extents_forget(s->extents);
}

int server_write(struct nbd_server *s, const void *buf, size_t len, uint64_t pos)
{
	const uint64_t start = pos, all = len;
	const char *from = buf;
	int r = 0;

	forget(s, start, all);
	while (r == 0 && len > 0) {
		struct batch_request pieces[PIECES];
		struct batch batch;
		size_t step;

		batch_begin(&batch);
		for (unsigned n = 0; n < PIECES && len > 0;
			n++, from += step, pos += step, len -= step) {
			step = MIN(len, s->max);
			pieces[n].request = (struct nbd_request){
				.command = NBD_WRITE, .pos = pos, .len = step, .buf = (void *)from};
			batch_send(&batch, s, &pieces[n]);
		}
		r = batch_end(&batch);
	}
	forget(s, start, all);
	return r;
}

int server_range(struct nbd_server *s, enum nbd_command command, uint64_t pos, uint64_t len)
{
	const uint64_t start = pos, all = len;
	int r = 0;

	forget(s, start, all);
	for (uint64_t step; r == 0 && len > 0; pos += step, len -= step) {
		step = MIN(len, RANGE_MAX);
		r = run(s, &(struct nbd_request){.command = command, .pos = pos, .len = step});
	}
	forget(s, start, all);
	return r;
}

int server_flush(struct nbd_server *s)
{
	return run(s, &(struct nbd_request){.command = NBD_FLUSH});
}

/* Extents. */

struct status_request {
	struct batch_request batched;
	struct nbd_server *server;
	unsigned age;
};

static void note_extents(struct nbd_request *request, const uint32_t *entries, size_t n)
{
	struct status_request *r = (struct status_request *)request;

	extents_add(r->server->extents, r->age, request->pos, entries, n, r->server->size);
}

int server_ask_extents(struct nbd_server *s, uint64_t pos)
{
	uint64_t start = pos & ~(uint64_t)(s->read_align - 1);
	struct status_request r = {
		.batched.request =
			{
				.command = NBD_STATUS,
				.pos = start,
				.len = MIN(s->size - start, STATUS_MAX),
				.extents = note_extents,
			},
		.server = s,
		.age = extents_age(s->extents),
	};
	struct batch b;

	batch_begin(&b);
	batch_send(&b, s, &r.batched);
	return batch_end(&b);
}
