/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image.c - an opened image: its files, its writing, its end. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/filename.h"
#include "format.h"
#include "image.h"
#include "io/io.h"
#include "util/limits.h"
#include "util/text.h"
#include "io/lock.h"
#include "view/view.h"
#include "io/writeback.h"
#include "view/writer.h"

/* NULL: nothing can be written. */
static void set_writer(struct image *img, struct writer *w)
{
	img->writer = w;
	for (size_t i = 0; i < img->nstates; i++) {
		img->states[i]->view->writer = w;
		if (img->states[i]->vmstate)
			img->states[i]->vmstate->writer = w;
	}
}

int image_start_writing(struct image *img, struct err *e)
{
	struct view *live = img->states[0]->view;
	struct writer *w;
	int r;

	if (!live->write && img->no_writing)
		err_set(e, ENOTSUP, "%s: it cannot be written to: %s", img->io->name,
			img->no_writing);
	else if (!live->write)
		err_set(e, ENOTSUP, "%s: images of the format %s cannot be written to",
			img->io->name, img->format->name);
	if (!live->write)
		return err_hint_code(e, HINT_COW, NULL);
	live->cache = img->opts->cache;
	w = writer_new(live, e);
	if (!w)
		return -e->code;
	w->detect_zeroes = img->opts->detect_zeroes;
	w->copy_on_read = img->opts->copy_on_read;
	set_writer(img, w);
	r = writeback_add(w->writeback, img->io, e);
	if (r == 0 && img->format->start_writing)
		r = img->format->start_writing(img, e);
	if (r == 0)
		return 0;
	writer_free(w); /* the driver is not ready for writer_finish */
	set_writer(img, NULL);
	if (e->code == EUCLEAN)
		err_hint(e, "\"vdisk check\" lists the damage, and \"vdisk convert\" copies what "
			    "can be read");
	return err_in(e, "%s", img->io->name);
}

int image_flush(struct image *img, struct err *e)
{
	return img->writer ? writer_flush(img->writer, e) : 0;
}

int image_finish(struct image *img, struct err *e)
{
	return img->writer ? writer_finish(img->writer, e) : 0;
}

int image_set_backing(struct image *img, const char *name, const char *format, struct err *e)
{
	int r;

	if (!img->format->set_backing)
		return err_set(e, EOPNOTSUPP,
			"images of the format %s keep the backing file that they were made with",
			img->format->name);
	r = writer_begin_exclusive(img->writer, e);
	if (r < 0)
		return r;
	r = img->format->set_backing(img, name, format, e);
	return writer_end_exclusive(img->writer, r, e);
}

int image_empty(struct image *img, struct err *e)
{
	int r;

	if (!img->format->empty)
		return err_set(e, EOPNOTSUPP, "images of the format %s cannot be emptied",
			img->format->name);
	r = writer_begin_exclusive(img->writer, e);
	return r < 0 ? r : writer_end_exclusive(img->writer, img->format->empty(img, e), e);
}

int image_check_files(const struct image *img, struct err *e)
{
	int r = 0;

	for (; img && r == 0; img = img->parent)
		for (size_t i = 0; i < img->nfiles && r == 0; i++)
			r = io_check(img->files[i], e);
	return r;
}

static void image_free(struct image *img)
{
	struct err ignored = ERR_INIT;

	image_finish(img, &ignored);
	writer_free(img->writer);
	for (size_t i = 0; i < img->nstates; i++)
		state_put(img->states[i]);
	free(img->states);
	view_free(img->missing);
	pthread_mutex_destroy(&img->states_lock);
	if (img->format && img->format->close && img->priv)
		img->format->close(img);
	io_unref(img->io);
	free(img->parent_name);
	for (size_t i = 0; i < IMAGE_OTHER_NAMES; i++)
		free(img->parent_others[i]);
	free(img->parent_format);
	for (size_t i = 0; i < img->nfiles; i++)
		io_unref(img->files[i]);
	free(img->files);
	gate_free(&img->gate);
	free(img->path);
	free(img);
}

void image_close(struct image *img)
{
	while (img) {
		struct image *parent = img->parent;

		image_free(img);
		img = parent;
	}
}

int image_add_file(struct image *img, struct io *io, struct err *e)
{
	struct io **files = array_grow(img->files, img->nfiles, sizeof files[0]);

	if (!files)
		return err_nomem(e);
	img->files = files;
	img->files[img->nfiles++] = io_ref(io);
	return 0;
}

uint64_t image_stored(const struct image *img)
{
	uint64_t stored = img->stored;

	for (size_t i = 0; i < img->nfiles; i++)
		stored += io_stored(img->files[i]) - img->files[i]->stored;
	return stored;
}

int image_lock_file(struct io *io, const struct image_options *o, bool write, struct err *e)
{
	int r;

	if (!write)
		return o->nolock ? 0 : lock_for_reading(io, o->share, e);
	r = io_make_writable(io, e);
	io->nosync = o->nosync;
	return r < 0 ? r : lock_for_writing(io, e);
}

int image_open_part(
	struct image *img, const char *name, const char *what, struct io **io, struct err *e)
{
	int r;

