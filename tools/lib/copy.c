/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy.h"

#include <errno.h>
#include <inttypes.h>

#include "copy-compressed.h"
#include "copy-fate.h"
#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"
#include "parallel.h"

/* How many bytes at the beginning of buf have one fate; units of sparse have one. */
static ssize_t run_length(const struct copy *c, const unsigned char *buf, size_t len, uint64_t off,
	enum copy_fate *fate, struct err *e)
{
	size_t n = 0, unit;

	for (; n < len; n += unit) {
		enum copy_fate next;
		int r;

		unit = (size_t)MIN(len - n, c->sparse - (off + n) % c->sparse);
		r = copy_fate(c, buf + n, unit, off + n, &next, e);
		if (r < 0)
			return r;
		if (n == 0)
			*fate = next;
		else if (next != *fate)
			break;
	}
	return (ssize_t)n;
}

static int write_run(const struct copy *c, const unsigned char *buf, size_t len, uint64_t off,
	enum copy_fate fate, struct err *e)
{
	if (fate == COPY_SKIP)
		return 0;
	return fate == COPY_ZERO ? view_clear(c->out, off, len, e)
				 : view_write(c->out, buf, len, off, e);
}

static int write_sparsely(
	const struct copy *c, const unsigned char *buf, size_t len, uint64_t off, struct err *e)
{
	enum copy_fate fate = COPY_SKIP;
	int r = 0;

	for (ssize_t n; r == 0 && len > 0; buf += n, off += (size_t)n, len -= (size_t)n) {
		n = run_length(c, buf, len, off, &fate, e);
		if (n < 0)
			return (int)n;
		r = write_run(c, buf, (size_t)n, off, fate, e);
	}
	return r;
}

static int copy_piece(void *arg, uint64_t off, size_t len, void *buf, struct err *e)
{
	const struct copy *c = arg;
	uint64_t to = c->base + off;
	int r = view_read(c->disk, buf, len, off, e);

	if (r < 0)
		return err_in(e, "error while reading at byte %" PRIu64, off);
	r = c->sparse ? write_sparsely(c, buf, len, to, e)
		      : write_run(c, buf, len, to, COPY_WRITE, e);
	return r < 0 ? err_in(e, "error while writing at byte %" PRIu64, to) : 0;
}

static int copy_plainly(const struct copy *c, uint64_t start, uint64_t end, struct err *e)
{
	struct parallel w = {
		.views = {c->disk},
		.start = start,
		.end = end,
		/* Where there is something already, holes must be made of it. */
		.holes_too = !c->fresh || c->below || !c->sparse,
		.buffer = PARALLEL_PIECE,
		.threads = c->threads,
		.progress = c->progress,
		.piece = copy_piece,
		.arg = (void *)c,
	};

	return start < end ? parallel_run(&w, e) : 0;
}

/* Where in the disk the part of it begins and ends that can be packed: units of out that it has all
 * of, up to where out ends; a disk may end in the midst of the last sector. */
static void find_packable(const struct copy *c, uint64_t *first, uint64_t *last)
{
	uint64_t unit = c->out->unit, size = c->disk->size, end = c->base + size;
	bool reached = end == c->out->size || (c->fresh && round_up(end, unit) >= c->out->size);

	*first = MIN(size, round_up(c->base, unit) - c->base);
	*last = reached ? size : size - MIN(size - *first, end % unit);
}

/* The rest is written as it is. */
int copy_run(const struct copy *c, struct err *e)
{
	uint64_t size = c->disk->size, first = size, last = size;
	int r;

	if (c->packed)
		find_packable(c, &first, &last);
	if (c->out->compressed_only && (first > 0 || last < size))
		return err_set(e, ENOTSUP,
			"several disks can be joined in a stream only if each but the last has a "
			"multiple of %" PRIu64 " bytes",
			c->out->unit);
	r = copy_plainly(c, 0, first, e);
	if (r == 0 && first < last)
		r = copy_compressed(c, first, last, e);
	return r == 0 ? copy_plainly(c, last, size, e) : r;
}
