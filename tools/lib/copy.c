/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* copy.c - see copy.h. */
#include "copy.h"

#include <errno.h>
#include <inttypes.h>

#include "copy-compressed.h"
#include "copy-fate.h"
#include "parallel.h"
#include "util/bytes.h"
#include "util/err.h"
#include "view/view.h"

/* The length of the run at the start of buf that has one fate.  Within a unit of c->sparse bytes
 * the fate is the same: a shorter run of zeroes is data. */
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

static int copy_piece(void *arg, uint64_t off, size_t len, void *buf, struct err *e)
{
	const struct copy *c = arg;
	const unsigned char *p = buf;
	uint64_t to = c->base + off, at = to;
	int r = view_read(c->disk, buf, len, off, e);

	if (r < 0)
		return err_in(e, "error while reading at byte %" PRIu64, off);
	for (ssize_t n; r == 0 && len > 0; p += n, at += (size_t)n, len -= (size_t)n) {
		enum copy_fate fate = COPY_WRITE;

		n = c->sparse ? run_length(c, p, len, at, &fate, e) : (ssize_t)len;
		if (n < 0)
			r = (int)n;
		else if (fate == COPY_ZERO)
			r = view_clear(c->out, at, (uint64_t)n, e);
		else if (fate == COPY_WRITE)
			r = view_write(c->out, p, (size_t)n, at, e);
	}
	return r < 0 ? err_in(e, "error while writing at byte %" PRIu64, to) : 0;
}

static int copy_plain(const struct copy *c, uint64_t start, uint64_t end, struct err *e)
{
	struct parallel p = {
		.views = {c->disk},
		.start = start,
		.end = end,
		/* Holes of the disk have to be written if the output reads otherwise there. */
		.holes_too = !c->is_new || c->below || !c->sparse,
		.buffer = PARALLEL_PIECE,
		.threads = c->threads,
		.progress = c->progress,
		.piece = copy_piece,
		.arg = (void *)c,
	};

	return start < end ? parallel_run(&p, e) : 0;
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
	r = copy_plain(c, 0, first, e);
	if (r == 0 && first < last)
		r = copy_compressed(c, first, last, e);
	return r == 0 ? copy_plain(c, last, size, e) : r;
}
