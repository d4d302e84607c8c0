/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rebase.c - changes the backing file of an image without changing the contents of its disk: ranges
 * of the old backing file that differ in the new one are copied into the image.  With -u only the
 * recorded name changes.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/args.h"
#include "image/image.h"
#include "util/bytes.h"
#include "util/err.h"
#include "image/format.h"
#include "open/registry.h"
#include "lib/filenames.h"
#include "lib/padded.h"
#include "lib/progress.h"
#include "lib/report.h"
#include "verbs.h"
#include "lib/input.h"
#include "view/view.h"
#include "open/open.h"

#define CHUNK ((size_t)1 << 20) /* one granule of the image if that is larger */

struct rebasing {
	const struct args *args;
	struct input_session session;
	const char *backing, *format; /* NULL: none */
	struct input input;
	struct image_options how; /* for the new backing file */
	struct image *old;        /* backing file; NULL: none, or -u */
	struct image *new;        /* the same; owned by input.img */
	struct progress progress;
	unsigned char *old_bytes, *new_bytes;
	unsigned char *packed; /* a compressed cluster, with -c; NULL: without */
};

static struct view *disk_of(const struct rebasing *b)
{
	return b->input.img->states[0]->view;
}

static const struct view *shown_by(const struct image *backing)
{
	return backing ? backing->states[0]->view : NULL;
}

enum difference { SAME, ZERO, DATA };

static enum difference difference_of(const struct rebasing *b, size_t at, size_t len)
{
	if (memcmp(b->old_bytes + at, b->new_bytes + at, len) == 0)
		return SAME;
	return is_zero(b->old_bytes + at, len) ? ZERO : DATA;
}

/* Writes len bytes, compressed where they are whole clusters. */
static int write_compressed(
	const struct rebasing *b, const unsigned char *p, uint64_t off, size_t len, struct err *e)
{
	struct view *disk = disk_of(b);
	int r = 0;

	for (size_t n; r == 0 && len > 0; p += n, off += n, len -= n) {
		bool whole = off % disk->unit == 0 && len >= disk->unit;
		ssize_t packed = 0;

		n = MIN(len, disk->unit - off % disk->unit);
		if (whole)
			packed = view_compress(disk, p, off, b->packed, e);
		if (packed < 0)
			r = (int)packed;
		else if (packed > 0)
			r = view_write_compressed(disk, b->packed, (size_t)packed, off, e);
		else
			r = view_write(disk, p, n, off, e);
	}
	return r;
}

/* Writes whole granules, so that nothing of them is read from the new backing file. */
static int keep_differences(const struct rebasing *b, uint64_t off, size_t len, struct err *e)
{
	size_t granule = disk_of(b)->granule;
	int r = 0;

	for (size_t at = 0, n; r == 0 && at < len; at += n) {
		enum difference d = difference_of(b, at, MIN(granule, len - at));

		n = MIN(granule, len - at);
		while (at + n < len && difference_of(b, at + n, MIN(granule, len - at - n)) == d)
			n += MIN(granule, len - at - n);
		if (d == ZERO)
			r = view_clear(disk_of(b), off + at, n, e);
		else if (d == DATA && b->packed)
			r = write_compressed(b, b->old_bytes + at, off + at, n, e);
		else if (d == DATA)
			r = view_write(disk_of(b), b->old_bytes + at, n, off + at, e);
	}
	return r;
}

/* Keeps the contents of an unallocated range of the image. */
static int keep_range(const struct rebasing *b, uint64_t off, size_t len, struct err *e)
{
	const struct view *old = shown_by(b->old), *new = shown_by(b->new);
	uint64_t end = off + len;
	int r;

	if (padded_next_data(old, off, end) == end && padded_next_data(new, off, end) == end)
		return 0;
	r = padded_read(old, b->old_bytes, len, off, e);
	if (r == 0)
		r = padded_read(new, b->new_bytes, len, off, e);
	return r == 0 ? keep_differences(b, off, len, e) : r;
}

/* Copies the ranges of the old backing file that differ in the new one into the image. */
static bool keep_disk(struct rebasing *b)
{
	struct view *disk = disk_of(b);
	size_t chunk = MAX(CHUNK, disk->granule);
	struct extent x = {.len = 0};
	struct err e = ERR_INIT;
	int r = 0;

	progress_begin(&b->progress, b->args, disk->size);
	b->old_bytes = malloc(chunk);
	b->new_bytes = malloc(chunk);
	if (args_has(b->args, OPT_COMPRESS))
		b->packed = malloc(disk->compressed_max);
	if (!b->old_bytes || !b->new_bytes || (args_has(b->args, OPT_COMPRESS) && !b->packed))
		r = err_nomem(&e);
	for (uint64_t off = 0; r == 0 && off < disk->size; off += x.len) {
		view_enter(disk);
		r = view_map(disk, off, MIN(chunk, disk->size - off), &x, &e);
		view_leave(disk);
		if (r == 0 && x.kind == EXTENT_BELOW)
			r = keep_range(b, off, x.len, &e);
		progress_add(&b->progress, x.len);
	}
	if (r == 0)
		r = view_flush(disk, &e);
	progress_end(&b->progress);
	free(b->old_bytes);
	free(b->new_bytes);
	free(b->packed);
	return r == 0 || !report_failure(&e);
}

/* Puts the new backing file in the place of the old one: reads of the image show it from here on.
 */
static bool open_new(struct rebasing *b)
{
	struct err e = ERR_INIT;

	b->how = input_session_options(&b->session, b->format);
	if (b->backing && image_open_backing(b->input.name, b->backing, &b->how, &b->new, &e) < 0) {
		report("Could not open new backing file '%s': %s", b->backing, e.text);
		report_hint(&e, "-F ");
		return false;
	}
	b->old = image_swap_parent(b->input.img, b->new);
	return true;
}

static bool check_format(const struct rebasing *b)
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

static int rebase(struct rebasing *b)
{
	struct image_options how =
		input_session_source(&b->session, args_value(b->args, OPT_FORMAT));
	const char *backing = b->backing ? b->backing : "";
	bool unsafe = args_has(b->args, OPT_UNSAFE);
	struct err e = ERR_INIT;
	struct image *img;

	how.write = true;
	how.nobacking = unsafe;
	how.nosync = args_is(b->args, OPT_CACHE, "unsafe");
	if (!check_format(b) ||
		!input_open_operand(&b->input, &b->session, b->args->operands[0], "-f ", &how))
		return EXIT_FAILURE;
	img = b->input.img;
	if (!img->format->set_backing)
		return report("Could not change the backing file to '%s': the format %s does not "
			      "support it",
			backing, img->format->name);
	if (args_has(b->args, OPT_COMPRESS) && disk_of(b)->compressed_max == 0)
		return report("Compression not supported for this image");
	if (!unsafe && (!open_new(b) || !keep_disk(b)))
		return EXIT_FAILURE;
	if (image_set_backing(img, b->backing, b->format, &e) < 0 || image_finish(img, &e) < 0)
		return report_err(&e, "Could not change the backing file to '%s'", backing);
	return EXIT_SUCCESS;
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

	if (a->n != 1)
		return args_misused("Expecting one image file name");
	if (!backing && !args_has(a, OPT_UNSAFE))
		return args_misused("Must specify backing file (-b) or use unsafe mode (-u)");
	if (input_session_begin(&b.session, a))
		status = rebase(&b);
	input_close(&b.input);
	image_close(b.old);
	input_session_end(&b.session);
	return status;
}
