/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert.c - copies disks to an image, several of them one after another.
 *
 * Everything that can be checked is checked before the output is touched: an old file at its place
 * may be the only copy of a disk.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "image/format.h"
#include "io/io.h"
#include "lib/args.h"
#include "lib/bitmap-copy.h"
#include "lib/copy.h"
#include "lib/create-args.h"
#include "lib/filenames.h"
#include "lib/input.h"
#include "lib/output.h"
#include "lib/parallel.h"
#include "lib/progress.h"
#include "lib/rate.h"
#include "lib/report.h"
#include "open/create.h"
#include "open/open.h"
#include "open/registry.h"
#include "util/blockdev.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/protocol.h"
#include "verbs.h"
#include "view/view.h"

#define DEFAULT_SPARSE 4096
#define MAX_SPARSE     (16u << 20)
#define SECTOR         512

struct converting {
	const struct args *args;
	struct input_session session;
	const struct format *format; /* of the output */
	bool is_raw;                 /* that format */
	const char *name;            /* of the output */
	bool create;                 /* the output; false: -n */
	bool durable;                /* sync the output */
	struct input *inputs;
	size_t n;
	uint64_t size; /* sum of the inputs */
	struct create_args creation;
	struct blockdev target; /* of --target-image-opts */
	struct output output;
	struct input out;
	struct copy copy;
	struct rate rate;
};

