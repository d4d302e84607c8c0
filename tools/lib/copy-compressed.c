/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copy-compressed.c - see copy-compressed.h.
 *
 * A piece of parallel work is a number of clusters (units of the output).  A thread's buffer holds
 * the data of the piece, a slot for the compressed form of each cluster, and the results.
 */
#include "copy-compressed.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "copy-fate.h"
#include "copy.h"
#include "parallel.h"
#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"

struct result {
	enum copy_fate fate;
	uint32_t len; /* compressed bytes; 0: the cluster is written uncompressed */
};

struct buffer {
	unsigned char *data, *compressed;
	size_t slot; /* bytes in compressed for one cluster */
	struct result *results;
};

static size_t piece_size(const struct copy *c)
{
	return MAX(c->out->unit, PARALLEL_PIECE);
}

static size_t slot_size(const struct copy *c)
{
	return round_up(c->out->compressed_max, 64);
}

static struct buffer divide(const struct copy *c, unsigned char *buf)
{
	size_t piece = piece_size(c), slot = slot_size(c);

	return (struct buffer){
		.data = buf,
		.compressed = buf + piece,
		.slot = slot,
		.results = (void *)(buf + piece + piece / c->out->unit * slot),
	};
}

/* The first step of a piece: any thread, in any order. */
static int compress(void *arg, uint64_t off, size_t len, void *buf, struct err *e)
{
	const struct copy *c = arg;
	struct buffer b = divide(c, buf);
	size_t unit = c->out->unit;
	int r = view_read(c->disk, b.data, len, off, e);

	if (r < 0)
		return err_in(e, "error while reading at byte %" PRIu64, off);
	memset(b.data + len, 0, round_up(len, unit) - len);
	for (size_t i = 0, at = 0; at < len; i++, at += unit) {
		uint64_t to = c->base + off + at;
		ssize_t n;

		b.results[i] = (struct result){.fate = COPY_WRITE};
		if (c->sparse)
			r = copy_fate(
				c, b.data + at, MIN(len - at, unit), to, &b.results[i].fate, e);
		if (r < 0)
			return r;
		if (b.results[i].fate != COPY_WRITE)
			continue;
		n = view_compress(c->out, b.data + at, to, b.compressed + i * b.slot, e);
		if (n < 0)
			return (int)n;
		b.results[i].len = (uint32_t)n;
	}
	return 0;
}

/* The second step: one thread at a time, in the order of the disk. */
static int write_clusters(void *arg, uint64_t off, size_t len, void *buf, struct err *e)
{
	const struct copy *c = arg;
	struct buffer b = divide(c, buf);
	size_t unit = c->out->unit;
	int r = 0;

	for (size_t i = 0, at = 0; r == 0 && at < len; i++, at += unit) {
		const struct result *result = &b.results[i];
		uint64_t to = c->base + off + at;
		size_t n = MIN(len - at, unit);

		if (result->fate == COPY_ZERO)
			r = view_clear(c->out, to, n, e);
		else if (result->fate == COPY_WRITE && result->len > 0)
			r = view_write_compressed(
				c->out, b.compressed + i * b.slot, result->len, to, e);
		else if (result->fate == COPY_WRITE)
			r = view_write(c->out, b.data + at, n, to, e);
	}
	return r < 0 ? err_in(e, "error while writing at byte %" PRIu64, c->base + off) : 0;
}

int copy_compressed(const struct copy *c, uint64_t start, uint64_t end, struct err *e)
{
	size_t piece = piece_size(c);
	struct parallel p = {
		.views = {c->disk},
		.start = start,
		.end = end,
		.holes_too = !c->is_new || c->below || !c->sparse,
		.unit = (uint32_t)c->out->unit,
		.buffer = piece + piece / c->out->unit * (slot_size(c) + sizeof(struct result)),
		.threads = c->threads,
		.progress = c->progress,
		.piece = compress,
		.then = write_clusters,
		.arg = (void *)c,
	};

	return parallel_run(&p, e);
}
