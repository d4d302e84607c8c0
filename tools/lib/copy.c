/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copy.c - see copy.h.
 *
 * All threads read and compress, but the output is written in the order of the disk, unless that
 * makes no difference to it.  So it is the same each time, and can be a stream.  A thread's buffer
 * holds the data of a piece, and the fates of its bytes; or, for compressed clusters (units of the
 * output), of which a piece is a number then, a struct cluster for each.
 */
#include "copy.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "padded.h"
#include "parallel.h"
#include "rate.h"
#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"

#define CHUNK  (64u << 10)
#define SECTOR 512u

/* How a run of bytes reaches the output. */
enum fate {
	FATE_SKIP,  /* the output reads like this already */
	FATE_ZERO,  /* zeroes that hide other bytes of the output */
	FATE_WRITE, /* data */
};

/* Does the backing file have these bytes, and zeroes beyond its end? */
static int reads_same(const struct copy *c, const unsigned char *buf, size_t len, uint64_t off,
	bool *is, struct err *e)
{
	unsigned char below[CHUNK];
	int r = 0;

	*is = true;
	for (size_t n; *is && len > 0; buf += n, off += n, len -= n) {
		n = MIN(len, CHUNK);
		r = padded_read(c->below, below, n, off, e);
		*is = r == 0 && memcmp(buf, below, n) == 0;
	}
	return r;
}

/* Is the whole range unallocated in the output? */
static int is_unallocated(const struct copy *c, size_t len, uint64_t off, bool *is, struct err *e)
{
	struct extent x = {.kind = EXTENT_BELOW};
	int r = 0;

	view_enter(c->out);
	for (; r == 0 && len > 0 && x.kind == EXTENT_BELOW; off += x.len, len -= x.len)
		r = view_map(c->out, off, len, &x, e);
	view_leave(c->out);
	*is = r == 0 && x.kind == EXTENT_BELOW;
	return r;
}

/* Compares buf, the bytes for offset off of the output, with what the output reads there: its
 * backing file if c->below is set, else zeroes.  Without c->is_new the map of the output is
 * read first, since it may have clusters of its own there. */
static int fate_of(const struct copy *c, const unsigned char *buf, size_t len, uint64_t off,
	enum fate *fate, struct err *e)
{
	bool below = c->below != NULL;
	int r = below && !c->is_new ? is_unallocated(c, len, off, &below, e) : 0;

	if (r == 0 && below)
		r = reads_same(c, buf, len, off, &below, e);
	*fate = below ? FATE_SKIP : FATE_WRITE;
	if (!below && is_zero(buf, len))
		*fate = c->is_new && !c->below ? FATE_SKIP : FATE_ZERO;
	return r;
}

/* The bytes at an offset of the output that have one fate: up to the next multiple of c->sparse,
 * since a shorter run of zeroes is data. */
static size_t one_fate(const struct copy *c, uint64_t off, size_t len)
{
	return c->sparse ? (size_t)MIN(len, c->sparse - off % c->sparse) : len;
}

/* The fates of the bytes of a piece, which follow the data in the buffer. */
static unsigned char *fates_in(void *buf)
{
	return (unsigned char *)buf + PARALLEL_PIECE;
}

static size_t most_fates(const struct copy *c)
{
	return c->sparse ? PARALLEL_PIECE / c->sparse + 2 : 1;
}

/* Reads the disk; after an error, if that is wanted, sector by sector. */
static int read_disk(
	const struct copy *c, unsigned char *buf, size_t len, uint64_t off, struct err *e)
{
	int r = view_read(c->disk, buf, len, off, e);

	if (r == 0 || !c->salvage)
		return r < 0 ? err_in(e, "error while reading at byte %" PRIu64, off) : 0;
	for (size_t at = 0; at < len; at += SECTOR) {
		size_t n = MIN(SECTOR, len - at);
		struct err sector = ERR_INIT;

		if (view_read(c->disk, buf + at, n, off + at, &sector) == 0)
			continue;
		memset(buf + at, 0, n);
		if (c->salvaged)
			c->salvaged(off + at, &sector);
	}
	*e = (struct err)ERR_INIT;
	return 0;
}

/* The first step of a piece: any thread, in any order. */
static int read_piece(void *arg, uint64_t off, size_t len, void *buf, struct err *e)
{
	const struct copy *c = arg;
	const unsigned char *p = buf;
	unsigned char *fates = fates_in(buf);
	uint64_t at = c->base + off;
	int r = read_disk(c, buf, len, off, e);

	if (r < 0)
		return r;
	for (size_t n; len > 0; p += n, at += n, len -= n) {
		enum fate fate = FATE_WRITE;

		n = one_fate(c, at, len);
		if (c->sparse)
			r = fate_of(c, p, n, at, &fate, e);
		if (r < 0)
			return err_in(e, "error while comparing at byte %" PRIu64, at);
		*fates++ = fate;
	}
	return 0;
}

/* The second step: the runs of one fate. */
static int write_piece(void *arg, uint64_t off, size_t len, void *buf, struct err *e)
{
	const struct copy *c = arg;
	const unsigned char *p = buf, *fates = fates_in(buf);
	uint64_t to = c->base + off, at = to;
	int r = 0;

	for (size_t n; r == 0 && len > 0; p += n, at += n, len -= n) {
		enum fate fate = *fates++;

		n = one_fate(c, at, len);
		for (; n < len && *fates == fate; fates++)
			n += one_fate(c, at + n, len - n);
		if (fate == FATE_ZERO)
			r = view_clear(c->out, at, n, e);
		else if (fate == FATE_WRITE)
			r = view_write(c->out, p, n, at, e);
		if (r == 0 && c->rate && fate == FATE_WRITE)
			rate_wait(c->rate, n);
	}
	return r < 0 ? err_in(e, "error while writing at byte %" PRIu64, to) : 0;
}

