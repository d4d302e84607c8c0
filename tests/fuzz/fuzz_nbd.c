/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an NBD server may answer.  The first byte of the input has the abilities of the server; its
 * front part is what the server answers, or all that it says, and its end what the client does.
 *
 * As long as all answers are right, so is what is read.  A server that gets no request for a while
 * ends the connection, so that a client that waits for the rest of an answer does not wait for
 * long.
 */
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fuzz.h"
#include "nbd/nbd.h"

#define OPS     12
#define LEN_MAX 600000u
#define IDLE_US 20000

#define RAW        1u /* the input is all that the server says */
#define BLOCKS     2u
#define STRUCTURED 4u
#define EXTENTS    8u
#define READ_ONLY  16u
#define NO_FLUSH   32u
#define NO_ZERO    64u
#define TRIM       128u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left of the input: the server takes from the front, the client from the end. */
struct server {
	const uint8_t *data;
	size_t front, end;
	unsigned abilities;
	uint64_t size;
	bool structured;
	bool lied;
	int listener, fd;
};

static uint64_t take(struct server *s, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | (s->front < s->end ? s->data[s->front++] : 0);
	return value;
}

static void put(uint8_t *p, unsigned width, uint64_t value)
{
	while (width-- > 0) {
		p[width] = (uint8_t)value;
		value >>= 8;
	}
}

