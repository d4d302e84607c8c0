/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "concat.h"

#include <errno.h>
#include <stdlib.h>

#include "util/array.h"
#include "util/bytes.h"
#include "util/err.h"
#include "io.h"

struct concat {
	struct io io;
	size_t n;
	struct io **parts;
	uint64_t *ends; /* parts[i] ends at ends[i], where the next one begins */
};

static int compare_to_end(const void *pos, const void *end)
{
	return *(const uint64_t *)pos < *(const uint64_t *)end ? -1 : 1;
}

static ssize_t concat_read(struct io *io, void *buf, size_t len, uint64_t pos)
{
	const struct concat *c = (const struct concat *)io;
	size_t done = 0;

	if (pos >= io->size)
		return 0;
	len = MIN(len, io->size - pos);
	while (done < len) {
		uint64_t at = pos + done;
		size_t i = array_lower_bound(&at, c->ends, c->n, sizeof c->ends[0], compare_to_end);
		uint64_t left = c->ends[i] - at;
		size_t want = MIN(len - done, left);
		ssize_t n = io_read_some(
			c->parts[i], (char *)buf + done, want, c->parts[i]->size - left);

		if (n < 0)
			return n;
		if ((size_t)n < want)
			return -EIO; /* it was cut */
		done += n;
	}
	return done;
}

static void concat_fetch(struct io *io, uint64_t pos, uint64_t len)
{
	const struct concat *c = (const struct concat *)io;
	size_t i = array_lower_bound(&pos, c->ends, c->n, sizeof c->ends[0], compare_to_end);

	for (uint64_t n; len > 0; i++, pos += n, len -= n) {
		uint64_t left = c->ends[i] - pos;

		n = MIN(len, left);
		io_fetch(c->parts[i], c->parts[i]->size - left, n);
	}
}

static struct io *concat_find_altered(struct io *io)
{
	const struct concat *c = (const struct concat *)io;
	struct io *altered = NULL;

	for (size_t i = 0; i < c->n && !altered; i++)
		altered = io_find_altered(c->parts[i]);
	return altered;
}

static void concat_close(struct io *io)
{
	struct concat *c = (struct concat *)io;

	for (size_t i = 0; i < c->n; i++)
		io_unref(c->parts[i]);
	free(c->parts);
	free(c->ends);
	free(c);
}

static const struct io_ops concat_ops = {
	.read = concat_read,
	.fetch = concat_fetch,
	.find_altered = concat_find_altered,
	.close = concat_close,
};

struct io *concat_new(struct io *const *parts, size_t n, const char *name, struct err *e)
{
	struct concat *c = io_new(sizeof *c, &concat_ops, name, e);
	const struct io *first = parts[0];

	if (!c)
		return NULL;
	c->parts = malloc(n * sizeof c->parts[0]);
	c->ends = malloc(n * sizeof c->ends[0]);
	if (!c->parts || !c->ends) {
		io_unref(&c->io);
		err_nomem(e);
		return NULL;
	}
	io_stand_for(&c->io, first);
	if (first->member)
		c->io.member = c->io.name + (first->member - first->name);
	c->io.size = c->io.stored = 0;
	for (; c->n < n; c->n++) {
		c->parts[c->n] = io_ref(parts[c->n]);
		c->io.size += parts[c->n]->size; /* a file is shorter than 2^63, of the sum */
		c->io.stored += parts[c->n]->stored;
		c->ends[c->n] = c->io.size;
		if (c->io.size > INT64_MAX) {
			c->n++;
			io_unref(&c->io);
			err_set(e, EFBIG, "%s: more than 2^63 bytes", name);
			return NULL;
		}
	}
	return &c->io;
}
