/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert.c - disks copied into an image, several of them one behind the other. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/args.h"
#include "util/bytes.h"
#include "lib/copy.h"
#include "util/err.h"
#include "image/format.h"
#include "open/registry.h"
#include "io/io.h"
#include "lib/create-args.h"
#include "lib/filenames.h"
#include "lib/output.h"
#include "lib/progress.h"
#include "lib/report.h"
#include "verbs.h"
#include "lib/input.h"
#include "view/view.h"
#include "lib/parallel.h"
#include "open/open.h"
#include "open/create.h"

#define DEFAULT_SPARSE 4096
#define MAX_SPARSE     (16u << 20)
#define SECTOR         512

struct converting {
	const struct args *args;
	const struct format *format; /* that the output is made as and written through */
	bool is_raw;                 /* the format */
	const char *name;            /* of the output */
	struct input *inputs;
	size_t n;
	uint64_t size; /* of all together */
	struct create_args creation;
	bool create; /* the output */
	struct output output;
	struct input out;
	struct copy copy;
	struct progress progress;
};

static int copy_all(struct converting *c, struct err *e)
{
	struct copy *copy = &c->copy;
	int r = 0;

	progress_begin(&c->progress,
		args_has(c->args, OPT_PROGRESS) && !args_has(c->args, OPT_QUIET), c->size);
	copy->progress = &c->progress;
	for (size_t i = 0; r == 0 && i < c->n; i++) {
		copy->disk = c->inputs[i].state->view;
		r = copy_run(copy, e);
		copy->base += copy->disk->size;
	}
	if (r == 0)
		r = image_finish(c->out.img, e);
	progress_end(&c->progress);
	return r;
}

/* A file that is read would be gone with the first byte; its lock says so too, but not with -U. */
static bool is_an_input(const struct converting *c)
{
	struct stat st;

	if (stat(c->name, &st) < 0)
		return false;
	for (size_t i = 0; i < c->n; i++)
		for (const struct image *img = c->inputs[i].img; img; img = img->parent)
			if (img->io->ino == st.st_ino && img->io->dev == st.st_dev)
				return true;
	return false;
}

static bool check_room(const struct converting *c)
{
	uint64_t room = c->out.state->view->size;

	if (room >= c->size)
		return true;
	report("output file is smaller than input file: %s has %" PRIu64 " bytes, not %" PRIu64,
		c->name, room, c->size);
	return false;
}

/* What need not be stored.  An output that is there has it where -B says so. */
static bool choose_below(struct converting *c)
{
	const struct image *out = c->out.img, *parent = out->parent;
	const char *backing = c->creation.request.backing;

	if (!c->create && backing && !filenames_is_parent(out, c->name, backing)) {
		report("Could not use '%s' as the backing file of '%s', which has %s", backing,
			c->name, out->parent_name ? out->parent_name : "none");
		return false;
	}
	c->copy.below = parent && (c->create || backing) ? parent->states[0]->view : NULL;
	return true;
}

/* Streams cannot be otherwise.  Threads that wait for their turn to write leave their processor to
 * others. */
static bool choose_packing(struct converting *c)
{
	const struct view *out = c->copy.out;

	c->copy.compressed = args_has(c->args, OPT_COMPRESS) || out->compressed_only;
	if (c->copy.compressed && !args_has(c->args, OPT_THREADS))
		c->copy.threads = MIN(2 * c->copy.threads, PARALLEL_THREADS);
	if (!c->copy.compressed || out->compressed_max > 0)
		return true;
	report("%s: Compression not supported for this image", c->name);
	return false;
}

static bool is_durable(const struct converting *c)
{
	const char *cache = args_value(c->args, OPT_CACHE);

	return cache && strcmp(cache, "unsafe") != 0;
}

