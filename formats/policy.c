/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* policy.c - from a name in an image to an open file, or a refusal.
 *
 * A name is first resolved to a path without symbolic links, which opens nothing.  That path must
 * lie below one of the allowed directories; it is then opened from that directory with the kernel
 * told to follow no link and not to leave, so that a path changed meanwhile is refused instead of
 * followed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "err.h"
#include "image.h"
#include "io.h"
#include "bounds.h"
#include "policy.h"

#define SHOWN_MAX 200

struct shown {
	char text[SHOWN_MAX + 4];
};

/* The name as messages have it: a long one must not push out the reason. */
static struct shown shown(const char *name)
{
	struct shown s;

	snprintf(s.text, sizeof s.text, "%.*s%s", SHOWN_MAX, name,
		strlen(name) > SHOWN_MAX ? "..." : "");
	return s;
}

/* The part of path below dir, or NULL when it is not below.  Both are without links and dots. */
static const char *path_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n > 0 && dir[n - 1] == '/')
		n--; /* the root directory */
	if (strncmp(path, dir, n) != 0 || path[n] != '/' || path[n + 1] == '\0')
		return NULL;
	return path + n + 1;
}

static int open_beneath(const char *dir, const char *rest)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = -1, saved;

	if (dirfd < 0)
		return -1;
	fd = syscall(SYS_openat2, dirfd, rest, &how, sizeof how);
	saved = errno;
	close(dirfd);
	errno = saved;
	return fd;
}

/* Opens real if it lies below dir: the descriptor, -1 with errno, or -2 when it lies elsewhere. */
static int try_directory(const char *real, const char *dir)
{
	char resolved[PATH_MAX];
	const char *rest;

	if (!realpath(dir, resolved))
		return -2;
	rest = path_below(real, resolved);
	return rest ? open_beneath(resolved, rest) : -2;
}

static int try_directories(const char *real, const char *const *dirs)
{
	int fd = -2;

	for (; dirs && *dirs && fd == -2; dirs++)
		fd = try_directory(real, *dirs);
	return fd;
}

static int open_allowed(const struct image *img, const char *real)
{
	int fd = img->root ? try_directory(real, img->root) : -2;

	if (fd == -2)
		fd = try_directories(real, img->opts->allow);
	if (fd == -2)
		fd = try_directories(real, img->opts->search);
	return fd;
}

static int refuse_outside(const char *what, const char *name, const char *real, struct err *e)
{
	const char *slash = strrchr(real, '/');

	err_set(e, EACCES, "%s \"%s\" lies outside the image's directory", what, shown(name).text);
	return err_hint(e, "-o allow=%.*s lets it be opened, if you trust the image",
		(int)(slash > real ? slash - real : 1), real);
}

/* "nbd:", "json:" and their like are QEMU's way to name what is not a plain file. */
static bool looks_like_protocol(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+-");

	return n > 1 && name[n] == ':';
}

static int refuse_missing(const char *what, const char *name, int code, struct err *e)
{
	err_set(e, code, "%s \"%s\": %s", what, shown(name).text, strerror(code));
	if (looks_like_protocol(name))
		err_hint(e,
			"names in images are plain file names here: protocols are never followed");
	return -code;
}

static int check_name(const char *name, const char *what, struct err *e)
{
	if (name[0] == '\0')
		return err_set(e, EINVAL, "%s has an empty name", what);
	if (strlen(name) > LIMIT_NAME)
		return err_set(
			e, ENAMETOOLONG, "%s has a name of more than %d bytes", what, LIMIT_NAME);
	return 0;
}

int policy_open(
	const struct image *img, const char *name, const char *what, struct io **io, struct err *e)
{
	char path[PATH_MAX], real[PATH_MAX];
	int n, fd, r = check_name(name, what, e);

	if (r < 0)
		return r;
	if (!img->dir)
		return err_set(e, EACCES, "%s \"%s\": the image is not a file with neighbours",
			what, shown(name).text);
	n = snprintf(path, sizeof path, "%s%s%s", name[0] == '/' ? "" : img->dir,
		name[0] == '/' ? "" : "/", name);
	if (n >= (int)sizeof path)
		return refuse_missing(what, name, ENAMETOOLONG, e);
	if (!realpath(path, real))
		return refuse_missing(what, name, errno, e);
	fd = open_allowed(img, real);
	if (fd == -2)
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
