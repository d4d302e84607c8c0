/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rebase.c - another backing file for an image, whose disk stays the same: what the two backing
 * files have different becomes the image's own.  Unsafely, the image only names another one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/args.h"
#include "image/backing.h"
#include "util/bytes.h"
#include "util/err.h"
#include "image/format.h"
#include "open/registry.h"
#include "lib/filenames.h"
#include "lib/progress.h"
#include "lib/report.h"
#include "verbs.h"
#include "lib/input.h"
#include "view/view.h"
#include "util/zeroes.h"
#include "open/open.h"

#define CHUNK ((size_t)1 << 20) /* or a granule of the image, if that is larger */

struct rebasing {
	const struct args *args;
	const char *backing, *format; /* NULL: none */
	struct input input;
	struct image_options how; /* for the new backing file */
	struct image *old;        /* backing file; NULL: none, or nobody looks at it */
	struct image *new;        /* likewise; of input.img */
	struct progress progress;
	size_t chunk;
	unsigned char *old_bytes, *new_bytes;
};

static struct view *disk_of(const struct rebasing *b)
{
	return b->input.img->states[0]->view;
}

static const struct view *shown_by(const struct image *backing)
{
	return backing ? backing->states[0]->view : NULL;
}

/* What a backing file shows, which may be shorter. */
static int read_padded(
	const struct view *v, unsigned char *buf, uint64_t off, size_t len, struct err *e)
{
	size_t inside = v && off < v->size ? MIN(len, v->size - off) : 0;

	memset(buf + inside, 0, len - inside);
	return inside > 0 ? view_read(v, buf, inside, off, e) : 0;
}

enum fate { SAME, ZERO, DATA };

static enum fate fate_of(const struct rebasing *b, size_t at, size_t len)
{
	if (memcmp(b->old_bytes + at, b->new_bytes + at, len) == 0)
		return SAME;
	return is_zero(b->old_bytes + at, len) ? ZERO : DATA;
}

/* Whole granules: nothing of them is left to the new backing file. */
static int keep_run(const struct rebasing *b, enum fate fate, uint64_t off, const void *bytes,
	size_t len, struct err *e)
{
	if (fate == SAME)
		return 0;
	return fate == ZERO ? view_clear(disk_of(b), off, len, e)
			    : view_write(disk_of(b), bytes, len, off, e);
}

static int keep_differences(const struct rebasing *b, uint64_t off, size_t len, struct err *e)
{
	size_t granule = disk_of(b)->granule;
	int r = 0;

	for (size_t at = 0, n; r == 0 && at < len; at += n) {
		enum fate fate = fate_of(b, at, MIN(granule, len - at));

		n = MIN(granule, len - at);
		while (at + n < len && fate_of(b, at + n, MIN(granule, len - at - n)) == fate)
			n += MIN(granule, len - at - n);
		r = keep_run(b, fate, off + at, b->old_bytes + at, n, e);
	}
	return r;
}

static bool is_hole(const struct view *v, uint64_t off, uint64_t len)
{
	uint64_t data;

	if (!v || off >= v->size)
		return true;
	return view_seek(v, off, SEEK_DATA, &data) < 0 || data - off >= len;
}

/* Bytes that the image leaves to the backing file. */
static int compare(const struct rebasing *b, uint64_t off, size_t len, struct err *e)
{
	const struct view *old = shown_by(b->old), *new = shown_by(b->new);
	int r;

	if (is_hole(old, off, len) && is_hole(new, off, len))
		return 0;
	r = read_padded(old, b->old_bytes, off, len, e);
	if (r == 0)
		r = read_padded(new, b->new_bytes, off, len, e);
	return r == 0 ? keep_differences(b, off, len, e) : r;
}

static int look(const struct rebasing *b, uint64_t off, uint64_t *len, bool *below, struct err *e)
{
	const struct view *disk = disk_of(b);
	struct extent x;
	int r;

	view_enter(disk);
	r = view_map(disk, off, *len, &x, e);
	view_leave(disk);
	*below = r == 0 && x.kind == EXTENT_BELOW;
	*len = r == 0 ? x.len : *len;
	return r;
}

static int keep_all(struct rebasing *b, struct err *e)
{
	uint64_t size = disk_of(b)->size;
	int r = 0;

	for (uint64_t off = 0, len; r == 0 && off < size; off += len) {
		bool below;

		len = MIN(b->chunk, size - off);
		r = look(b, off, &len, &below, e);
		if (r == 0 && below)
			r = compare(b, off, len, e);
		progress_add(&b->progress, len);
	}
	return r == 0 ? view_flush(disk_of(b), e) : r;
}