/* Checks the options against the format. */
static bool check_options(const struct converting *c)
{
	const struct format *f = c->format;

	if (c->n == 0)
		report("Must specify image file name");
	else if (args_has(c->args, OPT_SKIP_BROKEN) && !args_has(c->args, OPT_BITMAPS))
		report("Use of --skip-broken-bitmaps requires --bitmaps");
	else if (args_has(c->args, OPT_BITMAPS) && c->n > 1)
		report("Copying bitmaps only possible with single source");
	else if (args_has(c->args, OPT_BITMAPS) && !f->bitmaps)
		report("Format driver '%s' does not support bitmaps", f->name);
	else if (!c->create && args_has(c->args, OPT_OPTIONS))
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

static bool open_inputs(struct converting *c)
{
	const struct args *a = c->args;
	struct image_options how = input_session_source(&c->session, args_value(a, OPT_FORMAT));

	for (size_t i = 0; i < c->n; i++) {
		struct input *input = &c->inputs[i];

		if (!input_open_operand(input, &c->session, a->operands[i], "-f ", &how) ||
			!input_choose_state(input, args_value(a, OPT_SNAPSHOT)))
			return false;
		if (__builtin_add_overflow(c->size, input->state->view->size, &c->size) ||
			c->size > INT64_MAX) {
			report("the disks have more than 2^63 bytes together");
			return false;
		}
	}
	return !args_has(a, OPT_BITMAPS) ||
	       bitmap_copy_check(c->inputs[0].img, args_has(a, OPT_SKIP_BROKEN));
}

/* An output that is read, too, would be lost.  Its lock prevents that, but not with -U. */
static bool is_input(const struct converting *c)
{
	bool is_file = !protocol_is_nbd(c->name);
	struct stat st;

	if (is_file && stat(c->name, &st) < 0)
		return false;
	for (size_t i = 0; i < c->n; i++)
		for (const struct image *img = c->inputs[i].img; img; img = img->parent)
			if (is_file ? img->io->ino == st.st_ino && img->io->dev == st.st_dev
				    : strcmp(img->io->name, c->name) == 0)
				return true;
	return false;
}

/* Reports an existing output that is an image, if -n without -O would write raw data over it. */
static bool is_other_image(const struct converting *c)
{
	struct image_options how = input_session_options(&c->session, NULL);
	struct err e = ERR_INIT;
	struct image *img = NULL;
	bool is;

	if (c->create || args_has(c->args, OPT_OUTPUT_FORMAT) || c->target.format)
		return false;
	how.nobacking = how.share = how.locked = true;
	how.warn = NULL;
	is = image_open(c->name, &how, &img, &e) == 0 && img->format != c->format;
	if (is)
		report("%s: it is a %s image, which a raw disk would overwrite; -O %s writes to "
		       "the image",
			c->name, img->format->name, img->format->name);
	image_close(img);
	return is;
}

/* An output in place must have space for the data before the old contents are lost.  Counts data
 * only: an image may need more for zeroes that are stored. */
static int check_space(const struct converting *c, struct err *e)
{
	uint64_t has = output_space(&c->output), needed = 0;
	struct create_request request = c->creation.request;
	struct measured m = {.required = 0};
	int r = 0;

	request.size = c->size;
	if (has == UINT64_MAX || args_has(c->args, OPT_COMPRESS))
		return 0;
	if (output_is_device(&c->output) && c->is_raw) {
		needed = c->size;
	} else {
		for (size_t i = 0; i < c->n; i++)
			needed += format_measure_units(c->inputs[i].state->view, DEFAULT_SPARSE);
		if (c->n == 1 && !c->is_raw && c->format->measure)
			r = image_measure(c->format, &request, c->inputs[0].state->view, &m, e);
		needed = MAX(needed, m.required);
	}
	if (r == 0 && needed > has)
		r = err_set(e, ENOSPC,
			"no space: %" PRIu64 " bytes are needed, %" PRIu64 " available", needed,
			has);
	return r;
}

static int create_output(struct converting *c, struct err *e)
{
	struct create_request *r = &c->creation.request;
	int ret = output_begin(&c->output, c->name, e);

	if (ret == 0)
		ret = check_space(c, e);
	if (ret < 0)
		return ret;
	r->size = c->size;
	r->compressed = args_has(c->args, OPT_COMPRESS);
	output_request(&c->output, r);
	ret = image_create(c->format, c->output.path, r, e);
	if (ret == 0)
		output_created(&c->output, c->is_raw);
	return ret;
}

/* Opens the output, and decides how to copy to it. */
static bool open_output(struct converting *c)
{
	struct image_options how = input_session_options(&c->session, c->format->name);
	const char *backing = c->creation.request.backing, *parents[] = {backing, NULL};
	struct copy *copy = &c->copy;
	const struct image *out;

	how.write = true;
	how.fill = true;
	how.share = false;
	how.nosync = !c->durable;
	how.backing = backing && protocol_is_nbd(backing) ? parents : NULL;
	if (!input_open_as(&c->out, c->output.path, "-O ", &how))
		return false;
	out = c->out.img;
	copy->out = c->out.state->view;
	/* A device has old contents.  An image that can only be filled has none. */
	copy->is_new = (c->create && !out->io->is_block) || copy->out->compressed_only;
	copy->compressed = args_has(c->args, OPT_COMPRESS) || copy->out->compressed_only;
	copy->in_order = (copy->out->unit > 1 && !args_has(c->args, OPT_UNORDERED)) || copy->rate;
	/* Threads that wait for their turn to write do not use their processor. */
	if ((copy->compressed || copy->in_order) && !args_has(c->args, OPT_THREADS))
		copy->threads = MIN(2 * copy->threads, PARALLEL_THREADS);
	/* An existing output is compared with its backing file only on request. */
	if (out->parent && (c->create || backing))
		copy->below = out->parent->states[0]->view;
	if (copy->out->size < c->size)
		report("output file is smaller than input file: %s has %" PRIu64
		       " bytes, not %" PRIu64,
			c->name, copy->out->size, c->size);
	else if (!c->create && backing && !filenames_is_parent(out, c->name, backing))
		report("Could not use '%s' as the backing file of '%s', which has %s", backing,
			c->name, out->parent_name ? out->parent_name : "none");
	else if (copy->compressed && copy->out->compressed_max == 0)
		report("%s: Compression not supported for this image", c->name);
	else
		return true;
	return false;
}

static int copy_all(struct converting *c, struct err *e)
{
	struct progress progress;
	struct copy *copy = &c->copy;
	int r = 0;

	progress_begin(&progress, c->args, c->size);
	copy->progress = &progress;
	for (size_t i = 0; r == 0 && i < c->n; i++) {
		copy->disk = c->inputs[i].state->view;
		r = copy_run(copy, e);
		copy->base += copy->disk->size;
	}
	if (r == 0)
		r = image_finish(c->out.img, e);
	progress_end(&progress);
	return r;
}

static int write_output(struct converting *c)
{
	struct err e = ERR_INIT;
	int r = c->create ? create_output(c, &e) : output_use(&c->output, c->name, &e);

	if (r < 0) {
		output_reword(&c->output, &e);
		return report_about(c->name, &e);
	}
	if (!open_output(c))
		return EXIT_FAILURE;
	r = copy_all(c, &e);
	/* Copying the disk has set the bits of bitmaps that the output had before. */
	if (r == 0 && args_has(c->args, OPT_BITMAPS) &&
		!bitmap_copy_all(c->inputs[0].img, c->out.img))
		return EXIT_FAILURE;
	input_close(&c->out);
	if (r == 0)
		r = output_commit(&c->output, c->durable, &e);
	output_reword(&c->output, &e);
	if (r < 0)
		return report_failure(&e);
	if (c->create)
		create_args_warn_raw(&c->creation, c->name, OPT_OUTPUT_FORMAT);
	return EXIT_SUCCESS;
}

static int convert(struct converting *c)
{
	int status = EXIT_FAILURE;

	if (input_session_begin(&c->session, c->args) &&
		create_args_begin(&c->creation, &c->session, c->format, c->name, &status) &&
		check_options(c) && open_inputs(c)) {
		if (is_input(c))
			report("%s: the output is one of the inputs or their parents", c->name);
		else if (!is_other_image(c))
			status = write_output(c);
		input_close(&c->out);
		output_end(&c->output);
	}
	create_args_end(&c->creation);
	for (size_t i = 0; i < c->n; i++)
		input_close(&c->inputs[i]);
	input_session_end(&c->session);
	return status;
}

/* Options that exclude or need others. */
static bool check_together(const struct converting *c)
{
	const struct args *a = c->args;

	if (args_has(a, OPT_TARGET_ZERO) && c->create)
		return !report("--target-is-zero requires use of -n flag");
	if (!args_has(a, OPT_COPY_RANGE))
		return true;
	if (args_has(a, OPT_COMPRESS))
		return !report("Cannot enable copy offloading when -c is used");
	if (args_has(a, OPT_SPARSE))
		return !report("Cannot enable copy offloading when -S is used");
	return !args_has(a, OPT_SALVAGE) || !report("Cannot use copy offloading in salvaging mode");
}

static void warn_salvaged(uint64_t off, const struct err *e)
{
	report("warning: error while reading offset %" PRIu64 ": %s", off, e->text);
}

/* --target-image-opts. */
static bool describe_output(struct converting *c)
{
	struct err e = ERR_INIT;

	if (!args_has(c->args, OPT_TARGET_OPTS) || !c->name)
		return true;
	if (c->create)
		return !report("--target-image-opts requires use of -n flag");
	if (blockdev_parse_options(&c->target, c->name, &e) < 0)
		return !report_open(c->name, "-O ", &e);
	if (c->target.offset > 0 || c->target.size != UINT64_MAX)
		return !report(
			"Could not open '%s': a range of a file cannot be written to", c->name);
	c->name = c->target.file;
	if (c->target.format)
		c->format = registry_find(c->target.format);
	return c->format || !report_format("Unknown driver", c->target.format);
}

int run_convert(const struct args *a)
{
	struct converting c = {
		.args = a,
		.create = !args_has(a, OPT_NO_CREATE),
		.durable = args_has(a, OPT_CACHE) && !args_is(a, OPT_CACHE, "unsafe"),
		.copy = {.threads = parallel_threads(a), .sparse = DEFAULT_SPARSE},
	};
	int status;

	/* "-o help" needs no operands. */
	c.n = a->n > 0 ? a->n - 1 : 0;
	c.name = a->n > 0 ? blockdev_path(a->operands[c.n]) : NULL;
	if (c.copy.threads == 0 ||
		!args_size(a, OPT_SPARSE, "buffer size for sparse output", &c.copy.sparse))
		return EXIT_FAILURE;
	if (c.copy.sparse % SECTOR != 0 || c.copy.sparse > MAX_SPARSE)
		return report("Invalid buffer size for sparse output specified. Valid sizes are "
			      "multiples of %d up to %u. Select 0 to disable sparse detection "
			      "(fully allocates output).",
			SECTOR, MAX_SPARSE);
	c.format = create_args_format(a, OPT_OUTPUT_FORMAT);
	if (!c.format || !describe_output(&c) || !check_together(&c) || !rate_begin(&c.rate, a))
		return EXIT_FAILURE;
	c.copy.salvage = args_has(a, OPT_SALVAGE);
	c.copy.salvaged = args_has(a, OPT_QUIET) ? NULL : warn_salvaged;
	if (c.rate.limit > 0)
		c.copy.rate = &c.rate;
	c.is_raw = c.format == registry_find("raw");
	c.inputs = calloc(c.n + 1, sizeof c.inputs[0]);
	status = c.inputs ? convert(&c) : report("out of memory");
	free(c.inputs);
	blockdev_free(&c.target);
	return status;
}
