/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert.c - disks copied into an image, several of them one behind the other. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "args.h"
#include "bytes.h"
#include "err.h"
#include "format.h"
#include "io.h"
#include "laid.h"
#include "maker.h"
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
	const struct format *format; /* that the output is made as and written through */
	const char *name;            /* of the output */
	struct source *sources;
	size_t n;
	uint64_t size;   /* of all together */
	uint64_t sparse; /* how many zeroes become a hole; 0: none */
	unsigned threads;
	struct maker maker;
	const struct layout
		*layout; /* the output is the disk laid out; NULL: an image made empty */
	struct laid laid;
	struct source out;
	struct progress progress;
	uint64_t base;            /* where the disk that is being copied begins in the output */
	const struct view *disk;  /* that disk */
	const struct view *below; /* what the output shows where nothing is written; NULL: zeroes */
	bool fresh;               /* nothing was written to the output before */
};

/* What becomes of some bytes. */
enum fate { LEFT, ZEROED, WRITTEN };

/* Does the output show these bytes already, by what it is based on? */
static int is_below(const struct converting *c, const unsigned char *buf, size_t len, uint64_t off,
	bool *is, struct err *e)
{
	unsigned char below[WORK_PIECE];
	size_t inside = off < c->below->size ? MIN(len, c->below->size - off) : 0;
	int r = inside > 0 ? view_read(c->below, below, inside, off, e) : 0;

	*is = r == 0 && (inside == 0 || memcmp(buf, below, inside) == 0) &&
	      is_zero(buf + inside, len - inside);
	return r;
}

static int fate_of(const struct converting *c, const unsigned char *buf, size_t len, uint64_t off,
	enum fate *fate, struct err *e)
{
	bool below = false;
	int r = c->below ? is_below(c, buf, len, off, &below, e) : 0;

	*fate = below ? LEFT : WRITTEN;
	if (!below && is_zero(buf, len))
		*fate = c->fresh && !c->below ? LEFT : ZEROED;
	return r;
}

/* How many bytes at the beginning of buf have one fate; units of sparse have one. */
static ssize_t run_length(const struct converting *c, const unsigned char *buf, size_t len,
	uint64_t off, enum fate *fate, struct err *e)
{
	size_t n = 0, unit;

	for (; n < len; n += unit) {
		enum fate next;
		int r;

		unit = (size_t)MIN(len - n, c->sparse - (off + n) % c->sparse);
		r = fate_of(c, buf + n, unit, off + n, &next, e);
		if (r < 0)
			return r;
		if (n == 0)
			*fate = next;
		else if (next != *fate)
			break;
	}
	return (ssize_t)n;
}

static int write_run(const struct converting *c, const unsigned char *buf, size_t len, uint64_t off,
	enum fate fate, struct err *e)
{
	struct view *out = c->out.state->view;

	if (fate == LEFT)
		return 0;
	return fate == ZEROED ? view_clear(out, off, len, e) : view_write(out, buf, len, off, e);
}

static int write_sparsely(const struct converting *c, const unsigned char *buf, size_t len,
	uint64_t off, struct err *e)
{
	enum fate fate = LEFT;
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
	const struct converting *c = arg;
	uint64_t to = c->base + off;
	int r = view_read(c->disk, buf, len, off, e);

	if (r < 0)
		return err_in(e, "error while reading at byte %" PRIu64, off);
	r = c->sparse ? write_sparsely(c, buf, len, to, e) : write_run(c, buf, len, to, WRITTEN, e);
	return r < 0 ? err_in(e, "error while writing at byte %" PRIu64, to) : 0;
}

