/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image.c - one image: its file, its lock, its format, its states.  The chain is chain.c's. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "chain.h"
#include "err.h"
#include "format.h"
#include "image.h"
#include "io.h"
#include "bounds.h"
#include "lock.h"
#include "policy.h"
#include "view.h"

/* Names in an image mean its neighbours, also when the image was reached through a link. */
static int find_place(struct image *img, struct err *e)
{
	char real[PATH_MAX], *slash;

	if (!img->io->ino || !realpath(img->io->name, real))
		return 0;
	img->path = strdup(real);
	slash = strrchr(real, '/');
	slash[slash == real] = '\0';
	img->dir = strdup(real);
	return img->path && img->dir ? 0 : err_nomem(e);
}

/* What nobody bids for is raw when it is a parent: its child says that it is a disk. */
static const struct format *choose_format(const struct peek *p, bool is_parent, struct err *e)
{
	const struct format *f = format_probe(p);
	const char *foreign = f ? NULL : format_foreign(p);

	if (f)
		return f;
	if (foreign)
		err_set(e, ENOTSUP, "%s: %s, which is not supported", p->name, foreign);
	else if (is_parent)
		return format_find("raw");
	else if (p->size == 0)
		err_set(e, EINVAL, "%s: the file is empty", p->name);
	else
		err_set(e, EINVAL, "%s: not a disk image of a known format", p->name);
	if (!is_parent)
		err_hint(e, "-o format=raw shows the bytes of any file as a disk");
	return NULL;
}

static const struct format *guess_format(struct io *io, bool is_parent, struct err *e)
{
	unsigned char tail[PEEK_TAIL], *head = malloc(LIMIT_PEEK);
	struct peek peek = {
		.head = head,
		.tail = tail,
		.nhead = MIN(LIMIT_PEEK, io->size),
		.ntail = MIN(PEEK_TAIL, io->size),
		.size = io->size,
		.name = io->name,
		.is_block = io->is_block,
	};
	const struct format *f = NULL;

	if (!head)
		err_nomem(e);
	else if (io_read(io, head, peek.nhead, 0, e) == 0 &&
		 io_read(io, tail, peek.ntail, io->size - peek.ntail, e) == 0)
		f = choose_format(&peek, is_parent, e);
	free(head);
	return f;
}

static const struct format *named_format(const char *name, const struct io *io, struct err *e)
{
	const struct format *f = format_find(name);

	if (!f) {
		err_set(e, ENOTSUP, "%s: format \"%s\" is not known", io->name, name);
		err_hint(e, "vdiskfs --list-formats shows those that are");
	}
	return f;
}

static void free_states(struct image *img)
{
	for (size_t i = 0; i < img->nstates; i++) {
		struct state *s = &img->states[i];

		view_free(s->view);
		view_free(s->vmstate);
		free(s->id);
		free(s->name);
	}
	free(img->states);
	view_free(img->missing);
}