static int copy_piece(void *arg, uint64_t off, size_t len, void *buf, struct err *e)
{
	int r = read_piece(arg, off, len, buf, e);

	return r < 0 ? r : write_piece(arg, off, len, buf, e);
}

struct cluster {
	enum fate fate;
	uint32_t len; /* compressed bytes; 0: the cluster is written uncompressed */
	unsigned char compressed[];
};

static size_t piece_size(const struct copy *c)
{
	return MAX(c->out->unit, PARALLEL_PIECE);
}

/* Bytes of a thread's buffer for one cluster, besides the data. */
static size_t cluster_size(const struct copy *c)
{
	return round_up(sizeof(struct cluster) + c->out->compressed_max, 64);
}

static struct cluster *cluster_at(const struct copy *c, unsigned char *buf, size_t at)
{
	return (void *)(buf + piece_size(c) + at / c->out->unit * cluster_size(c));
}

/* The first step of a piece: any thread, in any order. */
static int compress(void *arg, uint64_t off, size_t len, void *buf, struct err *e)
{
	const struct copy *c = arg;
	unsigned char *data = buf;
	size_t unit = c->out->unit;
	int r = read_disk(c, data, len, off, e);

	if (r < 0)
		return r;
	memset(data + len, 0, round_up(len, unit) - len);
	for (size_t at = 0; at < len; at += unit) {
		struct cluster *cluster = cluster_at(c, data, at);
		uint64_t to = c->base + off + at;
		ssize_t n = 0;

		cluster->fate = FATE_WRITE;
		if (c->sparse)
			r = fate_of(c, data + at, MIN(len - at, unit), to, &cluster->fate, e);
		if (r < 0)
			return r;
		if (cluster->fate == FATE_WRITE)
			n = view_compress(c->out, data + at, to, cluster->compressed, e);
		if (n < 0)
			return (int)n;
		cluster->len = (uint32_t)n;
	}
	return 0;
}

/* The second step: one thread at a time, in the order of the disk. */
static int write_clusters(void *arg, uint64_t off, size_t len, void *buf, struct err *e)
{
	const struct copy *c = arg;
	unsigned char *data = buf;
	size_t unit = c->out->unit;
	int r = 0;

	for (size_t at = 0; r == 0 && at < len; at += unit) {
		const struct cluster *cluster = cluster_at(c, data, at);
		uint64_t to = c->base + off + at;
		size_t n = MIN(len - at, unit);

		if (cluster->fate == FATE_ZERO)
			r = view_clear(c->out, to, n, e);
		else if (cluster->fate == FATE_WRITE && cluster->len > 0)
			r = view_write_compressed(c->out, cluster->compressed, cluster->len, to, e);
		else if (cluster->fate == FATE_WRITE)
			r = view_write(c->out, data + at, n, to, e);
		if (r == 0 && c->rate && cluster->fate == FATE_WRITE)
			rate_wait(c->rate, n);
	}
	return r < 0 ? err_in(e, "error while writing at byte %" PRIu64, c->base + off) : 0;
}

/* Copies [start, end) of the disk.  compressed: both ends lie at a multiple of the output's unit,
 * or end where the output ends. */
static int copy_range(
	const struct copy *c, uint64_t start, uint64_t end, bool compressed, struct err *e)
{
	struct parallel p = {
		.views = {c->disk},
		.start = start,
		.end = end,
		/* Holes of the disk have to be written if the output reads otherwise there. */
		.holes_too = !c->is_new || c->below || !c->sparse,
		.buffer = PARALLEL_PIECE + most_fates(c),
		.threads = c->threads,
		.progress = c->progress,
		.piece = copy_piece,
		.arg = (void *)c,
	};

	if (start >= end)
		return 0;
	if (c->in_order) {
		p.piece = read_piece;
		p.then = write_piece;
	}
	if (compressed) {
		p.unit = (uint32_t)c->out->unit;
		p.buffer = piece_size(c) + piece_size(c) / c->out->unit * cluster_size(c);
		p.piece = compress;
		p.then = write_clusters;
	}
	return parallel_run(&p, e);
}

/* The range of the disk that consists of whole clusters of out, and can be compressed.  At the end
 * of out the last cluster counts as whole. */
static void find_clusters(const struct copy *c, uint64_t *first, uint64_t *last)
{
	uint64_t unit = c->out->unit, size = c->disk->size, end = c->base + size;
	bool at_end = end == c->out->size || (c->is_new && round_up(end, unit) >= c->out->size);

	*first = MIN(size, round_up(c->base, unit) - c->base);
	*last = at_end ? size : size - MIN(size - *first, end % unit);
}

int copy_run(const struct copy *c, struct err *e)
{
	uint64_t size = c->disk->size, first = size, last = size;
	int r;

	if (c->compressed)
		find_clusters(c, &first, &last);
	if (c->out->compressed_only && (first > 0 || last < size))
		return err_set(e, ENOTSUP,
			"several disks can be joined in a stream only if each but the last has a "
			"multiple of %" PRIu64 " bytes",
			c->out->unit);
	r = copy_range(c, 0, first, false, e);
	if (r == 0)
		r = copy_range(c, first, last, true, e);
	return r == 0 ? copy_range(c, last, size, false, e) : r;
}
