/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* package.c - an opened archive or descriptor, and the files that the descriptor names.
 *
 * The gate of the package opens the files that the descriptor names.  The gates of its disks derive
 * from it, so that the same rules hold for names in a disk.  package-disk.c opens the disks.
 */
#include "package-impl.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/limits.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/text.h"
#include "io/gunzip.h"
#include "io/host.h"
#include "image/format.h"
#include "image/image.h"
#include "io/io.h"

#define LONG_TIME ((uint64_t)1 << 30) /* bytes that take seconds to decompress */

/* Recognition. */

bool package_is_named(const char *name)
{
	return text_ends_with(name, ".ova") || text_ends_with(name, ".ova.gz") ||
	       text_ends_with(name, ".ovf");
}

static bool is_archive(const char *name, const unsigned char *head, size_t n)
{
	return n >= TAR_PEEK && tar_probe(head) &&
	       (text_ends_with(name, ".ova") || text_ends_with(name, ".ova.gz") ||
		       tar_head_names(head, n, ".ovf"));
}

/* A descriptor in UTF-16 is known by its name alone. */
static bool is_descriptor(const char *name, const unsigned char *head, size_t n)
{
	size_t skip = 0;

	if (n >= 2 && text_ends_with(name, ".ovf") &&
		(memcmp(head, "\xff\xfe", 2) == 0 || memcmp(head, "\xfe\xff", 2) == 0))
		return true;
	if (n >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0)
		skip = 3;
	while (skip < n && memchr(" \t\r\n", head[skip], 4))
		skip++;
	if (skip == n || head[skip] != '<')
		return false;
	return text_ends_with(name, ".ovf") || memmem(head, n, "<Envelope", 9) ||
	       memmem(head, n, ":Envelope", 9);
}

/* The descriptor need not be among the first members. */
static bool holds_descriptor(struct io *io)
{
	struct err ignored = ERR_INIT;
	bool found = false;
	struct tar tar;

	if (tar_read(io, &tar, &ignored) < 0)
		return false;
	for (size_t i = 0; i < tar.n && !found; i++)
		found = text_ends_with(tar.members[i].name, ".ovf");
	tar_free(&tar);
	return found;
}

/* A compressed file can only be an archive: a descriptor names files beside it. */
static bool is_compressed_archive(struct io *io)
{
	unsigned char *head = malloc(LIMIT_PEEK);
	bool is = head && is_archive(io->name, head, gunzip_peek(io, head, LIMIT_PEEK));

	free(head);
	return is;
}

bool package_probe(struct io *io, const struct peek *peek)
{
	const unsigned char *head = peek->head;
	size_t n = MIN(PACKAGE_PEEK, peek->nhead);

	if (peek->is_block)
		return false;
	if (n >= 2 && memcmp(head, "\x1f\x8b", 2) == 0 && gunzip_probe(io))
		return is_compressed_archive(io);
	if (n >= TAR_PEEK && tar_probe(head))
		return is_archive(io->name, head, n) || holds_descriptor(io);
	return is_descriptor(io->name, head, n);
}

/* Files of the package. */

void package_warn(const struct package *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	image_options_warn(p->opts, p->io, fmt, ap);
	va_end(ap);
}

void package_warn_of_unpacking(const struct package *p, const struct io *packed, const char *name)
{
	if (packed->size >= LONG_TIME)
		package_warn(p, "\"%s\" is compressed: it is read through first", name);
}

int package_open_file(
	const struct package *p, const char *name, const char *what, struct io **io, struct err *e)
{
	int r;

	*io = NULL;
	r = gate_open(&p->gate, name, what, io, e);
	if (r == 0)
		r = image_lock_file(*io, p->opts, false, e);
	else
		err_in(e, "%s", p->io->name);
	if (r < 0) {
		io_unref(*io);
		*io = NULL;
	}
	return r;
}

static size_t directory_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash - path : 0;
}

