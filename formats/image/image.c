/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image.c - one image: its file, its lock, its format, its states.  The chain is open/chain.c's. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "open/chain.h"
#include "util/err.h"
#include "format.h"
#include "io/host.h"
#include "image.h"
#include "io/io.h"
#include "util/limits.h"
#include "io/lock.h"
#include "open/package.h"
#include "io/gate.h"
#include "open/probe.h"
#include "util/shell.h"
#include "view/view.h"
#include "io/writeback.h"
#include "view/writer.h"

/* Names in a member mean members, which the package finds. */
static int find_place_in_archive(struct image *img, struct err *e)
{
	const char *archive = package_path(img->package), *member = img->io->member;

	return asprintf(&img->path, "%s:%s", archive, member) < 0 ? err_nomem(e) : 0;
}

/* Names in an image mean its neighbours, also when the image was reached through a link. */
static int find_place(struct image *img, struct err *e)
{
	char real[PATH_MAX], *slash;

	if (img->io->member)
		return find_place_in_archive(img, e);
	if (!img->io->ino || !host_realpath(img->io->name, real))
		return 0;
	img->path = strdup(real);
	slash = strrchr(real, '/');
	slash[slash == real] = '\0';
	img->dir = strdup(real);
	return img->path && img->dir ? 0 : err_nomem(e);
}

static int hint_at_cow(struct err *e)
{
	return err_hint_code(e, HINT_COW, NULL);
}

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

static int start_writing(struct image *img, struct err *e)
{
	int r = writeback_add(img->writer->writeback, img->io, e);

	if (r == 0 && img->format->start_writing)
		r = img->format->start_writing(img, e);
	if (r < 0) { /* the driver is not ready for what ends writing */
		writer_free(img->writer);
		set_writer(img, NULL);
	}
	if (r < 0 && e->code == EUCLEAN)
		err_hint(e, "\"vdisk check\" lists the damage, and \"vdisk convert\" copies what "
			    "can be "
			    "read");
	return r < 0 ? err_in(e, "%s", img->io->name) : 0;
}

/* Now that the driver has made the views. */
static int become_writable(struct image *img, struct err *e)
{
	struct view *live = img->states[0]->view;
	struct writer *w;

	if (!live->write && img->no_writing)
		err_set(e, ENOTSUP, "%s: it cannot be written to: %s", img->io->name,
			img->no_writing);
	else if (!live->write)
		err_set(e, ENOTSUP, "%s: images of the format %s cannot be written to",
			img->io->name, img->format->name);
	if (!live->write)
		return hint_at_cow(e);
	live->cache = img->opts->cache;
	w = writer_new(live, e);
	if (!w)
		return -e->code;
	w->detect_zeroes = img->opts->detect_zeroes;
	set_writer(img, w);
	return start_writing(img, e);
}

int image_flush(struct image *img, struct err *e)
{
	return img->writer ? writer_flush(img->writer, e) : 0;
}

int image_finish(struct image *img, struct err *e)
{
	return img->writer ? writer_finish(img->writer, e) : 0;
}

int image_check_files(const struct image *img, struct err *e)
{
	int r = 0;

	for (; img && r == 0; img = img->parent)
		for (size_t i = 0; i < img->nfiles && r == 0; i++)
			r = io_check(img->files[i], e);
	return r;
}

static void free_states(struct image *img)
{
	for (size_t i = 0; i < img->nstates; i++)
		state_put(img->states[i]);
	free(img->states);
	view_free(img->missing);
	pthread_mutex_destroy(&img->states_lock);
}

static void image_free(struct image *img)
{
	struct err ignored = ERR_INIT;

	image_finish(img, &ignored);
	writer_free(img->writer);
	free_states(img);
	if (img->format && img->format->close && img->priv)
		img->format->close(img);
	io_unref(img->io);
	free(img->parent_name);
	for (size_t i = 0; i < IMAGE_OTHER_NAMES; i++)
		free(img->parent_others[i]);
	free(img->parent_format);
	free(img->machine_dir);
	for (size_t i = 0; i < img->nfiles; i++)
		io_unref(img->files[i]);
	free(img->files);
	package_close(img->package);
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
	if (img->states[0]->view->size > LIMIT_DISK_SIZE)
		return err_set(e, EFBIG, "%s: a disk of more than 2^63 bytes", img->io->name);
	img->states[0]->when = img->io->mtime;
	return 0;
}

/* The format that was named may be the wrong one: of the image that the user named it is the user
 * who can tell better, of a backing file its child. */
static void hint_at_format(const struct image *img, const struct opening *how, struct err *e)
{
	const char *looks = probe_other(img->io, img->format, e);
	const struct image *child = how->child;

	if (looks && !child)
		err_hint_code(e, HINT_FORMAT, looks);
	else if (looks && child->parent_name && child->format->set_backing)
		err_hint(e, "it looks like %s; if it is, record it: vdisk rebase -u -b %s -F %s %s",
			looks, shell_word(child->parent_name).text, looks,
			shell_word(child->io->name).text);
}

/* Room grows by doubling: it is full when the count is a power of two. */
static int add_file(struct image *img, struct io *io, struct err *e)
{
	size_t n = img->nfiles;
	struct io **files = img->files;

	if (n == 0 || is_power_of_2(n))
		files = realloc(files, (n ? 2 * n : 1) * sizeof files[0]);
	if (!files)
		return err_nomem(e);
	img->files = files;
	img->files[img->nfiles++] = io_ref(io);
	return 0;
}

