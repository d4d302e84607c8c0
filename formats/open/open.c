/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* open.c - from a path of the user to an image, or to the disk of a package. */
#include "open.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain.h"
#include "image/format.h"
#include "registry.h"
#include "image/image.h"
#include "named.h"
#include "io/io.h"
#include "opening.h"
#include "package-disk.h"
#include "package.h"
#include "probe.h"
#include "util/blockdev.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "util/protocol.h"

bool image_is_bundle(const char *dir)
{
	char path[PATH_MAX];

	return registry_find_bundle(dir, path) != NULL;
}

int image_open_io(struct io *io, const struct image_options *o, struct image **out, struct err *e)
{
	struct opening how = {.format = o->format};

	return chain_open(&how, io, o, out, e);
}

/* Takes io, also on failure.  With the format raw the bytes of a package are shown; another format
 * is that of its disk. */
static int open_top(struct io *io, const struct image_options *o, struct image **out, struct err *e)
{
	struct opening how = {.format = o->format};
	struct err ignored = ERR_INIT;
	struct peek *peek = NULL;
	bool is_package;
	int r = image_lock_file(io, o, o->write || o->repair, e);

	if (r < 0) {
		io_unref(io);
		return r;
	}
	if (!o->format || registry_find(o->format) != registry_find("raw"))
		peek = probe_read(io, io->name, o->format ? PACKAGE_PEEK : LIMIT_PEEK, &ignored);
	is_package = peek && package_probe(io, peek);
	if (is_package && !o->write && !o->repair) {
		r = package_disk_open_chosen(io, o, out, e);
	} else if (is_package) {
		err_set(e, ENOTSUP, "%s: a package cannot be written to", io->name);
		io_unref(io);
		r = err_hint_code(e, HINT_COW, NULL);
	} else if (o->disk) {
		r = err_set(e, EINVAL, "%s: it is one disk, and not a package with a disk \"%s\"",
			io->name, o->disk);
		io_unref(io);
	} else {
		how.peek = peek;
		r = chain_open(&how, io, o, out, e);
	}
	free(peek);
	return r;
}

/* The file to open for path, which may be that of a bundle. */
static const char *file_at(const char *path, const struct image_options *o, char file[PATH_MAX])
{
	const struct format *bundle = protocol_is_in(path) || named_is_server(path, o)
					      ? NULL
					      : registry_find_bundle(path, file);

	return bundle && (!o->format || registry_find(o->format) == bundle) ? file : path;
}

int image_open(const char *path, const struct image_options *o, struct image **out, struct err *e)
{
	char file[PATH_MAX];
	struct io *io = named_open(file_at(path, o, file), o, e), *range;

	if (io && o->range_size > 0) {
		range = io_slice(io, o->range_start,
			MIN(o->range_size, io->size - MIN(io->size, o->range_start)), "range", e);
		io_unref(io);
		io = range;
	}
	return io ? open_top(io, o, out, e) : -e->code;
}

int image_open_in(const char *root, const char *path, const struct image_options *o,
	struct image **out, struct err *e)
{
	char file[PATH_MAX];
	struct gate gate = gate_on(root, o->allow, o->search);
	struct io *io;
	int r = gate_open(&gate, file_at(path, o, file), "image", &io, e);

	return r == 0 ? open_top(io, o, out, e) : r;
}

/* A relative name starts at the directory of the image. */
static char *path_of(const char *path, const char *name, const struct image_options *o)
{
	const char *slash = strrchr(path, '/');
	char *joined;

	if (name[0] == '/' || !slash || protocol_is_in(name) || named_is_server(name, o))
		return strdup(name);
	return asprintf(&joined, "%.*s%s", (int)(slash + 1 - path), path, name) < 0 ? NULL : joined;
}

int image_open_backing(const char *path, const char *name, const struct image_options *o,
	struct image **img, struct err *e)
{
	struct blockdev b = {.file = NULL};
	char *file;
	int r = blockdev_is(name) ? blockdev_parse(&b, name, e) : 0;

	if (r == 0 && b.file && !blockdev_is_plain(&b))
		r = err_set(e, ENOTSUP, "%s: as a backing file it must be a whole file", name);
	if (r == 0) {
		file = path_of(path, b.file ? b.file : name, o);
		r = file ? image_open(file, o, img, e) : err_nomem(e);
		free(file);
	}
	blockdev_free(&b);
	return r;
}
