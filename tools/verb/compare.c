/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compare.c - compares the contents of two disks, in parallel, and with -s their allocation. Ranges
 * that are holes in both are not read. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/args.h"
#include "util/bytes.h"
#include "util/err.h"
#include "lib/block-status.h"
#include "lib/padded.h"
#include "lib/progress.h"
#include "lib/report.h"
#include "verbs.h"
#include "lib/input.h"
#include "view/view.h"
#include "lib/parallel.h"

#define SECTOR 512

enum status { SAME, DIFFERENT, NOT_OPENED, NOT_MAPPED, NOT_READ };

struct comparing {
	const struct args *args;
	struct input a, b;
	bool quiet;
	_Atomic uint64_t mismatch;  /* lowest offset found so far */
	const char *_Atomic failed; /* the image that could not be read */
};

/* The offset of the first sector that differs, or len. */
static size_t first_difference(const unsigned char *a, const unsigned char *b, size_t len)
{
	if (memcmp(a, b, len) == 0)
		return len;
	for (size_t i = 0; i < len; i += SECTOR)
		if (memcmp(a + i, b + i, MIN(SECTOR, len - i)) != 0)
			return i;
	return len;
}

static int compare_piece(void *arg, uint64_t off, size_t len, void *buf, struct err *e)
{
	struct comparing *c = arg;
	unsigned char *a = buf, *b = a + PARALLEL_PIECE;
	const char *name = c->a.name;
	uint64_t first;
	int r = padded_read(c->a.state->view, a, len, off, e);

	if (r == 0) {
		name = c->b.name;
		r = padded_read(c->b.state->view, b, len, off, e);
	}
	if (r < 0) {
		c->failed = name;
		return err_in(e, "%" PRIu64, off);
	}
	first = off + first_difference(a, b, len);
	if (first == off + len)
		return 0;
	/* Only the lowest mismatch is printed; another thread may have found one. */
	for (uint64_t known = c->mismatch; first < known;)
		if (atomic_compare_exchange_weak(&c->mismatch, &known, first))
			break;
	return 1;
}

static enum status compare_bytes(struct comparing *c, unsigned threads)
{
	const struct view *a = c->a.state->view, *b = c->b.state->view;
	struct progress progress;
	struct err e = ERR_INIT;
	struct parallel w = {
		.views = {a, b},
		.end = MAX(a->size, b->size),
		.buffer = 2 * PARALLEL_PIECE,
		.threads = threads,
		.progress = &progress,
		.piece = compare_piece,
		.arg = c,
	};
	int r;

	progress_begin(&progress, c->args, w.end);
	r = parallel_run(&w, &e);
	progress_end(&progress);
	if (r < 0) {
		report("Error while reading %s: %s", c->failed ? c->failed : "", e.text);
		return NOT_READ;
	}
	if (!c->quiet && a->size != b->size && c->mismatch >= MIN(a->size, b->size))
		printf("Warning: Image size mismatch!\n");
	if (!c->quiet && r > 0)
		printf("Content mismatch at offset %" PRIu64 "!\n", atomic_load(&c->mismatch));
	else if (!c->quiet)
		printf("Images are identical.\n");
	return r > 0 ? DIFFERENT : SAME;
}

/* State of compare_allocation. */
struct allocation {
	const struct input *other;
	const struct block_status *want; /* of the current range */
	uint64_t mismatch;
};

static int compare_inner(void *arg, const struct block_status *p)
{
	struct allocation *x = arg;
	const struct block_status *want = x->want;

	x->mismatch = p->start;
	return p->data != want->data || p->zero != want->zero || p->present != want->present ||
	       !p->io != !want->io;
}

static int compare_outer(void *arg, const struct block_status *p)
{
	struct allocation *x = arg;
	struct err e = ERR_INIT;
	int r;

	x->want = p;
	r = block_status_visit(x->other, p->start, p->start + p->len, compare_inner, x, &e);
	if (r < 0)
		report_err(&e, "Sector allocation test failed for %s", x->other->name);
	return r;
}

static enum status compare_allocation(struct comparing *c)
{
	struct allocation x = {.other = &c->b};
	struct err e = ERR_INIT;
	int r = block_status_visit(&c->a, 0, c->a.state->view->size, compare_outer, &x, &e);

	if (r < 0) {
		if (e.code)
			report_err(&e, "Sector allocation test failed for %s", c->a.name);
		return NOT_MAPPED;
	}
	if (r > 0 && !c->quiet)
		printf("Strict mode: Offset %" PRIu64 " block status mismatch!\n", x.mismatch);
	return r > 0 ? DIFFERENT : SAME;
}

static enum status compare(struct comparing *c, unsigned threads)
{
	enum status status;

	if (!args_has(c->args, OPT_STRICT))
		return compare_bytes(c, threads);
	if (c->a.state->view->size != c->b.state->view->size) {
		if (!c->quiet)
			printf("Strict mode: Image size mismatch!\n");
		return DIFFERENT;
	}
	status = compare_allocation(c);
	return status == SAME ? compare_bytes(c, threads) : status;
}

int run_compare(const struct args *a)
{
	struct comparing c = {.args = a, .quiet = args_has(a, OPT_QUIET), .mismatch = UINT64_MAX};
	enum status status = NOT_OPENED;
	unsigned threads = parallel_threads(a);
	struct image_options how1, how2;
	struct input_session s;

	if (a->n != 2)
		return args_misused("Expecting two image file names");
	if (threads == 0)
		return EXIT_FAILURE;
	if (input_session_begin(&s, a)) {
		how1 = input_session_source(&s, args_value(a, OPT_FORMAT));
		how2 = input_session_options(&s, args_value(a, OPT_FORMAT2));
		if (input_open_operand(&c.a, &s, a->operands[0], "-f ", &how1) &&
			input_open_operand(&c.b, &s, a->operands[1], "-F ", &how2))
			status = compare(&c, threads);
	}
	input_close(&c.a);
	input_close(&c.b);
	input_session_end(&s);
	return status;
}
