/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* host.c - see host.h.
 *
 * Every component is opened with O_PATH and O_NOFOLLOW, and its device number asked for with
 * AT_STATX_DONT_SYNC: neither sends a request to who serves a FUSE mount.  What is reached so stays
 * what it is, whatever is mounted, renamed or linked meanwhile.  No call newer than Linux 4.11 is
 * needed: openat2(2), which knows a part of this, is missing in containers and emulators.
 */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "host-impl.h"

#define LINKS_MAX 40 /* as in the kernel */

/* The walk. */

struct walk {
	int fd;       /* O_PATH: what was reached, of the path real, which has no links in it */
	bool is_kept; /* fd is */
	struct about is;
	char real[PATH_MAX];
	char rest[PATH_MAX]; /* still to go */
	unsigned links;      /* followed so far */
};

static void walk_end(struct walk *w)
{
	if (w->fd >= 0 && !w->is_kept)
		host_close(w->fd);
	w->fd = -1;
}

static void walk_init(struct walk *w)
{
	w->fd = -1;
	w->is_kept = false;
	w->links = 0;
	w->real[0] = w->rest[0] = '\0';
}

static void walk_to_kept(struct walk *w, const struct kept *k)
{
	walk_end(w);
	w->fd = k->fd;
	w->is_kept = true;
	w->is = (struct about){k->dev, S_IFDIR};
}

/* Goes to the start of path. */
static int walk_start(struct walk *w, const char *path)
{
	const struct kept *k = host_kept_above(path, &path);

	strcpy(w->rest, path);
	strcpy(w->real, k && k->path[1] ? k->path : "");
	if (k) {
		walk_to_kept(w, k);
		return 0;
	}
	walk_end(w);
	w->is_kept = false;
	w->fd = host_open_at(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
	return w->fd < 0 ? -1 : host_look_at(w->fd, &w->is);
}

static int walk_begin(struct walk *w, const char *path)
{
	walk_init(w);
	if (path[0] != '/' || strlen(path) >= PATH_MAX) {
		errno = path[0] != '/' ? EINVAL : ENAMETOOLONG;
		return -1;
	}
	return walk_start(w, path);
}

/* A path that begins with front and goes on with the rest. */
static int walk_again(struct walk *w, const char *front)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof path, "%s/%s", front, w->rest);

	if (n >= (int)sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return walk_start(w, path);
}

/* Takes the last component off the real path. */
static void cut_component(struct walk *w)
{
	char *slash = strrchr(w->real, '/');

	if (slash)
		*slash = '\0';
}

/* The directory above is looked up anew: by "..", one would leave what was kept. */
static int walk_up(struct walk *w)
{
	char above[PATH_MAX];

	cut_component(w);
	strcpy(above, w->real);
	return walk_again(w, above);
}

/* link is not ours to keep: an O_PATH descriptor of a symbolic link. */
static int walk_link(struct walk *w, int link)
{
	char target[PATH_MAX], front[PATH_MAX];
	ssize_t n = readlinkat(link, "", target, sizeof target - 1);

	if (n < 0 || ++w->links > LINKS_MAX) {
		errno = n < 0 ? errno : ELOOP;
		return -1;
	}
	target[n] = '\0';
	if (target[0] == '/')
		return walk_again(w, target);
	if (snprintf(front, sizeof front, "%s%s%s", target, w->rest[0] ? "/" : "", w->rest) >=
		(int)sizeof front) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(w->rest, front);
	return 0;
}

/* Opens an entry of what was reached, if it may be entered. */
static int open_component(const struct walk *w, const char *name, struct about *is)
{
	int fd = host_open_at(w->fd, name, O_PATH | O_NOFOLLOW, 0);

	if (fd < 0)
		return -1;
	if (host_look_at(fd, is) == 0) {
		if (!host_is_fenced() || is->dev == w->is.dev || host_may_enter(is->dev))
			return fd;
		errno = EXDEV;
	}
	host_close(fd);
	return -1;
}

