/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gate.c - the gate to the files of the host.
 *
 * A name is checked three times, and each check uses only paths that the one before has allowed.
 * The text of the name must lead below an allowed directory: no other path is passed to the kernel,
 * since even a stat can mount a network file system or wait for one.  Then the name is resolved to
 * a path without symbolic links, which opens nothing and must lie there, too.  Last the file is
 * opened from that directory one component at a time, none of which may be a link, so that a path
 * changed meanwhile is refused.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/err.h"
#include "host.h"
#include "io.h"
#include "util/limits.h"
#include "gate.h"
#include "util/shell.h"

#define SHOWN_MAX 200

struct shown_name {
	char text[SHOWN_MAX + 4];
};

/* The name as messages have it: a long one must not push out the reason. */
static struct shown_name shown(const char *name)
{
	struct shown_name s;

	snprintf(s.text, sizeof s.text, "%.*s%s", SHOWN_MAX, name,
		strlen(name) > SHOWN_MAX ? "..." : "");
	return s;
}

/* The part of path below dir, or NULL if it is not below.  Both are without links and dots. */
static const char *path_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n > 0 && dir[n - 1] == '/')
		n--; /* the root directory */
	if (strncmp(path, dir, n) != 0 || path[n] != '/' || path[n + 1] == '\0')
		return NULL;
	return path + n + 1;
}

/* Directory number i of those that names may lead into, or NULL after the last. */
static const char *allowed_directory(const struct gate *g, size_t i)
{
	const char *const *lists[] = {g->allow, g->search};

	if (i-- == 0)
		return g->root;
	for (size_t list = 0; list < 2; list++)
		for (const char *const *dir = lists[list]; dir && *dir; dir++)
			if (i-- == 0)
				return *dir;
	return NULL;
}

/* Takes ".", ".." and doubled slashes out of an absolute path, by its text alone. */
static void tidy(char *path)
{
	char *out = path;

	for (const char *slash = path; *slash;) {
		const char *part = slash + 1;
		size_t n = strcspn(part, "/");

		if (n == 2 && part[0] == '.' && part[1] == '.') {
			while (out > path && *--out != '/')
				;
		} else if (n > 1 || (n == 1 && part[0] != '.')) {
			memmove(out, slash, n + 1);
			out += n + 1;
		}
		slash = part + n;
	}
	if (out == path)
		*out++ = '/';
	*out = '\0';
}

bool gate_may_look(const struct gate *g, const char *path)
{
	char text[PATH_MAX], real[PATH_MAX];
	const char *dir;

	strcpy(text, path);
	tidy(text);
	for (size_t i = 0; (dir = allowed_directory(g, i)); i++)
		if (path_below(text, dir) || (host_realpath(dir, real) && path_below(text, real)))
			return true;
	return false;
}

#define OUTSIDE -2

/* Opens a path without links.  Returns the descriptor, -1 with errno, or OUTSIDE. */
static int open_inside(const struct gate *g, const char *path)
{
	char real[PATH_MAX];
	const char *dir;

	for (size_t i = 0; (dir = allowed_directory(g, i)); i++) {
		const char *rest = host_realpath(dir, real) ? path_below(path, real) : NULL;

		if (rest)
			return host_open_below(real, rest);
	}
	return OUTSIDE;
}

static int refuse_outside(const char *what, const char *name, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];

	err_set(e, EACCES, "%s \"%s\" lies outside the image's directory", what, shown(name).text);
	snprintf(dir, sizeof dir, "%.*s", (int)(slash > path ? slash - path : 1), path);
	return err_hint_code(e, HINT_ALLOW, shell_word(dir).text);
}

/* QEMU names disks that are no plain files by "nbd:", "json:" and the like. */
static bool looks_like_protocol(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+-");

	return n > 1 && name[n] == ':';
}

static int refuse_missing(const char *what, const char *name, int code, struct err *e)
{
	if (code == EXDEV) {
		err_set(e, EACCES, "%s \"%s\" lies in a FUSE mount, which is not entered", what,
			shown(name).text);
		return err_hint_code(e, HINT_ENTER, NULL);
	}
	err_set(e, code, "%s \"%s\": %s", what, shown(name).text, strerror(code));
	if (code == EMFILE)
		return err_hint(e, "ulimit -n is the limit of open files");
	if (looks_like_protocol(name))
		err_hint(e,
			"names in images are plain file names here: protocols are never followed");
	return -code;
}

int gate_open_on_host(
	const struct gate *g, const char *name, const char *what, struct io **io, struct err *e)
{
	char path[PATH_MAX], real[PATH_MAX];
	int n, fd;

	if (!g->dir)
		return err_set(e, EACCES, "%s \"%s\": the image is not a file with neighbours",
			what, shown(name).text);
	n = snprintf(path, sizeof path, "%s%s%s", name[0] == '/' ? "" : g->dir,
		name[0] == '/' ? "" : "/", name);
	if (n >= (int)sizeof path)
		return refuse_missing(what, name, ENAMETOOLONG, e);
	if (!gate_may_look(g, path)) {
		tidy(path);
		return refuse_outside(what, name, path, e);
	}
	if (!host_realpath(path, real))
		return refuse_missing(what, name, errno, e);
	fd = open_inside(g, real);
	if (fd == OUTSIDE)
		return refuse_outside(what, name, real, e);
	if (fd < 0)
		return refuse_missing(what, name, errno, e);
	*io = io_from_fd(fd, real, e);
	if (!*io)
		return err_in(e, "%s", what);
	if ((*io)->is_block) {
		io_unref(*io);
		*io = NULL;
		return err_set(
			e, EACCES, "%s \"%s\" is a device, not a file", what, shown(name).text);
	}
	return 0;
}

static const struct gate_ops host_ops = {.open = gate_open_on_host};

struct gate gate_on(const char *dir, const char *const *allow, const char *const *search)
{
	return (struct gate){
		.ops = &host_ops, .dir = dir, .root = dir, .allow = allow, .search = search};
}

int gate_open(
	const struct gate *g, const char *name, const char *what, struct io **io, struct err *e)
{
	if (name[0] == '\0')
		return err_set(e, EINVAL, "%s has an empty name", what);
	if (strlen(name) > LIMIT_NAME)
		return err_set(
			e, ENAMETOOLONG, "%s has a name of more than %d bytes", what, LIMIT_NAME);
	return g->ops->open(g, name, what, io, e);
}

int gate_open_parent(
	const struct gate *g, const char *name, const char *what, struct io **io, struct err *e)
{
	struct gate wide = *g;

	if (g->machine_dir)
		wide.root = g->machine_dir;
	return gate_open(&wide, name, what, io, e);
}

int gate_init(struct gate *g, const struct gate *from, const char *path, struct err *e)
{
	const char *slash = path ? strrchr(path, '/') : NULL, *root = from->root;

	*g = *from;
	g->dir = g->root = g->machine_dir = NULL;
	if (g->package)
		g->ops->hold(g->package);
	if (!path)
		return 0;
	g->dir = strndup(path, !slash ? 0 : slash > path ? slash - path : 1);
	if (!root)
		root = g->dir;
	/* A parent that was found in the machine's folder. */
	else if (from->machine_dir && !path_below(path, root) &&
		 path_below(path, from->machine_dir))
		root = from->machine_dir;
	g->root = root ? strdup(root) : NULL;
	return g->dir && g->root ? 0 : err_nomem(e);
}

void gate_free(struct gate *g)
{
	free((char *)g->dir);
	free((char *)g->root);
	free((char *)g->machine_dir);
	if (g->package)
		g->ops->release(g->package);
}