/* A name is relative to the directory of the member that contains it. */
static int open_member(
	const struct gate *g, const char *name, const char *what, struct io **io, struct err *e)
{
	const char *dir = name[0] == '/' ? "" : g->dir;
	const struct package *p = g->package;
	const struct tar_member *m = NULL;
	char *path;
	bool inside;

	if (asprintf(&path, "%s%s%s", dir, *dir ? "/" : "", name) < 0)
		return err_nomem(e);
	inside = tar_tidy(path) == 0;
	if (inside)
		m = tar_find(&p->tar, path);
	if (!inside)
		err_set(e, EACCES, "%s \"%s\" lies outside the archive", what, path);
	else if (!m)
		err_set(e, ENOENT, "%s \"%s\" is not in the archive", what, path);
	free(path);
	if (!m)
		return -e->code;
	if (tar_again(&p->tar, m))
		package_warn(p, "several members are called \"%s\"; the first is taken", m->name);
	*io = io_slice(p->io, m->pos, m->len, m->name, e);
	return *io ? 0 : -e->code;
}

static struct package *package_ref(struct package *p)
{
	p->refs++;
	return p;
}

static const struct gate_ops archive_ops = {
	.open = open_member,
	.hold = package_ref,
	.release = package_close,
};

static const struct gate_ops folder_ops = {
	.open = gate_open_on_host,
	.hold = package_ref,
	.release = package_close,
};

/* Opening. */

/* The only member that is a descriptor; of several with one name the first counts. */
static int find_descriptor(const struct package *p, const struct tar_member **found, struct err *e)
{
	*found = NULL;
	for (size_t i = 0; i < p->tar.n; i++) {
		const struct tar_member *m = &p->tar.members[i];

		if (!text_ends_with(m->name, ".ovf"))
			continue;
		if (*found && strcmp((*found)->name, m->name) != 0)
			return err_set(e, ENOTSUP,
				"%s: it has more than one descriptor, \"%s\" and \"%s\"",
				p->io->name, (*found)->name, m->name);
		if (!*found)
			*found = m;
	}
	if (!*found)
		return err_set(
			e, EINVAL, "%s: no descriptor (.ovf) is in the archive", p->io->name);
	return 0;
}

/* The descriptor of an archive, in *io. */
static int open_archive(struct package *p, struct io **io, struct err *e)
{
	const struct tar_member *m;
	int r = tar_read(p->io, &p->tar, e);

	if (r < 0)
		return err_in(e, "%s", p->io->name);
	p->is_archive = true;
	r = find_descriptor(p, &m, e);
	if (r < 0)
		return r;
	p->dir = strndup(m->name, directory_len(m->name));
	if (!p->dir)
		return err_nomem(e);
	*io = io_slice(p->io, m->pos, m->len, m->name, e);
	return *io ? 0 : -e->code;
}

static int open_alone(struct package *p, struct io **io, struct err *e)
{
	size_t n = directory_len(p->path);

	p->dir = strndup(p->path, n > 0 ? n : 1);
	if (!p->dir)
		return err_nomem(e);
	*io = io_ref(p->io);
	return 0;
}

/* Reads NAME.mf beside NAME.ovf.  A manifest that cannot be read is no error of the disks. */
static int open_manifest(struct package *p, const struct io *descriptor, struct err *e)
{
	const char *base =
		text_basename(descriptor->member ? descriptor->member : descriptor->name);
	struct err trouble = ERR_INIT;
	struct io *io = NULL;
	char *name, *text;
	int r;

	if (!text_ends_with(base, ".ovf"))
		return 0;
	if (asprintf(&name, "%.*s.mf", (int)(strlen(base) - strlen(".ovf")), base) < 0)
		return err_nomem(e);
	r = package_open_file(p, name, "manifest", &io, &trouble);
	free(name);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = io_read_text(io, MANIFEST_MAX_BYTES, &text, &trouble);
	if (r == 0) {
		r = manifest_parse(text, &p->manifest, &trouble);
		free(text);
		p->has_manifest = r == 0;
		if (r < 0)
			err_in(&trouble, "%s", io->name);
	}
	io_unref(io);
	if (r < 0 && p->opts->warn)
		p->opts->warn(p->opts->warn_arg, trouble.text);
	return 0;
}