static bool say(struct server *s, const void *buf, size_t len)
{
	return len == 0 || send(s->fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool hear(struct server *s, void *buf, size_t len)
{
	return len == 0 || recv(s->fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

/* The byte at pos of a disk that nobody has written to. */
static uint8_t byte_at(uint64_t pos)
{
	return (uint8_t)(pos >> 9 ^ pos * 7);
}

static bool reply(struct server *s, uint32_t option, uint32_t type, const void *data, uint32_t len)
{
	uint8_t head[20];

	put(head, 8, UINT64_C(0x3e889045565a9));
	put(head + 8, 4, option);
	put(head + 12, 4, type);
	put(head + 16, 4, len);
	return say(s, head, sizeof head) && say(s, data, len);
}

static bool go(struct server *s)
{
	uint8_t info[14] = {0};
	unsigned a = s->abilities;

	put(info + 2, 8, s->size);
	put(info + 10, 2,
		1 | (a & READ_ONLY ? 2 : 0) | (a & NO_FLUSH ? 0 : 4) | (a & TRIM ? 32 : 0) |
			(a & NO_ZERO ? 0 : 64));
	if (!reply(s, 7, 3, info, 12))
		return false;
	if (a & BLOCKS) {
		put(info, 2, 3);
		put(info + 2, 4, UINT64_C(1) << take(s, 1) % 18);
		put(info + 6, 4, 4096);
		put(info + 10, 4, take(s, 4));
		if (!reply(s, 7, 3, info, 14))
			return false;
	}
	return reply(s, 7, 1, NULL, 0);
}

static bool greet(struct server *s)
{
	uint8_t buf[4096];
	uint32_t option = 0, len;

	put(buf, 8, UINT64_C(0x4e42444d41474943));
	put(buf + 8, 8, UINT64_C(0x49484156454f5054));
	put(buf + 16, 2, 3);
	if (!say(s, buf, 18) || !hear(s, buf, 4))
		return false;
	while (option != 7) {
		bool good;

		if (!hear(s, buf, 16))
			return false;
		option = load_be32(buf + 8);
		len = load_be32(buf + 12);
		if (len > sizeof buf || !hear(s, buf, len))
			return false;
		s->structured |= option == 8 && s->abilities & STRUCTURED;
		if (option == 7)
			good = go(s);
		else if (option == 8 && !s->structured)
			good = reply(s, option, 0x80000001, NULL, 0);
		else if (option == 10 && s->abilities & EXTENTS)
			good = reply(s, option, 4, "\0\0\0\1base:allocation", 19) &&
			       reply(s, option, 1, NULL, 0);
		else
			good = reply(s, option, 1, NULL, 0);
		if (!good)
			return false;
	}
	return true;
}

static size_t chunk(uint8_t *p, const uint8_t *cookie, unsigned flags, unsigned type, uint32_t len)
{
	put(p, 4, 0x668e33ef);
	put(p + 4, 2, flags);
	put(p + 6, 2, type);
	memcpy(p + 8, cookie, 8);
	put(p + 16, 4, len);
	return 20;
}

/* The right answer. */
static bool answer(
	struct server *s, unsigned command, const uint8_t *cookie, uint64_t pos, uint32_t len)
{
	uint32_t data = command == 0 ? len : 0;
	uint8_t *a = malloc(data + 64), *p = a;
	bool good;

	if (command == 7) {
		p += chunk(p, cookie, 1, 5, 12);
		put(p, 4, 1);
		put(p + 4, 4, len);
		put(p + 8, 4, 0);
		p += 12;
	} else if (s->structured && command == 0) {
		p += chunk(p, cookie, 1, 1, 8 + data);
		put(p, 8, pos);
		p += 8;
	} else {
		put(p, 4, 0x67446698);
		put(p + 4, 4, 0);
		memcpy(p + 8, cookie, 8);
		p += 16;
	}
	for (uint32_t i = 0; i < data; i++)
		p[i] = byte_at(pos + i);
	good = say(s, a, (size_t)(p - a) + data);
	free(a);
	return good;
}

/* A part of the input, as the contents of a chunk or without its head. */
static bool lie(struct server *s, const uint8_t *cookie)
{
	uint8_t head[20];
	unsigned kind = (unsigned)take(s, 1), flags = (unsigned)take(s, 1) % 4;
	unsigned type = (unsigned)take(s, 1);
	uint32_t told = (uint32_t)take(s, 2), len = MIN(told, s->end - s->front);

	s->lied = true;
	/* Errors have the highest bit. */
	type = type & 128 ? 0x8000 | (type & 3) : type % 8;
	if (kind % 8 == 0)
		return false;
	if (kind % 8 < 5 && !say(s, head, chunk(head, cookie, flags, type, told)))
		return false;
	s->front += len;
	return say(s, s->data + s->front - len, len);
}

static bool handle(struct server *s)
{
	uint8_t head[28], buf[4096];
	unsigned command;
	uint64_t pos;
	uint32_t len;

	if (!hear(s, head, sizeof head))
		return false;
	command = load_be16(head + 6);
	pos = load_be64(head + 16);
	len = load_be32(head + 24);
	for (uint32_t left = command == 1 ? len : 0, n; left > 0; left -= n) {
		n = MIN(left, sizeof buf);
		if (!hear(s, buf, n))
			return false;
	}
	if (command == 2)
		return false;
	/* The client takes no more from the input than one byte for each of its steps. */
	if (s->front < s->end && take(s, 1) >= 128)
		return lie(s, head + 8);
	return answer(s, command, head + 8, pos, len);
}

static void *serve(void *arg)
{
	const struct timeval idle = {.tv_usec = IDLE_US};
	struct server *s = arg;
	uint8_t buf[4096];

	s->fd = accept(s->listener, NULL, NULL);
	close(s->listener);
	setsockopt(s->fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle);
	if (s->abilities & RAW) {
		s->lied = true;
		say(s, s->data + s->front, s->end - s->front);
		while (recv(s->fd, buf, sizeof buf, 0) > 0)
			;
	} else if (greet(s)) {
		while (handle(s))
			;
	}
	shutdown(s->fd, SHUT_RDWR);
	return NULL;
}

static void listen_at(struct server *s, char *uri, size_t size)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof a.sun_path, "/tmp/vdiskfs-fuzz-%d", (int)getpid());
	snprintf(uri, size, "nbd+unix:///?socket=%s", a.sun_path);
	unlink(a.sun_path);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fuzz_require(bind(s->listener, (struct sockaddr *)&a, sizeof a) == 0 &&
		     listen(s->listener, 1) == 0);
}

static void read_one(
	const struct server *s, struct io *io, unsigned char *buf, size_t len, uint64_t pos)
{
	struct err e = ERR_INIT;
	int r = io_read(io, buf, len, pos, &e);

	fuzz_require(r == 0 || (r == -e.code && e.text[0]));
	for (size_t i = 0; r == 0 && !s->lied && !io->writable && i < len; i++)
		fuzz_require(buf[i] == byte_at(pos + i));
}

static void seek(struct io *io, uint64_t pos)
{
	uint64_t data = io_seek(io, pos, SEEK_DATA), hole = io_seek(io, pos, SEEK_HOLE);

	fuzz_require(data >= pos && hole >= pos && data <= io->size && hole <= io->size);
}

/* One step of the client, from a byte of the end of the input. */
static void step(const struct server *s, struct io *io, unsigned char *buf, uint8_t what)
{
	uint64_t pos = io->size > 0 ? what * UINT64_C(0x9e3779b97f4a7c15) % io->size : 0;
	size_t len = MIN(1 + (size_t)what * 2341, MIN(LEN_MAX, io->size - pos));
	struct err e = ERR_INIT;

	switch (what % 8) {
	case 0:
		io_fetch(io, pos, len);
		break;
	case 1:
		seek(io, pos);
		break;
	case 2:
		if (io->writable || io_make_writable(io, &e) == 0)
			io_write(io, buf, len, pos, &e);
		break;
	case 3:
		if (io->writable)
			io_zero(io, pos, len, &e);
		break;
	case 4:
		if (io->writable)
			io_discard(io, pos, len);
		break;
	case 5:
		if (io->writable)
			io_sync(io, &e);
		break;
	default:
		read_one(s, io, buf, len, pos);
	}
}

static void use(const struct server *s, struct nbd_server *n, const uint8_t *steps, size_t count)
{
	unsigned char *buf = calloc(1, LEN_MAX);
	struct err e = ERR_INIT;
	struct io *io = nbd_server_io(n, &e);

	fuzz_require(io && buf);
	for (size_t i = 0; i < count; i++)
		step(s, io, buf, steps[i]);
	io_unref(io);
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct nbd_options o = {.timeout = 1};
	size_t steps = size > 0 ? MIN(OPS, size / 4) : 0;
	struct server s = {.data = data, .end = size - steps};
	struct err e = ERR_INIT;
	struct nbd_server *n;
	pthread_t thread;
	char uri[128];

	if (size < 4)
		return 0;
	s.abilities = (unsigned)take(&s, 1);
	s.size = take(&s, 2) << take(&s, 1) % 48;
	listen_at(&s, uri, sizeof uri);
	fuzz_require(pthread_create(&thread, NULL, serve, &s) == 0);
	if (nbd_server_connect(uri, &o, &n, &e) == 0) {
		use(&s, n, data + size - steps, steps);
		nbd_server_disconnect(n);
	} else {
		fuzz_require(e.code > 0 && e.text[0] != '\0');
	}
	pthread_join(thread, NULL);
	close(s.fd);
	return 0;
}