static int keep(struct rebasing *b)
{
	struct err e = ERR_INIT;
	int r;

	b->chunk = MAX(CHUNK, disk_of(b)->granule);
	b->old_bytes = malloc(b->chunk);
	b->new_bytes = malloc(b->chunk);
	progress_begin(&b->progress,
		args_has(b->args, OPT_PROGRESS) && !args_has(b->args, OPT_QUIET), disk_of(b)->size);
	r = b->old_bytes && b->new_bytes ? keep_all(b, &e) : err_nomem(&e);
	progress_end(&b->progress);
	free(b->old_bytes);
	free(b->new_bytes);
	return r < 0 ? report_failure(&e) : EXIT_SUCCESS;
}

static int set_backing(struct rebasing *b)
{
	struct err e = ERR_INIT;
	struct image *img = b->input.img;

	if (image_set_backing(img, b->backing, b->format, &e) == 0 && image_finish(img, &e) == 0)
		return EXIT_SUCCESS;
	return report_err(
		&e, "Could not change the backing file to '%s'", b->backing ? b->backing : "");
}

static int refuse_new(const struct rebasing *b, const struct err *e)
{
	report("Could not open new backing file '%s': %s", b->backing, e->text);
	report_hint(e, "-F ");
	return EXIT_FAILURE;
}

/* From here on the image shows what it will show: what is not kept shows the new backing file. */
static int open_new(struct rebasing *b, const struct input_session *s)
{
	struct err e = ERR_INIT;

	b->how = input_session_options(s, b->format);
	if (b->backing && image_open_backing(b->input.name, b->backing, &b->how, &b->new, &e) < 0)
		return refuse_new(b, &e);
	b->old = image_swap_parent(b->input.img, b->new);
	return EXIT_SUCCESS;
}

static bool open_image(struct rebasing *b, const struct input_session *s, bool unsafe)
{
	struct image_options how = input_session_options(s, args_value(b->args, OPT_FORMAT));
	const char *cache = args_value(b->args, OPT_CACHE);

	how.write = true;
	how.nobacking = unsafe;
	how.nosync = cache && strcmp(cache, "unsafe") == 0;
	return input_open(&b->input, b->args->operands[0], &how);
}

/* Before the disk is touched. */
static bool check_words(const struct rebasing *b)
{
	if (b->format && !registry_find(b->format)) {
		report_format("Invalid format name:", b->format);
		return false;
	}
	if (!b->backing || b->format)
		return true;
	report("Could not change the backing file to '%s': backing format must be specified",
		b->backing);
	filenames_hint_backing_format(b->args->operands[0], b->backing);
	return false;
}

static bool can_rebase(const struct rebasing *b)
{
	if (b->input.img->format->set_backing)
		return true;
	report("Could not change the backing file to '%s': images of the format %s keep the one "
	       "that they were made with",
		b->backing ? b->backing : "", b->input.img->format->name);
	return false;
}

static int rebase(struct rebasing *b, const struct input_session *s)
{
	bool unsafe = args_has(b->args, OPT_UNSAFE);
	int status = EXIT_FAILURE;

	if (check_words(b) && open_image(b, s, unsafe) && can_rebase(b)) {
		status = unsafe ? EXIT_SUCCESS : open_new(b, s);
		if (status == EXIT_SUCCESS && !unsafe)
			status = keep(b);
		if (status == EXIT_SUCCESS)
			status = set_backing(b);
	}
	input_close(&b->input);
	image_close(b->old);
	return status;
}

int run_rebase(const struct args *a)
{
	const char *backing = args_value(a, OPT_BACKING);
	struct rebasing b = {
		.args = a,
		.backing = backing && *backing ? backing : NULL,
		.format = args_value(a, OPT_BACKING_FORMAT),
	};
	int status = EXIT_FAILURE;
	struct input_session s;

	if (a->n != 1)
		return args_misused("Expecting one image file name");
	if (!backing && !args_has(a, OPT_UNSAFE))
		return args_misused("Must specify backing file (-b) or use unsafe mode (-u)");
	if (input_session_begin(&s, a))
		status = rebase(&b, &s);
	input_session_end(&s);
	return status;
}