static bool open_output(struct converting *c, const struct input_session *s)
{
	struct image_options how = input_session_options(s, c->format->name);
	struct copy *copy = &c->copy;

	how.write = true;
	how.fill = c->copy.is_new;
	how.share = false;
	how.nosync = !is_durable(c);
	if (!input_open_as(&c->out, c->output.path, "-O ", &how))
		return false;
	copy->out = c->out.state->view;
	/* Nobody knows what is on a device. */
	copy->is_new = copy->is_new && !c->out.img->io->is_block;
	return check_room(c) && choose_below(c) && choose_packing(c);
}

/* Bytes that the output takes at least: more only where zeroes are stored, or units begun. */
static int least_size(const struct converting *c, bool is_device, uint64_t *bytes, struct err *e)
{
	struct measured m = {.required = 0};
	int r = 0;

	*bytes = 0;
	if (is_device && c->is_raw) {
		*bytes = c->size;
		return 0;
	}
	for (size_t i = 0; i < c->n; i++)
		*bytes += format_measure_units(c->inputs[i].state->view, DEFAULT_SPARSE);
	if (c->n == 1 && !c->is_raw && c->format->measure)
		r = c->format->measure(c->inputs[0].state->view, c->size, &m, e);
	*bytes = MAX(*bytes, m.required);
	return r;
}

/* Nothing of an output that is written in place is lost when it cannot hold the new one. */
static int check_space(const struct converting *c, struct err *e)
{
	uint64_t has = output_space(&c->output), needed;
	int r;

	if (has == UINT64_MAX || args_has(c->args, OPT_COMPRESS))
		return 0;
	r = least_size(c, output_is_device(&c->output), &needed, e);
	if (r == 0 && needed > has)
		r = err_set(e, ENOSPC,
			"there is only room for %" PRIu64 " bytes, and %" PRIu64 " are needed", has,
			needed);
	return r;
}

static int create_output(struct converting *c, struct err *e)
{
	struct create_request *r = &c->creation.request;
	int ret = output_begin(&c->output, c->name, true, e);

	if (ret == 0)
		ret = check_space(c, e);
	if (ret < 0)
		return ret;
	r->size = c->size;
	r->replace = true;
	r->compressed = args_has(c->args, OPT_COMPRESS);
	output_request(&c->output, r);
	ret = image_create(c->format, c->output.path, r, e);
	if (ret == 0)
		output_created(&c->output, c->is_raw);
	return ret;
}

static bool make_output(struct converting *c)
{
	struct err e = ERR_INIT;

	c->copy.is_new = c->create;
	if (!c->create)
		return output_use(&c->output, c->name, &e) == 0 || !report_about(c->name, &e);
	if (create_output(c, &e) == 0)
		return true;
	output_reword(&c->output, &e);
	report_about(c->name, &e);
	return false;
}

/* Copies, and gives the output its name. */
static int fill_output(struct converting *c, const struct input_session *s)
{
	struct err e = ERR_INIT;
	int r;

	if (!open_output(c, s)) {
		input_close(&c->out);
		return EXIT_FAILURE;
	}
	r = copy_all(c, &e);
	input_close(&c->out);
	if (r == 0)
		r = output_commit(&c->output, is_durable(c), &e);
	output_reword(&c->output, &e);
	if (r < 0)
		return report_failure(&e);
	if (c->create)
		create_args_warn_raw(&c->creation, c->name, OPT_OUTPUT_FORMAT);
	return EXIT_SUCCESS;
}

/* Raw is what an output becomes unless -O says otherwise: no image shall be lost by that. */
static bool is_an_image(const struct converting *c, const struct input_session *s)
{
	struct image_options how = input_session_options(s, NULL);
	struct err e = ERR_INIT;
	struct image *img = NULL;
	bool is;

	if (c->create || args_has(c->args, OPT_OUTPUT_FORMAT))
		return false;
	how.nobacking = how.share = how.locked = true;
	how.warn = NULL;
	is = image_open(c->name, &how, &img, &e) == 0 && img->format != c->format;
	if (is)
		report("%s: it is a %s image, and without -O would be written over by a raw disk; "
		       "-O %s writes into it",
			c->name, img->format->name, img->format->name);
	image_close(img);
	return is;
}