static int copy_disk(struct converting *c, struct err *e)
{
	struct work w = {
		.views = {c->disk},
		.end = c->disk->size,
		/* Where there is something already, holes must be made of it. */
		.holes_too = !c->fresh || c->below || !c->sparse,
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
	int r = 0;

	progress_begin(&c->progress,
		args_has(c->args, OPT_PROGRESS) && !args_has(c->args, OPT_QUIET), c->size);
	for (size_t i = 0; r == 0 && i < c->n; i++) {
		c->disk = c->layout ? c->laid.file : c->sources[i].state->view;
		r = copy_disk(c, e);
		c->base += c->disk->size;
	}
	if (r == 0)
		r = image_finish(c->out.img, e);
	progress_end(&c->progress);
	return r;
}

/* A file that is read would be gone with the first byte; its lock says so too, but not with -U. */
static bool is_a_source(const struct converting *c)
{
	struct stat st;

	if (stat(c->name, &st) < 0)
		return false;
	for (size_t i = 0; i < c->n; i++)
		for (const struct image *img = c->sources[i].img; img; img = img->parent)
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

static bool open_output(struct converting *c, const struct session *s)
{
	struct image_options how = session_options(s, c->format->name);
	const struct image *parent;

	how.write = true;
	how.share = false;
	how.nosync = !args_value(c->args, OPT_CACHE) ||
		     strcmp(args_value(c->args, OPT_CACHE), "unsafe") == 0;
	if (!source_open(&c->out, c->name, &how))
		return false;
	parent = c->out.img->parent;
	c->below = parent && c->fresh ? parent->states[0]->view : NULL;
	/* Nobody knows what is on a device. */
	c->fresh = c->fresh && !c->out.img->io->is_block;
	return check_room(c);
}

static bool make_output(struct converting *c)
{
	struct create_request *r = &c->maker.request;
	struct err e = ERR_INIT;

	c->fresh = !args_has(c->args, OPT_NO_CREATE);
	if (!c->fresh)
		return true;
	r->size = c->size;
	r->replace = true;
	if (image_create(c->format, c->name, r, &e) == 0)
		return true;
	report_about(c->name, &e);
	return false;
}

/* Files that are laid out are written as what they are: raw bytes. */
static bool lay_out(struct converting *c)
{
	struct err e = ERR_INIT;

	if (!c->layout)
		return true;
	if (c->n > 1) {
		report("several images are only joined in a format that can be written to");
		return false;
	}
	if (laid_begin(&c->laid, c->layout, &c->sources[0], c->name, &e) < 0) {
		report_about(c->name, &e);
		return false;
	}
	c->format = format_find("raw");
	c->maker.request.options = NULL;
	c->size = c->laid.file->size;
	return true;
}

static int write_output(struct converting *c, const struct session *s)
{
	bool was_there = access(c->name, F_OK) == 0;
	struct err e = ERR_INIT;
	int r = -1;

	if (is_a_source(c))
		return report("%s: it is one of the files that are read", c->name);
	if (!lay_out(c) || !make_output(c))
		return EXIT_FAILURE;
	if (open_output(c, s)) {
		r = copy_all(c, &e);
		if (r < 0)
			report("%s", e.text);
	}
	source_close(&c->out);
	if (r < 0 && !was_there)
		unlink(c->name);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
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

static bool check_format(struct converting *c)
{
	const char *name = args_value(c->args, OPT_OUTPUT_FORMAT);

	c->format = format_find(name ? name : "raw");
	if (!c->format)
		report("Unknown file format '%s'", name);
	return c->format != NULL;
}

/* What can be made empty and be written is; of the rest, what can be laid out. */
static bool choose_way(struct converting *c)
{
	const struct create_request *r = &c->maker.request;
	const struct layout *l = r->backing ? NULL : laid_choose(c->format, &c->maker.words);

	if (args_has(c->args, OPT_NO_CREATE) || (c->format->create && !(l && l->whole)))
		return true;
	c->layout = l;
	if (!l)
		report("Format driver '%s' does not support image creation%s", c->format->name,
			c->format->layouts ? " with these options" : "");
	return l != NULL;
}

static int convert(struct converting *c)
{
	struct session s;
	int status = EXIT_FAILURE;

	if (session_begin(&s, c->args) && maker_begin(&c->maker, &s, c->format, &status)) {
		if (c->n == 0)
			status = report("Must specify image file name");
		else if (choose_way(c) && open_sources(c, &s))
			status = write_output(c, &s);
	}
	maker_end(&c->maker);
	laid_end(&c->laid);
	for (size_t i = 0; i < c->n; i++)
		source_close(&c->sources[i]);
	session_end(&s);
	return status;
}

int run_convert(const struct args *a)
{
	struct converting c = {.args = a};
	int status;

	c.threads = work_threads(a);
	if (c.threads == 0 || !check_sparse(&c) || !check_format(&c))
		return EXIT_FAILURE;
	/* "-o help" needs no names. */
	c.n = a->n > 0 ? a->n - 1 : 0;
	c.name = a->n > 0 ? a->operands[c.n] : NULL;
	c.sources = calloc(c.n + 1, sizeof c.sources[0]);
	status = c.sources ? convert(&c) : report("out of memory");
	free(c.sources);
	return status;
}
