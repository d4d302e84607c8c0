/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* commit.c - what an image changes is written to what it is based on.
 *
 * The images from the given one to the base are opened one by one: above the base nothing is looked
 * at but what an image stores itself, for the base changes all the while.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/args.h"
#include "image/backing.h"
#include "util/bytes.h"
#include "util/err.h"
#include "image/format.h"
#include "lib/filenames.h"
#include "lib/progress.h"
#include "lib/report.h"
#include "verbs.h"
#include "lib/input.h"
#include "view/view.h"

#define LOOK (16u << 20) /* bytes, at most, between two signs of life */

/* An image of the chain, and how to open it alone. */
struct layer {
	char *path;
	const struct format *format;
	struct input input;
};

struct committing {
	const struct args *args;
	const char *name;
	struct layer *layers; /* from the given image to the base */
	size_t n;             /* of them */
	bool empties;         /* the given image shall be emptied */
	uint64_t rate;        /* bytes in a second; 0: as fast as it goes */
	struct timespec begun;
	uint64_t written;
	struct progress progress;
};

/* The chain. */

/* How many images above the base there are; 0: it has been told why not. */
static size_t find_base(const struct committing *c, const struct image *img)
{
	const char *name = args_value(c->args, OPT_BACKING);
	size_t n = 1;

	if (!img->parent) {
		report("Image does not have a backing file");
		return 0;
	}
	for (; name && img->parent && !filenames_is_parent(img, c->name, name); img = img->parent)
		n++;
	if (img->parent)
		return n;
	report("Did not find '%s' in the backing chain of '%s'", name, c->name);
	return 0;
}

static bool note_layers(struct committing *c, const struct image *img)
{
	size_t n = find_base(c, img);

	if (n == 0)
		return false;
	c->layers = calloc(n + 1, sizeof c->layers[0]);
	for (; c->layers && c->n <= n; img = img->parent) {
		struct layer *l = &c->layers[c->n++];

		l->format = img->format;
		l->path = img->path ? strdup(img->path) : NULL;
		if (!l->path)
			break;
	}
	if (c->n == n + 1 && c->layers[n].path)
		return true;
	report("%s: out of memory, or not a file", c->name);
	return false;
}

/* What the chain is, with all of it open; then each image is opened for what it is here. */
static bool find_layers(struct committing *c, const struct input_session *s)
{
	struct image_options how = input_session_options(s, args_value(c->args, OPT_FORMAT));
	struct input chain = {0};
	bool found = input_open(&chain, c->name, &how) && note_layers(c, chain.img);

	input_close(&chain);
	return found;
}

static bool open_layer(struct committing *c, const struct input_session *s, size_t i)
{
	struct layer *l = &c->layers[i];
	struct image_options how = input_session_options(s, l->format->name);
	bool base = i == c->n - 1;
	const char *cache = args_value(c->args, OPT_CACHE);

	how.nobacking = !base;
	how.write = base || (i == 0 && c->empties);
	how.nosync = how.write && cache && strcmp(cache, "unsafe") == 0;
	return input_open(&l->input, i == 0 ? c->name : l->path, &how);
}

static bool open_layers(struct committing *c, const struct input_session *s)
{
	for (size_t i = 0; i < c->n; i++)
		if (!open_layer(c, s, i))
			return false;
	return true;
}

static struct view *disk_of(const struct committing *c, size_t i)
{
	return c->layers[i].input.img->states[0]->view;
}

static struct view *base_of(const struct committing *c)
{
	return disk_of(c, c->n - 1);
}

/* Writing. */

/* What is found above the base. */
struct found {
	const struct view *disk; /* the image that has the bytes; NULL: the base has them */
	bool zero;
	uint64_t len;
};

static int look_in(const struct view *disk, uint64_t off, uint64_t len, struct found *f,
	bool *below, struct err *e)
{
	struct extent x;
	int r;

	view_enter(disk);
	r = view_map(disk, off, len, &x, e);
	view_leave(disk);
	if (r < 0)
		return r;
	*below = x.kind == EXTENT_BELOW;
	*f = (struct found){.disk = disk, .zero = x.kind == EXTENT_ZERO, .len = x.len};
	return 0;
}

