/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert.c - disks copied into an image, several of them one behind the other. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "bytes.h"
#include "err.h"
#include "format.h"
#include "output.h"
#include "progress.h"
#include "report.h"
#include "run.h"
#include "source.h"
#include "view.h"
#include "work.h"
#include "zeroes.h"

#define DEFAULT_SPARSE 4096
#define MAX_SPARSE     (16u << 20)
#define SECTOR         512

struct converting {
	const struct args *args;
	struct source *sources;
	size_t n;
	uint64_t size;   /* of all together */
	uint64_t sparse; /* how many zeroes become a hole; 0: none */
	unsigned threads;
	struct output out;
	struct progress progress;
	uint64_t base; /* where the disk that is being copied begins in the output */
	const struct view *disk;
};

/* How much of buf, from where a unit of sparse begins or at its start, is all zero or all not. */
static size_t run_length(
	const struct converting *c, const unsigned char *buf, size_t len, uint64_t off, bool *zero)
{
	size_t n = 0, unit;

	for (; n < len; n += unit) {
		bool is;

		unit = (size_t)MIN(len - n, c->sparse - (off + n) % c->sparse);
		is = is_zero(buf + n, unit);
		if (n == 0)
			*zero = is;
		else if (is != *zero)
			break;
	}
	return n;
}

static int write_sparsely(const struct converting *c, const unsigned char *buf, size_t len,
	uint64_t off, struct err *e)
{
	bool zero = false;
	int r = 0;

	for (size_t n; r == 0 && len > 0; buf += n, off += n, len -= n) {
		n = run_length(c, buf, len, off, &zero);
		r = zero ? output_zero(&c->out, c->base + off, n, e)
			 : output_write(&c->out, buf, n, c->base + off, e);
	}
	return r;
}

static int copy_piece(void *arg, uint64_t off, size_t len, void *buf, struct err *e)
{
	const struct converting *c = arg;
	int r = view_read(c->disk, buf, len, off, e);

	if (r < 0)
		return err_in(e, "error while reading at byte %" PRIu64, off);
	r = c->sparse ? write_sparsely(c, buf, len, off, e)
		      : output_write(&c->out, buf, len, c->base + off, e);
	return r < 0 ? err_in(e, "error while writing at byte %" PRIu64, c->base + off) : 0;
}

static int copy_disk(struct converting *c, struct err *e)
{
	struct work w = {
		.views = {c->disk},
		.end = c->disk->size,
		/* Where there is something already, holes must be made of it. */
		.holes_too = !c->out.reads_zero || !c->sparse,
		.buffer = WORK_PIECE,
		.threads = c->threads,
		.progress = &c->progress,
		.piece = copy_piece,
		.arg = c,
	};

	return work_run(&w, e);
}

static int copy_all(struct converting *c, struct err *e)
{
	int r = output_begin(&c->out, args_has(c->args, OPT_NO_CREATE), e);

	progress_begin(&c->progress,
		args_has(c->args, OPT_PROGRESS) && !args_has(c->args, OPT_QUIET), c->size);
	for (size_t i = 0; r == 0 && i < c->n; i++) {
		c->disk = c->sources[i].state->view;
		r = copy_disk(c, e);
		c->base += c->disk->size;
	}
	progress_end(&c->progress);
	return r;
}

static bool is_a_source(const struct converting *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (output_is_of(&c->out, c->sources[i].img))
			return true;
	return false;
}

static int write_output(struct converting *c)
{
	const char *name = c->args->operands[c->n];
	struct err e = ERR_INIT;
	int r = output_open(&c->out, name, c->size, &e), end;

	if (r < 0)
		return report_err(&e, "could not make the output");
	if (is_a_source(c))
		r = err_set(&e, EINVAL, "%s: it is one of the files that are read", name);
	else
		r = copy_all(c, &e);
	end = output_end(&c->out, r == 0, r == 0 ? &e : &(struct err)ERR_INIT);
	return r < 0 || end < 0 ? report("%s", e.text) : EXIT_SUCCESS;
}

static bool open_sources(struct converting *c, const struct session *s)
{
	const struct args *a = c->args;
	struct image_options how = session_options(s, args_value(a, OPT_FORMAT));

	for (size_t i = 0; i < c->n; i++) {
		struct source *source = &c->sources[i];

		if (!source_open(source, a->operands[i], &how) ||
			!source_choose(source, args_value(a, OPT_SNAPSHOT)))
			return false;
		if (__builtin_add_overflow(c->size, source->state->view->size, &c->size) ||
			c->size > INT64_MAX) {
			report("together they have more than 2^63 bytes");
			return false;
		}
	}
	return true;
}

static bool check_sparse(struct converting *c)
{
	c->sparse = DEFAULT_SPARSE;
	if (!args_size(c->args, OPT_SPARSE, "buffer size for sparse output", &c->sparse))
		return false;
	if (c->sparse % SECTOR == 0 && c->sparse <= MAX_SPARSE)
		return true;
	report("Invalid buffer size for sparse output specified. Valid sizes are multiples of %d "
	       "up to %u. Select 0 to disable sparse detection (fully allocates output).",
		SECTOR, MAX_SPARSE);
	return false;
}

static bool check_format(const struct args *a)
{
	const char *name = args_value(a, OPT_OUTPUT_FORMAT);
	const struct format *f = format_find(name ? name : "raw");

	if (!f)
		report("Unknown file format '%s'", name);
	else if (f != format_find("raw"))
		report("Format driver '%s' does not support image creation", f->name);
	return f == format_find("raw");
}

int run_convert(const struct args *a)
{
	struct converting c = {.args = a};
	struct session s;
	int status = EXIT_FAILURE;

	if (a->n < 2)
		return report("Must specify image file name");
	c.threads = work_threads(a);
	if (c.threads == 0 || !check_sparse(&c) || !check_format(a))
		return EXIT_FAILURE;
	c.n = a->n - 1;
	c.sources = calloc(c.n, sizeof c.sources[0]);
	if (!c.sources)
		return report("out of memory");
	if (session_begin(&s, a) && open_sources(&c, &s))
		status = write_output(&c);
	for (size_t i = 0; i < c.n; i++)
		source_close(&c.sources[i]);
	session_end(&s);
	free(c.sources);
	return status;
}