/* Takes the next component off the rest; false after the last. */
static bool next_component(struct walk *w, char *name)
{
	char *part = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(part, "/");

	memcpy(name, part, n);
	name[n] = '\0';
	part += n + strspn(part + n, "/");
	memmove(w->rest, part, strlen(part) + 1);
	return n > 0;
}

/* Adds a component to the real path. */
static int add_component(struct walk *w, const char *name)
{
	size_t used = strlen(w->real), room = sizeof w->real - used;

	if (snprintf(w->real + used, room, "/%s", name) < (int)room)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

static int walk_into(struct walk *w, const char *name, bool follow)
{
	const struct kept *k;
	struct about is;
	int fd, r;

	if (add_component(w, name) < 0)
		return -1;
	k = host_is_fenced() ? host_find_kept(w->real) : NULL;
	if (k) {
		walk_to_kept(w, k);
		return 0;
	}
	fd = open_component(w, name, &is);
	if (fd < 0)
		return -1;
	if (S_ISLNK(is.type) && (follow || w->rest[0])) {
		cut_component(w);
		r = walk_link(w, fd);
		host_close(fd);
		return r;
	}
	walk_end(w);
	w->fd = fd;
	w->is_kept = false;
	w->is = is;
	return 0;
}

/* Goes to the end of the path.  A link there is followed, or what was reached. */
static int walk_all(struct walk *w, bool follow)
{
	char name[PATH_MAX];
	int r = 0;

	while (r == 0 && next_component(w, name)) {
		if (strcmp(name, "..") == 0)
			r = walk_up(w);
		else if (strcmp(name, ".") != 0)
			r = walk_into(w, name, follow);
	}
	return r;
}

/* Goes to path; the descriptor is w's. */
static int walk_to(struct walk *w, const char *path, bool follow)
{
	int r = walk_begin(w, path);

	return r < 0 ? r : walk_all(w, follow);
}

/* Goes to the directory that path is in; *last is the name in it. */
static int walk_above(struct walk *w, const char *path, const char **last)
{
	char above[PATH_MAX];
	const char *slash = strrchr(path, '/');

	walk_init(w);
	if (!slash || !slash[1] || strlen(path) >= PATH_MAX) {
		errno = !slash ? EINVAL : !slash[1] ? EISDIR : ENAMETOOLONG;
		return -1;
	}
	*last = slash + 1;
	snprintf(above, sizeof above, "%.*s", (int)(slash - path), path);
	return walk_to(w, slash == path ? "/" : above, true);
}

/* The calls. */

/* An entry of what was reached that is no link.  A FUSE mount on it must not be asked to open
 * itself; one that is put there between two calls here is an attack on one's own mount. */
static int open_entry(const struct walk *w, const char *name, int flags, mode_t mode)
{
	struct about is;
	int fd = host_is_fenced() ? open_component(w, name, &is) : -1;

	if (fd >= 0)
		close(fd);
	else if (host_is_fenced() && (errno != ENOENT || !(flags & O_CREAT)))
		return -1;
	return host_open_at(w->fd, name, flags | O_NOFOLLOW, mode);
}

int host_open(const char *path, int flags, mode_t mode)
{
	const char *last;
	struct walk w;
	int fd;

	if (!host_is_fenced())
		return host_open_at(AT_FDCWD, path, flags, mode);
	fd = walk_above(&w, path, &last);
	if (fd == 0)
		fd = open_entry(&w, last, flags, mode);
	walk_end(&w);
	return fd;
}

/* Without the fence dir is found by the kernel. */
static int walk_to_dir(struct walk *w, const char *dir)
{
	if (host_is_fenced())
		return walk_to(w, dir, true);
	walk_init(w);
	w->fd = host_open_at(AT_FDCWD, dir, O_PATH | O_DIRECTORY, 0);
	return w->fd < 0 ? -1 : 0;
}

/* Goes into a directory that is no link, given by the first n bytes of name. */
static int walk_into_dir(struct walk *w, const char *name, size_t n)
{
	char part[NAME_MAX + 1];

	if (n == 0 || n > NAME_MAX) {
		errno = n ? ENAMETOOLONG : EINVAL;
		return -1;
	}
	memcpy(part, name, n);
	part[n] = '\0';
	if (strcmp(part, "..") == 0 || walk_into(w, part, false) < 0) {
		errno = strcmp(part, "..") == 0 ? EACCES : errno;
		return -1;
	}
	if (!S_ISLNK(w->is.type))
		return 0;
	errno = ELOOP;
	return -1;
}

static int open_below(struct walk *w, const char *rest)
{
	for (const char *slash; (slash = strchr(rest, '/')); rest = slash + 1)
		if (walk_into_dir(w, rest, (size_t)(slash - rest)) < 0)
			return -1;
	if (strcmp(rest, "..") == 0) {
		errno = EACCES;
		return -1;
	}
	return open_entry(w, rest, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
}

int host_open_below(const char *dir, const char *rest)
{
	struct walk w;
	int fd = walk_to_dir(&w, dir);

	if (fd == 0)
		fd = open_below(&w, rest);
	walk_end(&w);
	return fd;
}

static int open_above_plainly(const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char above[PATH_MAX];

	*name = slash ? slash + 1 : path;
	if (snprintf(above, sizeof above, "%.*s", slash ? (int)(slash + 1 - path) : 1,
		    slash ? path : ".") < (int)sizeof above)
		return host_open_at(AT_FDCWD, above, O_PATH | O_DIRECTORY, 0);
	errno = ENAMETOOLONG;
	return -1;
}

int host_open_above(const char *path, const char **name)
{
	struct walk w;
	int fd;

	if (!host_is_fenced())
		return open_above_plainly(path, name);
	fd = walk_above(&w, path, name);
	if (fd == 0)
		fd = fcntl(w.fd, F_DUPFD_CLOEXEC, 0);
	walk_end(&w);
	return fd;
}

static int stat_path(const char *path, bool follow, struct stat *st)
{
	struct walk w;
	int r = walk_to(&w, path, follow);

	if (r == 0)
		r = fstat(w.fd, st);
	walk_end(&w);
	return r;
}

int host_stat(const char *path, struct stat *st)
{
	return host_is_fenced() ? stat_path(path, true, st) : stat(path, st);
}

int host_lstat(const char *path, struct stat *st)
{
	return host_is_fenced() ? stat_path(path, false, st) : lstat(path, st);
}

char *host_realpath(const char *path, char real[PATH_MAX])
{
	struct walk w;
	int r;

	if (!host_is_fenced())
		return realpath(path, real);
	r = walk_to(&w, path, true);
	if (r == 0)
		strcpy(real, w.real[0] ? w.real : "/");
	walk_end(&w);
	return r == 0 ? real : NULL;
}

DIR *host_opendir(const char *path)
{
	struct walk w;
	DIR *dir = NULL;
	int fd;

	if (!host_is_fenced())
		return opendir(path);
	fd = walk_to(&w, path, true);
	if (fd == 0)
		fd = host_open_at(w.fd, ".", O_RDONLY | O_DIRECTORY, 0);
	walk_end(&w);
	if (fd >= 0)
		dir = fdopendir(fd);
	if (fd >= 0 && !dir)
		host_close(fd);
	return dir;
}

int host_scandir(const char *path, struct dirent ***list, int (*select)(const struct dirent *),
	int (*compare)(const struct dirent **, const struct dirent **))
{
	struct walk w;
	int n;

	if (!host_is_fenced())
		return scandir(path, list, select, compare);
	n = walk_to(&w, path, true);
	if (n == 0)
		do
			n = scandirat(w.fd, ".", list, select, compare);
		while (n < 0 && host_is_shortage() && host_can_close_some());
	walk_end(&w);
	return n;
}

int host_watch(int inotify, const char *path, unsigned events)
{
	char name[32];
	struct walk w;
	int wd;

	if (!host_is_fenced())
		return inotify_add_watch(inotify, path, events);
	wd = walk_to(&w, path, true);
	if (wd == 0) {
		snprintf(name, sizeof name, "/proc/self/fd/%d", w.fd);
		wd = inotify_add_watch(inotify, name, events);
	}
	walk_end(&w);
	return wd;
}