static void image_free(struct image *img)
{
	free_states(img);
	if (img->format && img->format->close && img->priv)
		img->format->close(img);
	io_unref(img->io);
	free(img->parent_name);
	for (size_t i = 0; i < IMAGE_OTHER_NAMES; i++)
		free(img->parent_others[i]);
	free(img->parent_format);
	free(img->machine_dir);
	free(img->path);
	free(img->dir);
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

/* The driver's part; what it leaves behind when it fails goes with the image. */
static int open_format(struct image *img, struct err *e)
{
	int r = img->format->open(img, e);

	if (r < 0) {
		img->priv = NULL;
		return err_in(e, "%s", img->io->name);
	}
	if (img->states[0].view->size > LIMIT_DISK_SIZE)
		return err_set(e, EFBIG, "%s: a disk of more than 2^63 bytes", img->io->name);
	img->states[0].when = img->io->mtime;
	return 0;
}

int image_from_io(struct io *io, const struct image_options *o, const char *format,
	const struct image *child, struct image **out, struct err *e)
{
	struct image *img = calloc(1, sizeof *img);
	int r = 0;

	if (!img) {
		io_unref(io);
		return err_nomem(e);
	}
	img->opts = o;
	img->io = io;
	io->cache = o->cache;
	r = find_place(img, e);
	img->root = child ? policy_root(child, img->path) : img->dir;
	img->guessed = child && !format && !child->format->records_raw_parent;
	if (r == 0)
		img->format =
			format ? named_format(format, io, e) : guess_format(io, child != NULL, e);
	r = img->format ? open_format(img, e) : -e->code;
	if (r < 0) {
		image_free(img);
		return r;
	}
	*out = img;
	return 0;
}

int image_open_io(struct io *io, const struct image_options *o, struct image **out, struct err *e)
{
	struct image *img;
	int r = image_from_io(io, o, o->format, NULL, &img, e);

	if (r < 0)
		return r;
	r = chain_open(img, e);
	if (r < 0) {
		image_close(img);
		return r;
	}
	*out = img;
	return 0;
}

bool image_is_bundle(const char *dir)
{
	char path[PATH_MAX];

	return format_bundle(dir, path, sizeof path) != NULL;
}

int image_open(const char *path, const struct image_options *o, struct image **out, struct err *e)
{
	char file[PATH_MAX];
	const struct format *bundle = format_bundle(path, file, sizeof file);
	struct io *io;
	int r;

	if (bundle && (!o->format || format_find(o->format) == bundle))
		path = file;
	io = io_open(path, e);
	if (!io)
		return -e->code;
	r = lock_for_reading(io, o->share, e);
	if (r < 0) {
		io_unref(io);
		return r;
	}
	return image_open_io(io, o, out, e);
}

int image_open_part(
	struct image *img, const char *name, const char *what, struct io **io, struct err *e)
{
	int r;

	if (img->guessed)
		return err_set(e, EACCES,
			"%s \"%s\" is named by an image whose format nobody recorded", what, name);
	r = policy_open(img, name, what, io, e);
	if (r < 0)
		return r;
	(*io)->cache = img->opts->cache;
	r = img->opts->nolock ? 0 : lock_for_reading(*io, img->opts->share, e);
	if (r < 0) {
		io_unref(*io);
		*io = NULL;
	}
	return r;
}

void image_warn(const struct image *img, const char *fmt, ...)
{
	char text[ERR_TEXT];
	va_list ap;
	int n;

	if (!img->opts->warn)
		return;
	n = snprintf(text, sizeof text, "%s: ", img->io->name);
	if (n < 0 || (size_t)n >= sizeof text)
		n = 0;
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof text - n, fmt, ap);
	va_end(ap);
	err_clean(text);
	img->opts->warn(text);
}

int image_read_parent_name(struct image *img, uint64_t pos, uint32_t len, struct err *e)
{
	static const char what[] = "backing file name";
	int r;

	if (len == 0 || len > LIMIT_NAME)
		return err_set(
			e, EINVAL, "%s: %" PRIu32 " bytes are not 1..%d", what, len, LIMIT_NAME);
	if (!range_fits(pos, len, img->io->size))
		return err_set(e, EINVAL, "%s: passes the end of the file", what);
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
	char *name, **room = &img->parent_name;

	if (windows_name[0] == '\0')
		return 0;
	name = strdup(windows_name);
	if (!name)
		return err_nomem(e);
	for (char *c = strchr(name, '\\'); c; c = strchr(c, '\\'))
		*c = '/';
	for (size_t i = 0; *room; room = &img->parent_others[i++])
		if (strcmp(*room, name) == 0 || i == IMAGE_OTHER_NAMES) {
			free(name);
			return 0;
		}
	*room = name;
	return 0;
}

struct state *image_add_state(
	struct image *img, const char *id, const char *name, struct view *view, struct err *e)
{
	struct state *s = img->states;
	struct state new = {.id = id ? strdup(id) : NULL, .name = name ? strdup(name) : NULL};

	/* Room grows by doubling: it is full when the count is a power of two. */
	if (img->nstates == 0 || is_power_of_2(img->nstates))
		s = realloc(s, (img->nstates ? img->nstates * 2 : 1) * sizeof *s);
	if (s)
		img->states = s;
	if (!s || (id && !new.id) || (name && !new.name)) {
		free(new.id);
		free(new.name);
		err_nomem(e);
		return NULL;
	}
	new.view = view;
	img->states[img->nstates] = new;
	return &img->states[img->nstates++];
}

const char *image_basename(const struct image *img)
{
	const char *slash = strrchr(img->io->name, '/');

	return slash ? slash + 1 : img->io->name;
}

size_t image_depth(const struct image *img)
{
	size_t n = 0;

	for (; img; img = img->parent)
		n++;
	return n;
}

static bool equal(const char *a, const char *b)
{
	return a && strcmp(a, b) == 0;
}

struct state *image_find_state(const struct image *img, const char *name)
{
	for (size_t i = 1; i < img->nstates; i++)
		if (equal(img->states[i].name, name))
			return &img->states[i];
	for (size_t i = 1; i < img->nstates; i++)
		if (equal(img->states[i].id, name))
			return &img->states[i];
	return NULL;
}
