/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/unit.h"
#include "util/bytes.h"

/* Numbers of the protocol. */
#define GREETING     UINT64_C(0x4e42444d41474943)
#define OPTION       UINT64_C(0x49484156454f5054)
#define OPTION_REPLY UINT64_C(0x3e889045565a9)
#define REQUEST      0x25609513u
#define SIMPLE       0x67446698u
#define STRUCTURED   0x668e33efu

#define OPT_GO         7u
#define OPT_STRUCTURED 8u
#define OPT_SET_META   10u
#define REP_ACK        1u
#define REP_INFO       3u
#define REP_META       4u
#define REP_UNKNOWN    0x80000001u

#define INFO_EXPORT 0
#define INFO_BLOCKS 3

#define CHUNK_NONE   0
#define CHUNK_DATA   1
#define CHUNK_STATUS 5
#define CHUNK_ERROR  0x8001
#define CHUNK_DONE   1

struct fake_client {
	struct fake *f;
	struct fake_client *next;
	unsigned number;
	int fd;
	bool structured, extents;
	pthread_t thread;
	pthread_mutex_t sending;
};

/* An answer that waits. */
struct fake_held {
	struct fake_held *next;
	struct fake_client *client;
	size_t len;
	unsigned char bytes[];
};

static bool get(int fd, void *buf, size_t len)
{
	return len == 0 || recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

static bool put(int fd, const void *buf, size_t len)
{
	for (ssize_t n; len > 0; buf = (const char *)buf + n, len -= (size_t)n) {
		n = send(fd, buf, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
	}
	return true;
}

/* The handshake. */

static bool reply_option(int fd, uint32_t option, uint32_t type, const void *data, uint32_t len)
{
	unsigned char head[20];

	put_be(head, 8, OPTION_REPLY);
	put_be(head + 8, 4, option);
	put_be(head + 12, 4, type);
	put_be(head + 16, 4, len);
	return put(fd, head, sizeof head) && put(fd, data, len);
}

static bool go(struct fake_client *c)
{
	const struct fake *f = c->f;
	unsigned char export[12], blocks[14];
	unsigned flags = 1u | (f->read_only ? 2u : 0) | (f->no_flush ? 0 : 4u) | 32u |
			 (f->no_zero ? 0 : 64u) | (f->multi_conn ? 256u : 0);

	put_be(export, 2, INFO_EXPORT);
	put_be(export + 2, 8, f->told ? f->told : f->size);
	put_be(export + 10, 2, flags);
	put_be(blocks, 2, INFO_BLOCKS);
	put_be(blocks + 2, 4, f->min);
	put_be(blocks + 6, 4, MAX(f->min, 4096u));
	put_be(blocks + 10, 4, f->max ? f->max : 32u << 20);
	return reply_option(c->fd, OPT_GO, REP_INFO, export, sizeof export) &&
	       (!f->min || reply_option(c->fd, OPT_GO, REP_INFO, blocks, sizeof blocks)) &&
	       reply_option(c->fd, OPT_GO, REP_ACK, NULL, 0);
}

static bool set_meta(struct fake_client *c)
{
	static const char context[] = "\0\0\0\1base:allocation";

	c->extents = !c->f->no_extents;
	return (!c->extents ||
		       reply_option(c->fd, OPT_SET_META, REP_META, context, sizeof context - 1)) &&
	       reply_option(c->fd, OPT_SET_META, REP_ACK, NULL, 0);
}

/* Answers one option; *ready: the last one. */
static bool handle_option(struct fake_client *c, bool *ready)
{
	unsigned char head[16], data[4096];
	uint32_t option, len;

	if (!get(c->fd, head, sizeof head))
		return false;
	option = load_be32(head + 8);
	len = load_be32(head + 12);
	if (load_be64(head) != OPTION || len > sizeof data || !get(c->fd, data, len))
		return false;
	switch (option) {
	case OPT_STRUCTURED:
		c->structured = true;
		return reply_option(c->fd, option, REP_ACK, NULL, 0);
	case OPT_SET_META:
		return set_meta(c);
	case OPT_GO:
		*ready = true;
		return go(c);
	default:
		return reply_option(c->fd, option, REP_UNKNOWN, NULL, 0);
	}
}

static bool greet(struct fake_client *c)
{
	unsigned char hello[18], flags[4];
	bool ready = false;

	if (c->f->greeting == GREETS_NEVER)
		return get(c->fd, flags, 1);
	if (c->f->greeting == GREETS_AND_CLOSES)
		return false;
	put_be(hello, 8, c->f->greeting == GREETS_WRONGLY ? 1 : GREETING);
	put_be(hello + 8, 8, OPTION);
	put_be(hello + 16, 2, 3);
	if (!put(c->fd, hello, sizeof hello) || !get(c->fd, flags, sizeof flags))
		return false;
	while (!ready)
		if (!handle_option(c, &ready))
			return false;
	return true;
}

/* Answers. */

static size_t chunk(unsigned char *to, const unsigned char cookie[8], unsigned flags, unsigned type,
	uint32_t len)
{
	put_be(to, 4, STRUCTURED);
	put_be(to + 4, 2, flags);
	put_be(to + 6, 2, type);
	memcpy(to + 8, cookie, 8);
	put_be(to + 16, 4, len);
	return 20;
}

static bool is_hole(const struct fake *f, uint64_t pos, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		if (f->data[pos + i])
			return false;
	return true;
}

/* Extents of granules from pos on; returns the bytes of the payload. */
static uint32_t put_extents(
	const struct fake *f, unsigned char *to, uint64_t pos, uint32_t len, enum fake_fate fate)
{
	uint32_t at = 4;
	uint64_t end = MIN(pos + len, f->size), step;

	put_be(to, 4, 1);
	for (; pos < end && at < 8000; pos += step, at += 8) {
		step = MIN(end, (pos / FAKE_GRANULE + 1) * FAKE_GRANULE) - pos;
		put_be(to + at, 4, fate == FAKE_EMPTY ? 0 : step);
		put_be(to + at + 4, 4, is_hole(f, pos, step) ? 3 : 0);
	}
	return at;
}

/* The answer to a request, in malloc'ed memory. */
static unsigned char *make_answer(struct fake_client *c, const struct fake_request *r,
	const unsigned char cookie[8], enum fake_fate fate, size_t *len)
{
	uint32_t data = r->command == FAKE_READ ? r->len : 0;
	bool fits = r->pos <= c->f->size && r->len <= c->f->size - r->pos;
	unsigned char *a = calloc(1, data + 16384), *p = a;

	if (fate == FAKE_FAIL || (!fits && r->command != FAKE_FLUSH)) {
		p += chunk(p, cookie, CHUNK_DONE, CHUNK_ERROR, 6);
		put_be(p, 4, EIO);
		p += 6;
	} else if (r->command == FAKE_READ) {
		if (fate == FAKE_SHORT)
			data /= 2;
		p += chunk(p, cookie, CHUNK_DONE, CHUNK_DATA,
			8 + data + (fate == FAKE_LONG ? 4096 : 0));
		put_be(p, 8, r->pos);
		pthread_mutex_lock(&c->f->data_lock);
		memcpy(p + 8, c->f->data + r->pos, data);
		pthread_mutex_unlock(&c->f->data_lock);
		p += 8 + data;
	} else if (r->command == FAKE_STATUS) {
		unsigned char payload[8192];
		uint32_t n = put_extents(c->f, payload, r->pos, r->len, fate);

		p += chunk(p, cookie, CHUNK_DONE, CHUNK_STATUS, n);
		memcpy(p, payload, n);
		p += n;
	} else {
		p += chunk(p, cookie, CHUNK_DONE, CHUNK_NONE, 0);
	}
	*len = (size_t)(p - a);
	return a;
}

static bool send_answer(struct fake_client *c, const void *bytes, size_t len)
{
	bool good;

	pthread_mutex_lock(&c->sending);
	good = put(c->fd, bytes, len);
	pthread_mutex_unlock(&c->sending);
	return good;
}

static void hold(struct fake_client *c, const void *bytes, size_t len)
{
	struct fake_held *h = malloc(sizeof *h + len);

	h->client = c;
	h->len = len;
	memcpy(h->bytes, bytes, len);
	pthread_mutex_lock(&c->f->lock);
	h->next = c->f->waiting;
	c->f->waiting = h;
	pthread_mutex_unlock(&c->f->lock);
	c->f->held++;
}

void fake_release(struct fake *f)
{
	struct fake_held *h;

	pthread_mutex_lock(&f->lock);
	while ((h = f->waiting)) {
		f->waiting = h->next;
		send_answer(h->client, h->bytes, h->len);
		free(h);
	}
	pthread_mutex_unlock(&f->lock);
	f->held = 0;
}

/* Answers as fate says; false: the connection ends. */
static bool answer(struct fake_client *c, const struct fake_request *r,
	const unsigned char cookie[8], enum fake_fate fate)
{
	static const unsigned char nobody[8] = {0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4};
	unsigned char other[20];
	size_t len;
	unsigned char *a = make_answer(c, r, cookie, fate, &len);
	bool good = true;

	if (fate == FAKE_MAGIC)
		a[0] ^= 0xff;
	if (fate == FAKE_OTHER)
		send_answer(c, other, chunk(other, nobody, CHUNK_DONE, CHUNK_NONE, 0));
	if (fate == FAKE_HOLD)
		hold(c, a, len);
	else if (fate == FAKE_CUT)
		good = send_answer(c, a, len / 2) && false;
	else if (fate != FAKE_IGNORE)
		good = send_answer(c, a, len);
	free(a);
	return good && fate != FAKE_CLOSE;
}

/* Requests. */

static bool change(struct fake_client *c, const struct fake_request *r)
{
	struct fake *f = c->f;
	unsigned char *to;
	bool good = true;

	if (r->pos > f->size || r->len > f->size - r->pos)
		return r->command != FAKE_WRITE;
	to = f->data + r->pos;
	if (r->command == FAKE_WRITE) {
		unsigned char *buf = malloc(r->len);

		good = get(c->fd, buf, r->len);
		pthread_mutex_lock(&f->data_lock);
		if (good)
			memcpy(to, buf, r->len);
		pthread_mutex_unlock(&f->data_lock);
		free(buf);
		f->writes++;
	} else if (r->command == FAKE_ZERO) {
		pthread_mutex_lock(&f->data_lock);
		memset(to, 0, r->len);
		pthread_mutex_unlock(&f->data_lock);
	} else if (r->command == FAKE_FLUSH) {
		f->flushes++;
	} else if (r->command == FAKE_READ) {
		f->reads++;
	}
	return good;
}

static bool handle_request(struct fake_client *c)
{
	unsigned char head[28];
	struct fake_request r;
	enum fake_fate fate;

	if (!get(c->fd, head, sizeof head) || load_be32(head) != REQUEST)
		return false;
	r = (struct fake_request){
		load_be16(head + 6), load_be64(head + 16), load_be32(head + 24), c->number};
	if (r.command == FAKE_DISC)
		return false;
	c->f->requests++;
	fate = c->f->fate ? c->f->fate(c->f, &r) : FAKE_ANSWER;
	if (fate == FAKE_CLOSE || !change(c, &r))
		return false;
	return answer(c, &r, head + 8, fate);
}

static void *client_main(void *arg)
{
	struct fake_client *c = arg;

	if (greet(c))
		while (handle_request(c))
			;
	shutdown(c->fd, SHUT_RDWR);
	return NULL;
}

static void *listener_main(void *arg)
{
	struct fake *f = arg;
	int fd;

	while ((fd = accept(f->listener, NULL, NULL)) >= 0) {
		struct fake_client *c = calloc(1, sizeof *c);

		c->f = f;
		c->fd = fd;
		c->number = f->connections++;
		pthread_mutex_init(&c->sending, NULL);
		pthread_mutex_lock(&f->lock);
		c->next = f->clients;
		f->clients = c;
		pthread_mutex_unlock(&f->lock);
		pthread_create(&c->thread, NULL, client_main, c);
	}
	return NULL;
}

void fake_start(struct fake *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "sock"};

	f->data = malloc(f->size);
	fill_pattern(f->data, f->size, 18);
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_init(&f->data_lock, NULL);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(f->listener, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(f->listener, 16), 0);
	pthread_create(&f->thread, NULL, listener_main, f);
}

void fake_end(struct fake *f)
{
	struct fake_client *c;

	shutdown(f->listener, SHUT_RDWR);
	pthread_join(f->thread, NULL);
	close(f->listener);
	fake_release(f);
	while ((c = f->clients)) {
		f->clients = c->next;
		shutdown(c->fd, SHUT_RDWR);
		pthread_join(c->thread, NULL);
		close(c->fd);
		free(c);
	}
	free(f->data);
	unlink("sock");
}