	if (img->guessed) {
		err_set(e, EACCES, "%s \"%s\" is named by an image whose format nobody recorded",
			what, name);
		return err_hint_code(e, HINT_PARENT_FORMAT, img->format->name);
	}
	r = gate_open(&img->gate, name, what, io, e);
	if (r < 0)
		return r;
	(*io)->cache = img->opts->cache;
	r = image_lock_file(*io, img->opts, img->writable, e);
	if (r == 0)
		r = image_add_file(img, *io, e);
	if (r < 0) {
		io_unref(*io);
		*io = NULL;
		return r;
	}
	img->stored += (*io)->stored;
	return 0;
}

void image_options_warn(
	const struct image_options *o, const struct io *io, const char *fmt, va_list ap)
{
	char text[ERR_TEXT];
	int n;

	if (!o->warn)
		return;
	n = snprintf(text, sizeof text, "%s: ", io->name);
	if (n < 0 || (size_t)n >= sizeof text)
		n = 0;
	vsnprintf(text + n, sizeof text - n, fmt, ap);
	err_clean(text);
	o->warn(o->warn_arg, text);
}

void image_warn(const struct image *img, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	image_options_warn(img->opts, img->io, fmt, ap);
	va_end(ap);
}

int image_read_parent_name(struct image *img, uint64_t pos, uint32_t len, struct err *e)
{
	static const char what[] = "backing file name";
	int r;

	if (len == 0 || len > LIMIT_NAME)
		return err_set(
			e, EINVAL, "%s: %" PRIu32 " bytes are not 1..%d", what, len, LIMIT_NAME);
	if (!range_fits(pos, len, img->io->size))
		return err_set(e, EINVAL, "%s: it passes the end of the file", what);
	img->parent_name = calloc(1, len + 1);
	if (!img->parent_name)
		return err_nomem(e);
	r = io_read(img->io, img->parent_name, len, pos, e);
	if (r == 0 && strlen(img->parent_name) != len)
		r = err_set(e, EINVAL, "%s: has a NUL in it", what);
	return r;
}

int image_add_parent_name(struct image *img, const char *windows_name, struct err *e)
{
	char *name, **slot = &img->parent_name;

	if (windows_name[0] == '\0')
		return 0;
	name = strdup(windows_name);
	if (!name)
		return err_nomem(e);
	for (char *c = strchr(name, '\\'); c; c = strchr(c, '\\'))
		*c = '/';
	for (size_t i = 0; *slot; slot = &img->parent_others[i++])
		if (strcmp(*slot, name) == 0 || i == IMAGE_OTHER_NAMES) {
			free(name);
			return 0;
		}
	*slot = name;
	return 0;
}

const char *image_dir(const struct image *img)
{
	return img->io->member ? NULL : img->gate.dir;
}

const char *image_basename(const struct image *img)
{
	const struct io *io = img->io;

	return text_basename(io->title ? io->title : io->member ? io->member : io->name);
}

char *image_layer_name(const struct image *img, unsigned layer)
{
	char *raw, *name;

	if (asprintf(&raw, "%u-%s", layer, image_basename(img)) < 0)
		return NULL;
	name = filename_escape(raw);
	free(raw);
	return name;
}

char *image_file_name(const struct image *img, const char *name, const struct io *io)
{
	const char *dir = image_dir(img);
	size_t n = dir ? strlen(dir) : 0;
	const char *slash = strrchr(name, '/');
	char *path;

	if (io == img->io)
		return strdup(name);
	if (n == 0 || strncmp(io->name, dir, n) != 0 || io->name[n] != '/')
		return strdup(io->name);
	return asprintf(&path, "%.*s%s", slash ? (int)(slash + 1 - name) : 0, name,
		       io->name + n + 1) < 0
		       ? NULL
		       : path;
}

bool image_chain_has(const struct image *img, const struct io *io)
{
	while (img && !io_is_same(img->io, io))
		img = img->parent;
	return img != NULL;
}

size_t image_depth(const struct image *img)
{
	size_t n = 0;

	for (; img; img = img->parent)
		n++;
	return n;
}

void image_lay_on(struct image *img, struct view *below)
{
	for (size_t i = 0; i < img->nstates; i++)
		img->states[i]->view->below = below;
}

struct image *image_swap_parent(struct image *img, struct image *parent)
{
	struct image *had = img->parent;

	img->parent = parent;
	image_lay_on(img, parent ? parent->states[0]->view : NULL);
	return had;
}

bool image_knows_parent(const struct image *img, const struct image *other)
{
	return memcmp(img->parent_id, other->id, GUID_LEN) == 0;
}

int image_check_parent(const struct image *img, const struct image *parent, struct err *e)
{
	char wanted[GUID_TEXT], other[GUID_TEXT];
	const unsigned char *change = img->parent_change_id;

	if (!image_knows_parent(img, parent)) {
		guid_text(wanted, img->parent_id);
		guid_text(other, parent->id);
		err_set(e, EUCLEAN, "%s: it was made on the disk %s, but %s is %s", img->io->name,
			wanted, parent->io->name, other);
		return err_hint_code(e, HINT_IGNORE_PARENT_ID, NULL);
	}
	if (guid_is_zero(change) || guid_is_zero(parent->change_id) ||
		memcmp(change, parent->change_id, GUID_LEN) == 0)
		return 0;
	err_set(e, EUCLEAN, "%s: its parent %s was changed after the image was made", img->io->name,
		parent->io->name);
	return err_hint_code(e, HINT_IGNORE_PARENT_ID, NULL);
}