/* Whoever names an image passes on where it may lead, and the package that both are in. */
static int take_after(struct image *img, const struct opening *how, struct err *e)
{
	struct io *const *files = how->files ? how->files : &img->io;
	size_t n = how->files ? how->nfiles : 1;
	int r = 0;

	if (how->child && how->child->package)
		img->package = package_ref(how->child->package);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_file(img, files[i], e);
	if (r == 0)
		r = find_place(img, e);
	img->writable = (img->opts->write || img->opts->repair) && !how->child;
	img->root = how->child ? gate_root(how->child, img->path) : img->dir;
	img->guessed = how->guessed;
	return r;
}

int image_from_io(struct io *io, const struct image_options *o, const struct opening *how,
	struct image **out, struct err *e)
{
	struct image *img = calloc(1, sizeof *img);
	int r;

	if (!img) {
		io_unref(io);
		return err_nomem(e);
	}
	pthread_mutex_init(&img->states_lock, NULL);
	img->opts = o;
	img->io = io;
	img->stored = io->stored;
	io->cache = o->cache;
	r = take_after(img, how, e);
	if (r == 0)
		img->format = how->format ? probe_named(how->format, io, e)
					  : probe_file(io, how->is_disk || o->any_is_raw, e);
	r = img->format ? open_format(img, e) : -e->code;
	if (r < 0 && how->format && img->format)
		hint_at_format(img, how, e);
	if (r < 0) {
		image_free(img);
		return r;
	}
	*out = img;
	return 0;
}

int image_open_as(struct io *io, const struct image_options *o, const struct opening *how,
	struct image **out, struct err *e)
{
	struct image *img;
	int r = image_from_io(io, o, how, &img, e);

	if (r < 0)
		return r;
	r = chain_open(img, e);
	if (r == 0 && img->writable && o->write)
		r = become_writable(img, e);
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

int image_open_io(struct io *io, const struct image_options *o, struct image **out, struct err *e)
{
	struct opening how = {.format = o->format};

	return image_open_as(io, o, &how, out, e);
}

/* A file that was opened becomes writable before it is locked: the descriptor is another one then.
 */
static int open_up(struct io *io, const struct image_options *o, bool write, struct err *e)
{
	int r;

	if (!write)
		return o->nolock ? 0 : lock_for_reading(io, o->share, e);
	r = io_make_writable(io, e);
	io->nosync = o->nosync;
	return r < 0 ? r : lock_for_writing(io, e);
}

/* The bytes of a package are shown when the user says raw; another format is that of its disk. */
static bool is_package(struct io *io, const struct image_options *o)
{
	if (o->format && format_find(o->format) == format_find("raw"))
		return false;
	return package_probe(io);
}

/* Takes io, also on failure. */
static int open_top(struct io *io, const struct image_options *o, struct image **out, struct err *e)
{
	int r = open_up(io, o, o->write || o->repair, e);

	if (r < 0) {
		io_unref(io);
		return r;
	}
	if (!is_package(io, o))
		return image_open_io(io, o, out, e);
	if (!o->write && !o->repair)
		return package_open_only_disk(io, o, out, e);
	err_set(e, ENOTSUP, "%s: a package cannot be written to", io->name);
	io_unref(io);
	return hint_at_cow(e);
}

/* The file to open for path, which may be that of a bundle; file has PATH_MAX bytes. */
static const char *file_at(const char *path, const struct image_options *o, char *file)
{
	const struct format *bundle = format_bundle(path, file, PATH_MAX);

	return bundle && (!o->format || format_find(o->format) == bundle) ? file : path;
}

int image_open(const char *path, const struct image_options *o, struct image **out, struct err *e)
{
	char file[PATH_MAX];
	struct io *io = io_open(file_at(path, o, file), e);

	return io ? open_top(io, o, out, e) : -e->code;
}

int image_open_in(const char *fence, const char *path, const struct image_options *o,
	struct image **out, struct err *e)
{
	char file[PATH_MAX];
	struct io *io;
	int r = gate_open_in(fence, o, file_at(path, o, file), "image", &io, e);

	return r == 0 ? open_top(io, o, out, e) : r;
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
	r = gate_open(img, name, what, io, e);
	if (r < 0)
		return r;
	(*io)->cache = img->opts->cache;
	r = open_up(*io, img->opts, img->writable, e);
	if (r == 0)
		r = add_file(img, *io, e);
	if (r < 0) {
		io_unref(*io);
		*io = NULL;
		return r;
	}
	img->stored += (*io)->stored;
	return 0;
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

const char *image_basename(const struct image *img)
{
	const char *name = img->io->member ? img->io->member : img->io->name;
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
}

char *image_file_name(const struct image *img, const char *name, const struct io *io)
{
	size_t n = img->dir ? strlen(img->dir) : 0;
	const char *slash = strrchr(name, '/');
	char *path;

	if (io == img->io)
		return strdup(name);
	if (n == 0 || strncmp(io->name, img->dir, n) != 0 || io->name[n] != '/')
		return strdup(io->name);
	return asprintf(&path, "%.*s%s", slash ? (int)(slash + 1 - name) : 0, name,
		       io->name + n + 1) < 0
		       ? NULL
		       : path;
}

size_t image_depth(const struct image *img)
{
	size_t n = 0;

	for (; img; img = img->parent)
		n++;
	return n;
}
