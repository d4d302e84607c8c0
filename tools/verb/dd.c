/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dd.c - copies a range of a disk to a new image, with operands like those of dd(1). */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/format.h"
#include "lib/args.h"
#include "lib/copy.h"
#include "lib/create-args.h"
#include "lib/input.h"
#include "lib/output.h"
#include "lib/parallel.h"
#include "lib/report.h"
#include "open/create.h"
#include "open/open.h"
#include "util/blockdev.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/size.h"
#include "verbs.h"
#include "view/view.h"

#define BLOCK  512  /* of bs= */
#define SPARSE 4096 /* a run of so many zeroes is not stored */

struct copying {
	const struct args *args;
	struct input_session session;
	const struct format *format; /* of the output */
	const char *from, *to;
	uint64_t block, count, skip; /* count UINT64_MAX: up to the end */
	struct input in;
};

static bool parse_number(const char *word, uint64_t *n)
{
	if (size_parse(word, n) == 0 && *n <= INT64_MAX)
		return true;
	return !report("invalid number: '%s'", word);
}

static bool parse_operand(struct copying *c, const char *operand)
{
	const char *value = strchr(operand, '=');
	size_t len = value ? (size_t)(value - operand) : 0;

	value = value ? value + 1 : NULL;
	if (len == 2 && strncmp(operand, "if", len) == 0)
		c->from = value;
	else if (len == 2 && strncmp(operand, "of", len) == 0)
		c->to = blockdev_path(value);
	else if (len == 2 && strncmp(operand, "bs", len) == 0)
		return parse_number(value, &c->block) &&
		       (c->block > 0 || !report("invalid number: '%s'", value));
	else if (len == 5 && strncmp(operand, "count", len) == 0)
		return parse_number(value, &c->count);
	else if (len == 4 && strncmp(operand, "skip", len) == 0)
		return parse_number(value, &c->skip);
	else
		return !report("unrecognized operand %s", operand);
	return true;
}

static uint64_t blocks_to_bytes(const struct copying *c, uint64_t blocks)
{
	uint64_t bytes;

	return __builtin_mul_overflow(blocks, c->block, &bytes) ? UINT64_MAX : bytes;
}

static int copy_to(
	const struct copying *c, const struct output *o, const struct view *range, struct err *e)
{
	struct image_options how = input_session_options(&c->session, c->format->name);
	struct input out = {0};
	struct copy copy = {
		.disk = range,
		.sparse = SPARSE,
		.in_order = true,
		.is_new = !output_is_device(o),
		.threads = parallel_threads(c->args),
	};
	int r;

	how.write = how.fill = how.nosync = true;
	how.share = false;
	r = image_open(o->path, &how, &out.img, e);
	if (r < 0)
		return r;
	copy.out = out.img->states[0]->view;
	copy.compressed = copy.out->compressed_only;
	r = copy_run(&copy, e);
	if (r == 0)
		r = image_finish(out.img, e);
	image_close(out.img);
	return r;
}

/* The output is an image of the range, and a file of this name is replaced. */
static int write_range(const struct copying *c, const struct view *range, struct err *e)
{
	struct create_request request = {.size = range->size};
	struct output o = {.name = c->to};
	int r = output_begin(&o, c->to, e);

	if (r == 0) {
		output_request(&o, &request);
		r = image_create(c->format, o.path, &request, e);
	}
	if (r == 0) {
		output_created(&o, strcmp(c->format->name, "raw") == 0);
		r = copy_to(c, &o, range, e);
	}
	if (r == 0)
		r = output_commit(&o, false, e);
	output_reword(&o, e);
	output_end(&o);
	return r;
}

static int copy(struct copying *c)
{
	struct view *disk = c->in.state->view, *range;
	uint64_t end = MIN(disk->size, blocks_to_bytes(c, c->count));
	uint64_t start = blocks_to_bytes(c, c->skip);
	struct err e = ERR_INIT;
	int r;

	if (start > end)
		report("%s: cannot skip to specified offset", c->in.name);
	start = MIN(start, end);
	range = view_slice(disk, start, end - start, &e);
	r = range ? write_range(c, range, &e) : -e.code;
	if (range)
		view_free(range);
	return r < 0 ? report_about(c->to, &e) : EXIT_SUCCESS;
}

int run_dd(const struct args *a)
{
	struct copying c = {.args = a, .block = BLOCK, .count = UINT64_MAX};
	struct image_options how;
	int status = EXIT_FAILURE;

	for (size_t i = 0; i < a->n; i++)
		if (!parse_operand(&c, a->operands[i]))
			return EXIT_FAILURE;
	if (!c.from || !c.to)
		return report("Must specify both input and output file names");
	c.format = create_args_format(a, OPT_OUTPUT_FORMAT);
	if (!c.format)
		return EXIT_FAILURE;
	if (!c.format->create)
		return report("Format driver '%s' does not support image creation", c.format->name);
	if (input_session_begin(&c.session, a)) {
		how = input_session_source(&c.session, args_value(a, OPT_FORMAT));
		if (input_open_operand(&c.in, &c.session, c.from, "-f ", &how))
			status = copy(&c);
	}
	input_close(&c.in);
	input_session_end(&c.session);
	return status;
}
