/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* commit.c - writes the data of an image, and of those between, to an image below it, the base.
 *
 * The whole chain is opened once to find the base.  Then each image above the base is opened
 * without its parent, since the base changes during the copy and must not be read through them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/args.h"
#include "image/image.h"
#include "util/bytes.h"
#include "util/err.h"
#include "image/format.h"
#include "lib/filenames.h"
#include "lib/progress.h"
#include "lib/rate.h"
#include "lib/report.h"
#include "verbs.h"
#include "lib/input.h"
#include "view/view.h"

#define STEP (16u << 20) /* maximum number of bytes between updates of the progress */

struct layer {
	char *path;
	const struct format *format;
	struct input input;
};

struct committing {
	const struct args *args;
	struct input_session session;
	const char *name;
	struct layer *layers; /* from the given image to the base */
	size_t n;
	bool is_described; /* the name is a description, and layers have the paths */
	bool empties;      /* the given image is emptied afterwards */
	struct rate rate;
	struct progress progress;
};

/* Returns the number of images above the base; 0 after an error. */
static size_t find_base(const struct committing *c, const struct image *img)
{
	const char *name = args_value(c->args, OPT_BACKING), *at;
	size_t n = 1;

	if (!img->parent) {
		report("Image does not have a backing file");
		return 0;
	}
	/* As qemu-img does, takes no name that is right from the working directory alone. */
	for (at = c->name; name && img->parent && !filenames_records(img, at, name);
		img = img->parent) {
		at = img->parent->path ? img->parent->path : c->name;
		n++;
	}
	if (img->parent)
		return n;
	report("Did not find '%s' in the backing chain of '%s'", name, c->name);
	return 0;
}

/* Opens the whole chain, and records its images down to the base. */
static bool find_layers(struct committing *c)
{
	struct image_options how =
		input_session_source(&c->session, args_value(c->args, OPT_FORMAT));
	struct input chain = {0};
	size_t n = input_open_operand(&chain, &c->session, c->name, "-f ", &how)
			   ? find_base(c, chain.img)
			   : 0;
	const struct image *img = chain.img;

	c->is_described = chain.described.file != NULL;
	if (n > 0)
		c->layers = calloc(n + 1, sizeof c->layers[0]);
	for (; c->layers && c->n <= n; img = img->parent) {
		struct layer *l = &c->layers[c->n++];

		l->format = img->format;
		l->path = img->path ? strdup(img->path) : NULL;
		if (!l->path)
			break;
	}
	input_close(&chain);
	if (n > 0 && c->n == n + 1 && c->layers[n].path)
		return true;
	if (n > 0)
		report("%s: out of memory, or not a file", c->name);
	return false;
}

static bool open_layer(struct committing *c, size_t i)
{
	struct layer *l = &c->layers[i];
	struct image_options how = input_session_options(&c->session, l->format->name);
	bool base = i == c->n - 1;

	how.nobacking = !base;
	how.write = base || (i == 0 && c->empties);
	how.nosync = how.write && args_is(c->args, OPT_CACHE, "unsafe");
	return input_open(&l->input, i == 0 && !c->is_described ? c->name : l->path, &how);
}

static struct view *disk_of(const struct committing *c, size_t i)
{
	return c->layers[i].input.img->states[0]->view;
}

static struct view *base_of(const struct committing *c)
{
	return disk_of(c, c->n - 1);
}

/* A range of one status. */
struct found {
	const struct view *disk; /* the image above the base that has the data; NULL: none */
	bool zero;
	uint64_t len;
};

/* Finds the topmost image that has the data at off.  Beyond its end, an image reads as zeroes and
 * hides the data of those below. */
static int find(
	const struct committing *c, uint64_t off, uint64_t len, struct found *f, struct err *e)
{
	for (size_t i = 0; i + 1 < c->n; i++) {
		const struct view *disk = disk_of(c, i);
		struct extent x;
		int r;

		*f = (struct found){.disk = disk, .zero = true, .len = len};
		if (off >= disk->size)
			return 0;
		view_enter(disk);
		r = view_map(disk, off, MIN(len, disk->size - off), &x, e);
		view_leave(disk);
		if (r < 0)
			return r;
		len = x.len;
		*f = (struct found){.disk = disk, .zero = x.kind == EXTENT_ZERO, .len = len};
		if (x.kind != EXTENT_BELOW)
			return 0;
	}
	f->disk = NULL;
	return 0;
}

static int commit_range(struct committing *c, uint64_t off, const struct found *f, struct err *e)
{
	struct view *base = base_of(c);

	if (f->disk && f->zero)
		return view_clear(base, off, f->len, e);
	if (!f->disk)
		return 0;
	for (uint64_t at = off, end = off + f->len; at < end;) {
		int64_t n = view_copy(f->disk, at, base, at, end - at, e);

		if (n < 0)
			return (int)n;
		at += (uint64_t)n;
	}
	rate_wait(&c->rate, f->len);
	return 0;
}

static int write_all(struct committing *c, struct err *e)
{
	uint64_t size = disk_of(c, 0)->size;
	struct found f = {0};
	int r = 0;

	if (size > base_of(c)->size)
		r = view_resize(base_of(c), size, e);
	for (uint64_t off = 0; r == 0 && off < size; off += f.len) {
		r = find(c, off, MIN(size - off, STEP), &f, e);
		if (r == 0)
			r = commit_range(c, off, &f, e);
		progress_add(&c->progress, f.len);
	}
	return r == 0 ? image_finish(c->layers[c->n - 1].input.img, e) : r;
}

static int commit_all(struct committing *c)
{
	const struct format *f = c->layers[0].format;
	struct err e = ERR_INIT;
	int r;

	progress_begin(&c->progress, c->args, disk_of(c, 0)->size);
	r = write_all(c, &e);
	progress_end(&c->progress);
	if (r < 0)
		return report_err(&e, "Could not commit '%s'", c->name);
	/* The base is durable now, so the data in the image is no longer needed. */
	if (c->empties && (image_empty(c->layers[0].input.img, &e) < 0 ||
				  image_finish(c->layers[0].input.img, &e) < 0))
		return report_err(&e, "Could not empty '%s'", c->name);
	/* An image that cannot be emptied may record an ID of its parent that is no longer valid.
	 */
	if (!f->empty && f->check_parent && !args_has(c->args, OPT_DROP))
		report("warning: '%s' is not emptied: the format %s does not support it; "
		       "opening it may need --ignore-parent-id, since its parent has changed",
			c->name, f->name);
	if (!args_has(c->args, OPT_QUIET))
		puts("Image committed.");
	return EXIT_SUCCESS;
}

int run_commit(const struct args *a)
{
	struct committing c = {.args = a, .name = a->operands[0]};
	int status = EXIT_FAILURE;
	bool open = true;

	if (a->n != 1)
		return args_misused("Expecting one image file name");
	if (!rate_begin(&c.rate, a))
		return EXIT_FAILURE;
	if (input_session_begin(&c.session, a) && find_layers(&c)) {
		/* With -b, images between would have to be emptied, too: all are kept. */
		c.empties = !args_has(a, OPT_DROP) && !args_value(a, OPT_BACKING) &&
			    c.layers[0].format->empty;
		for (size_t i = 0; open && i < c.n; i++)
			open = open_layer(&c, i);
		if (open)
			status = commit_all(&c);
	}
	for (size_t i = 0; i < c.n; i++) {
		input_close(&c.layers[i].input);
		free(c.layers[i].path);
	}
	free(c.layers);
	input_session_end(&c.session);
	return status;
}
