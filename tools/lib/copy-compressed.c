/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copy-compressed.c - see copy-compressed.h. */
#include "copy-compressed.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "util/bytes.h"
#include "copy-fate.h"
#include "copy.h"
#include "util/err.h"
#include "view/view.h"
#include "parallel.h"

/* How the buffer of a thread is used. */
struct export_format {
	size_t units;                 /* that a piece has */
	size_t slot;                  /* bytes that a packed one may take */
	size_t packed, results, size; /* where what of it begins, and its end */
};

/* What is to be done with a unit. */
struct result {
	enum copy_fate fate;
	uint32_t packed; /* bytes that it takes packed; 0: it is written as it is */
};

static struct export_format layout_of(const struct copy *c)
{
	size_t piece = MAX(c->out->unit, PARALLEL_PIECE);
	struct export_format l = {
		.units = piece / c->out->unit, .slot = round_up(c->out->compressed_max, 64)};

	l.packed = piece;
	l.results = l.packed + l.units * l.slot;
	l.size = l.results + l.units * sizeof(struct result);
	return l;
}

static int pack_unit(const struct copy *c, const unsigned char *unit, size_t len, uint64_t off,
	unsigned char *packed, struct result *result, struct err *e)
{
	int r = 0;
	ssize_t n;

	*result = (struct result){.fate = COPY_WRITE};
	if (c->sparse)
		r = copy_fate(c, unit, len, off, &result->fate, e);
	if (r < 0 || result->fate != COPY_WRITE)
		return r;
	n = view_compress(c->out, unit, off, packed, e);
	if (n < 0)
		return (int)n;
	result->packed = (uint32_t)n;
	return 0;
}

static int pack_piece(void *arg, uint64_t off, size_t len, void *buf, struct err *e)
{
	const struct copy *c = arg;
	struct export_format l = layout_of(c);
	unsigned char *data = buf, *packed = data + l.packed;
	struct result *results = (void *)(data + l.results);
	size_t unit = c->out->unit;
	int r = view_read(c->disk, data, len, off, e);

	if (r < 0)
		return err_in(e, "error while reading at byte %" PRIu64, off);
	memset(data + len, 0, round_up(len, unit) - len);
	for (size_t i = 0, at = 0; r == 0 && at < len; i++, at += unit)
		r = pack_unit(c, data + at, MIN(len - at, unit), c->base + off + at,
			packed + i * l.slot, &results[i], e);
	return r;
}

static int write_unit(const struct copy *c, const unsigned char *unit, size_t len, uint64_t off,
	const unsigned char *packed, const struct result *result, struct err *e)
{
	switch (result->fate) {
	case COPY_SKIP:
		return 0;
	case COPY_ZERO:
		return view_clear(c->out, off, len, e);
	case COPY_WRITE:
		break;
	}
	return result->packed ? view_write_compressed(c->out, packed, result->packed, off, e)
			      : view_write(c->out, unit, len, off, e);
}

static int write_piece(void *arg, uint64_t off, size_t len, void *buf, struct err *e)
{
	const struct copy *c = arg;
	struct export_format l = layout_of(c);
	const unsigned char *data = buf, *packed = data + l.packed;
	const struct result *results = (const void *)(data + l.results);
	size_t unit = c->out->unit;
	uint64_t to = c->base + off;
	int r = 0;

	for (size_t i = 0, at = 0; r == 0 && at < len; i++, at += unit)
		r = write_unit(c, data + at, MIN(len - at, unit), to + at, packed + i * l.slot,
			&results[i], e);
	return r < 0 ? err_in(e, "error while writing at byte %" PRIu64, to) : 0;
}

int copy_compressed(const struct copy *c, uint64_t start, uint64_t end, struct err *e)
{
	struct parallel w = {
		.views = {c->disk},
		.start = start,
		.end = end,
		.holes_too = !c->fresh || c->below || !c->sparse,
		.unit = (uint32_t)c->out->unit,
		.buffer = layout_of(c).size,
		.threads = c->threads,
		.progress = c->progress,
		.piece = pack_piece,
		.then = write_piece,
		.arg = (void *)c,
	};

	return parallel_run(&w, e);
}