static int read_package(struct package *p, struct err *e)
{
	struct io *descriptor = NULL;
	unsigned char head[TAR_PEEK];
	char real[PATH_MAX];
	int r;

	if (gunzip_probe(p->io)) {
		package_warn_of_unpacking(p, p->io, p->io->name);
		p->io = gunzip_open(p->io, p->opts->cache, e);
		if (!p->io)
			return -e->code;
	}
	r = io_read_padded(p->io, head, sizeof head, 0, e);
	if (r < 0)
		return r;
	p->path = strdup(host_realpath(p->io->name, real) ? real : "/");
	if (!p->path)
		return err_nomem(e);
	r = tar_probe(head) ? open_archive(p, &descriptor, e) : open_alone(p, &descriptor, e);
	if (r == 0) {
		/* This gate does not hold the package, which would never be closed then. */
		p->gate = gate_on(p->dir, p->opts->allow, p->opts->search);
		p->gate.ops = p->is_archive ? &archive_ops : &folder_ops;
		p->gate.package = p;
		p->gate.package_path = p->path;
		r = ovf_read(descriptor, &p->ovf, e);
	}
	if (r == 0)
		r = open_manifest(p, descriptor, e);
	io_unref(descriptor);
	return r;
}

int package_open_io(
	struct io *io, const struct image_options *o, struct package **out, struct err *e)
{
	struct package *p = calloc(1, sizeof *p);
	int r;

	if (!p) {
		io_unref(io);
		return err_nomem(e);
	}
	p->refs = 1;
	p->opts = o;
	p->io = io;
	r = read_package(p, e);
	if (r < 0) {
		package_close(p);
		return r;
	}
	*out = p;
	return 0;
}

int package_open_in(const char *root, const char *path, const struct image_options *o,
	struct package **p, struct err *e)
{
	struct gate gate = gate_on(root, o->allow, o->search);
	struct io *io;
	int r = gate_open(&gate, path, "package", &io, e);

	if (r < 0)
		return r;
	r = image_lock_file(io, o, false, e);
	if (r < 0) {
		io_unref(io);
		return r;
	}
	return package_open_io(io, o, p, e);
}

void package_close(struct package *p)
{
	if (!p || --p->refs > 0)
		return;
	ovf_free(&p->ovf);
	tar_free(&p->tar);
	manifest_free(&p->manifest);
	io_unref(p->io);
	free(p->dir);
	free(p->path);
	free(p);
}

size_t package_count(const struct package *p)
{
	return p->ovf.ndisks;
}

const char *package_disk_name(const struct package *p, size_t disk)
{
	const struct ovf_file *file = p->ovf.disks[disk].file;

	return file->path ? file->path : file->href;
}

/* The manifest. */

/* The name of an open file in the package, or NULL when it lies elsewhere. */
static const char *name_in_package(const struct package *p, const struct io *io)
{
	const char *name = p->is_archive ? io->member : io->name;
	size_t n = strlen(p->dir);

	if (!name || n == 0)
		return name;
	if (strcmp(p->dir, "/") == 0)
		n = 0;
	return strncmp(name, p->dir, n) == 0 && name[n] == '/' ? name + n + 1 : NULL;
}

static int verify_image(const struct image *img, struct err *e)
{
	struct package *p = img->gate.package;
	int r = 0;

	for (size_t i = 0; r == 0 && i < img->nfiles; i++) {
		const char *name = name_in_package(p, img->files[i]);

		if (name)
			r = manifest_check(&p->manifest, name, img->files[i], e);
		else
			r = err_set(
				e, ENOENT, "%s: it is no part of the package", img->files[i]->name);
	}
	return r;
}

int package_verify(const struct image *img, char **verdict, struct err *e)
{
	const struct package *p = img->gate.package;
	int r = 0;

	*verdict = NULL;
	if (!p || !p->has_manifest)
		return 0;
	for (; r == 0 && img; img = img->parent)
		r = verify_image(img, e);
	if (r != 0 && r != -EUCLEAN && r != -ENOENT)
		return r;
	if (r == 0)
		*verdict = strdup("ok");
	else if (asprintf(verdict, "wrong: %s", e->text) < 0)
		*verdict = NULL;
	return *verdict ? 0 : err_nomem(e);
}
