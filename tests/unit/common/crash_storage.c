/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crash_storage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/bytes.h"
#include "unit.h"

static int count_call(struct medium *m)
{
	return ++m->calls == m->fails_at ? -m->failure : 0;
}

static ssize_t do_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	const struct medium *m = (const struct medium *)io;

	if (pos >= io->size)
		return 0;
	len = MIN(len, io->size - pos);
	memcpy(buf, m->now + pos, len);
	return len;
}

static void remember(struct medium *m, uint64_t pos, uint64_t len, const void *data)
{
	struct pending *p = calloc(1, sizeof *p);

	ck_assert_ptr_nonnull(p);
	p->pos = pos;
	p->len = len;
	if (data) {
		p->data = malloc(len);
		ck_assert_ptr_nonnull(p->data);
		memcpy(p->data, data, len);
	}
	*m->last = p;
	m->last = &p->next;
}

static int do_write(struct io *io, const void *buf, size_t len, uint64_t pos)
{
	struct medium *m = (struct medium *)io;
	int r = count_call(m);

	ck_assert(range_fits(pos, len, MEDIUM_SIZE_MAX));
	if (r < 0)
		return r;
	memcpy(m->now + pos, buf, len);
	remember(m, pos, len, buf);
	return 0;
}

static int do_resize(struct io *io, uint64_t size)
{
	struct medium *m = (struct medium *)io;
	int r = count_call(m);

	ck_assert_uint_le(size, MEDIUM_SIZE_MAX);
	if (r < 0)
		return r;
	if (size < io->size)
		memset(m->now + size, 0, io->size - size);
	remember(m, size, 0, NULL);
	return 0;
}

void medium_replay(
	unsigned char *bytes, uint64_t *size, const struct pending *p, uint64_t from, uint64_t len)
{
	if (!p->data) {
		if (p->pos < *size)
			memset(bytes + p->pos, 0, *size - p->pos);
		*size = p->pos;
		return;
	}
	memcpy(bytes + p->pos + from, p->data + from, len);
	*size = MAX(*size, p->pos + from + len);
}

void medium_drop_pending(struct medium *m)
{
	for (struct pending *p = m->first, *next; p; p = next) {
		next = p->next;
		free(p->data);
		free(p);
	}
	m->first = NULL;
	m->last = &m->first;
}

static int do_sync(struct io *io)
{
	struct medium *m = (struct medium *)io;
	int r = count_call(m);

	if (r < 0)
		return r;
	if (m->first && m->before_sync)
		m->before_sync(m->arg);
	for (const struct pending *p = m->first; p; p = p->next)
		medium_replay(m->durable, &m->durable_size, p, 0, p->len);
	medium_drop_pending(m);
	return 0;
}

static int do_reserve(struct io *io, uint64_t pos, uint64_t len)
{
	struct medium *m = (struct medium *)io;

	ck_assert(range_fits(pos, len, MEDIUM_SIZE_MAX));
	return count_call(m);
}

/* The calls of struct io; any thread may make them. */

static ssize_t medium_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	struct medium *m = (struct medium *)io;
	ssize_t n;

	pthread_mutex_lock(&m->lock);
	n = do_read(io, buf, len, pos);
	pthread_mutex_unlock(&m->lock);
	return n;
}

static int end_call(struct medium *m, int r)
{
	if (m->after_change)
		m->after_change(m->arg);
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int medium_write(struct io *io, const void *buf, size_t len, uint64_t pos)
{
	struct medium *m = (struct medium *)io;

	pthread_mutex_lock(&m->lock);
	return end_call(m, do_write(io, buf, len, pos));
}

static int medium_resize(struct io *io, uint64_t size)
{
	struct medium *m = (struct medium *)io;

	pthread_mutex_lock(&m->lock);
	return end_call(m, do_resize(io, size));
}

static int medium_sync(struct io *io)
{
	struct medium *m = (struct medium *)io;

	pthread_mutex_lock(&m->lock);
	return end_call(m, do_sync(io));
}

static int medium_reserve(struct io *io, uint64_t pos, uint64_t len)
{
	struct medium *m = (struct medium *)io;

	pthread_mutex_lock(&m->lock);
	return end_call(m, do_reserve(io, pos, len));
}

static void medium_close(struct io *io)
{
	(void)io; /* the medium outlives the image that uses it */
}

static const struct io_ops medium_ops = {
	.read = medium_read,
	.write = medium_write,
	.sync = medium_sync,
	.resize = medium_resize,
	.reserve = medium_reserve,
	.close = medium_close,
};

void medium_load(struct medium *m, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	ck_assert(fd >= 0 && fstat(fd, &st) == 0 && st.st_size <= MEDIUM_SIZE_MAX);
	m->now = calloc(1, MEDIUM_SIZE_MAX);
	m->durable = calloc(1, MEDIUM_SIZE_MAX);
	ck_assert(m->now && m->durable);
	ck_assert_int_eq(read(fd, m->now, st.st_size), st.st_size);
	memcpy(m->durable, m->now, st.st_size);
	m->durable_size = st.st_size;
	m->last = &m->first;
	pthread_mutex_init(&m->lock, NULL);
	close(fd);
}

struct io *medium_io(struct medium *m)
{
	uint64_t size = MAX(m->io.size, m->durable_size);

	m->io = (struct io){
		.ops = &medium_ops,
		.name = strdup("medium"),
		.fd = -1,
		.refs = 1,
		.size = size,
		.writable = true,
	};
	return &m->io;
}

void medium_free(struct medium *m)
{
	medium_drop_pending(m);
	pthread_mutex_destroy(&m->lock);
	free(m->now);
	free(m->durable);
}

uint64_t medium_pending(const struct medium *m)
{
	uint64_t n = 0;

	for (const struct pending *p = m->first; p; p = p->next)
		n++;
	return n;
}

unsigned char *scratch_fill(struct scratch *s, const void *bytes, uint64_t size)
{
	if (!s->bytes)
		s->bytes = calloc(1, MEDIUM_SIZE_MAX);
	ck_assert_ptr_nonnull(s->bytes);
	if (size > 0)
		memcpy(s->bytes, bytes, size);
	if (s->used > size)
		memset(s->bytes + size, 0, s->used - size);
	s->used = size;
	return s->bytes;
}

static bool happens(uint64_t *random, unsigned percent)
{
	return next_random(random) % 100 < percent;
}

void medium_cut(const struct medium *m, struct scratch *file, unsigned percent, uint64_t most,
	uint64_t *random)
{
	uint64_t size = m->durable_size;
	unsigned char *bytes = scratch_fill(file, m->durable, size);

	for (const struct pending *p = m->first; p && most > 0; p = p->next, most--) {
		if (!p->data && happens(random, percent))
			medium_replay(bytes, &size, p, 0, 0);
		for (uint64_t i = 0, n; i < p->len; i += n) {
			n = MIN(MEDIUM_SECTOR - (p->pos + i) % MEDIUM_SECTOR, p->len - i);
			if (happens(random, percent))
				medium_replay(bytes, &size, p, i, n);
		}
	}
	file->used = size;
}