/* Where an image ends it hides what those below have there. */
static int find(
	const struct committing *c, uint64_t off, uint64_t len, struct found *f, struct err *e)
{
	bool below = true;
	int r = 0;

	for (size_t i = 0; r == 0 && below && i + 1 < c->n; i++) {
		const struct view *disk = disk_of(c, i);

		if (off >= disk->size) {
			*f = (struct found){.disk = disk, .zero = true, .len = len};
			return 0;
		}
		r = look_in(disk, off, MIN(len, disk->size - off), f, &below, e);
		len = f->len;
	}
	if (r == 0 && below)
		f->disk = NULL;
	return r;
}

static int copy(const struct committing *c, const struct view *disk, uint64_t off, uint64_t len,
	struct err *e)
{
	for (int64_t n; len > 0; off += n, len -= n) {
		n = view_copy(disk, off, base_of(c), off, len, e);
		if (n < 0)
			return (int)n;
	}
	return 0;
}

/* As long as more was written than the rate allows. */
static void keep_rate(struct committing *c, uint64_t bytes)
{
	struct timespec until = c->begun;
	uint64_t ns;

	c->written += bytes;
	if (c->rate == 0)
		return;
	ns = c->written % c->rate * UINT64_C(1000000000) / c->rate + until.tv_nsec;
	until.tv_sec += c->written / c->rate + ns / 1000000000;
	until.tv_nsec = ns % 1000000000;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

static int commit_found(struct committing *c, uint64_t off, const struct found *f, struct err *e)
{
	int r = 0;

	if (f->disk && f->zero)
		r = view_clear(base_of(c), off, f->len, e);
	else if (f->disk)
		r = copy(c, f->disk, off, f->len, e);
	if (r == 0 && f->disk && !f->zero)
		keep_rate(c, f->len);
	progress_add(&c->progress, f->len);
	return r;
}

static int write_all(struct committing *c, struct err *e)
{
	uint64_t size = disk_of(c, 0)->size;
	struct found f = {0};
	int r = 0;

	if (size > base_of(c)->size)
		r = view_resize(base_of(c), size, e);
	for (uint64_t off = 0; r == 0 && off < size; off += f.len) {
		r = find(c, off, MIN(size - off, LOOK), &f, e);
		if (r == 0)
			r = commit_found(c, off, &f, e);
	}
	return r == 0 ? image_finish(c->layers[c->n - 1].input.img, e) : r;
}

/* Some formats know their parent by an id that changes with it. */
static void tell_end(const struct committing *c)
{
	const struct format *f = c->layers[0].format;

	if (!f->empty && f->check_parent && !args_has(c->args, OPT_DROP))
		fprintf(stderr,
			"vdisk: warning: '%s' is not emptied, which the format %s cannot be; it "
			"may be taken for no child of its parent, which has changed, but with "
			"--ignore-parent-id\n",
			c->name, f->name);
	if (!args_has(c->args, OPT_QUIET))
		puts("Image committed.");
}

static int commit_all(struct committing *c)
{
	struct err e = ERR_INIT;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &c->begun);
	progress_begin(&c->progress,
		args_has(c->args, OPT_PROGRESS) && !args_has(c->args, OPT_QUIET),
		disk_of(c, 0)->size);
	r = write_all(c, &e);
	progress_end(&c->progress);
	if (r < 0)
		return report_err(&e, "Could not commit '%s'", c->name);
	/* The base is durable: nothing is lost with what was there twice. */
	if (c->empties && (image_empty(c->layers[0].input.img, &e) < 0 ||
				  image_finish(c->layers[0].input.img, &e) < 0))
		return report_err(&e, "Could not empty '%s'", c->name);
	tell_end(c);
	return EXIT_SUCCESS;
}

static void end(struct committing *c)
{
	for (size_t i = 0; c->layers && i < c->n; i++) {
		input_close(&c->layers[i].input);
		free(c->layers[i].path);
	}
	free(c->layers);
}

/* With a base given, images between would be of no use any more either: all stay as they are. */
static void choose_end(struct committing *c)
{
	c->empties = !args_has(c->args, OPT_DROP) && !args_value(c->args, OPT_BACKING) &&
		     c->layers[0].format->empty;
}

int run_commit(const struct args *a)
{
	struct committing c = {.args = a, .name = a->operands[0]};
	int status = EXIT_FAILURE;
	struct input_session s;

	if (a->n != 1)
		return args_misused("Expecting one image file name");
	if (!args_size(a, OPT_RATE, "rate limit", &c.rate))
		return EXIT_FAILURE;
	if (input_session_begin(&s, a) && find_layers(&c, &s)) {
		choose_end(&c);
		if (open_layers(&c, &s))
			status = commit_all(&c);
	}
	end(&c);
	input_session_end(&s);
	return status;
}