static int write_output(struct converting *c, const struct input_session *s)
{
	int status = EXIT_FAILURE;

	if (is_an_input(c))
		return report("%s: it is one of the files that are read", c->name);
	if (is_an_image(c, s))
		return EXIT_FAILURE;
	if (make_output(c))
		status = fill_output(c, s);
	output_end(&c->output);
	return status;
}

static bool open_inputs(struct converting *c, const struct input_session *s)
{
	const struct args *a = c->args;
	struct image_options how = input_session_options(s, args_value(a, OPT_FORMAT));

	for (size_t i = 0; i < c->n; i++) {
		struct input *input = &c->inputs[i];

		if (!input_open(input, a->operands[i], &how) ||
			!input_choose_state(input, args_value(a, OPT_SNAPSHOT)))
			return false;
		if (__builtin_add_overflow(c->size, input->state->view->size, &c->size) ||
			c->size > INT64_MAX) {
			report("together they have more than 2^63 bytes");
			return false;
		}
	}
	return true;
}

static bool check_sparse(struct converting *c)
{
	c->copy.sparse = DEFAULT_SPARSE;
	if (!args_size(c->args, OPT_SPARSE, "buffer size for sparse output", &c->copy.sparse))
		return false;
	if (c->copy.sparse % SECTOR == 0 && c->copy.sparse <= MAX_SPARSE)
		return true;
	report("Invalid buffer size for sparse output specified. Valid sizes are multiples of %d "
	       "up to %u. Select 0 to disable sparse detection (fully allocates output).",
		SECTOR, MAX_SPARSE);
	return false;
}

static bool check_format(struct converting *c)
{
	const char *name = args_value(c->args, OPT_OUTPUT_FORMAT);

	c->format = registry_find(name ? name : "raw");
	if (!c->format)
		report_format("Unknown file format", name);
	c->is_raw = c->format && c->format == registry_find("raw");
	return c->format != NULL;
}

/* Before anything of an output that is there is gone. */
static bool check_abilities(const struct converting *c)
{
	const struct format *f = c->format;

	if (!c->create && args_has(c->args, OPT_OPTIONS))
		report("-o has no effect when skipping image creation");
	else if (!c->create)
		return true;
	else if (!f->create)
		report("Format driver '%s' does not support image creation", f->name);
	else if (args_has(c->args, OPT_COMPRESS) && !f->can_compress)
		report("Compression not supported for this file format");
	else
		return true;
	return false;
}

static int convert(struct converting *c)
{
	struct input_session s;
	int status = EXIT_FAILURE;

	if (input_session_begin(&s, c->args) &&
		create_args_begin(&c->creation, &s, c->format, c->name, &status)) {
		if (c->n == 0)
			status = report("Must specify image file name");
		else if (check_abilities(c) && open_inputs(c, &s))
			status = write_output(c, &s);
	}
	create_args_end(&c->creation);
	for (size_t i = 0; i < c->n; i++)
		input_close(&c->inputs[i]);
	input_session_end(&s);
	return status;
}

int run_convert(const struct args *a)
{
	struct converting c = {.args = a, .create = !args_has(a, OPT_NO_CREATE)};
	int status;

	c.copy.threads = parallel_threads(a);
	if (c.copy.threads == 0 || !check_sparse(&c) || !check_format(&c))
		return EXIT_FAILURE;
	/* "-o help" needs no names. */
	c.n = a->n > 0 ? a->n - 1 : 0;
	c.name = a->n > 0 ? a->operands[c.n] : NULL;
	c.inputs = calloc(c.n + 1, sizeof c.inputs[0]);
	status = c.inputs ? convert(&c) : report("out of memory");
	free(c.inputs);
	return status;
}
