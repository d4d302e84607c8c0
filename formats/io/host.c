/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every component is opened with O_PATH and O_NOFOLLOW, and statx with AT_STATX_DONT_SYNC returns
 * its device number: neither sends a request to the server of a FUSE mount.  A descriptor still
 * refers to the same file when another one is mounted, renamed or linked meanwhile.  No call newer
 * than Linux 4.11 is needed: openat2(2), which does a part of this, is missing in containers and
 * emulators.
 */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "host-impl.h"

#define LINKS_MAX 40 /* as in the kernel */

/* The walk. */

struct walk {
	int fd;       /* O_PATH: of the path real, which has no links in it */
	bool is_kept; /* fd is */
	struct about is;
	char real[PATH_MAX];
	char rest[PATH_MAX]; /* of the path, below real */
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

/* link is an O_PATH descriptor of a symbolic link, which the caller closes. */
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

/* Opens an entry of w->fd, if it may be entered. */
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

static int walk_into(struct walk *w, const char *name, bool follow)
{
	size_t used = strlen(w->real), space = sizeof w->real - used;
	const struct kept *k;
	struct about is;
	int fd, r;

	if (snprintf(w->real + used, space, "/%s", name) >= (int)space) {
		errno = ENAMETOOLONG;
		return -1;
	}
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

/* Goes to path; follow: also a link at its end.  The descriptor is w's. */
static int walk_to(struct walk *w, const char *path, bool follow)
{
	char name[PATH_MAX];
	int r;

	walk_init(w);
	if (path[0] != '/' || strlen(path) >= PATH_MAX) {
		errno = path[0] != '/' ? EINVAL : ENAMETOOLONG;
		return -1;
	}
	r = walk_start(w, path);
	while (r == 0 && next_component(w, name)) {
		if (strcmp(name, "..") == 0) {
			/* From the start: ".." would lead out of the kept directory. */
			cut_component(w);
			r = walk_again(w, w->real);
		} else if (strcmp(name, ".") != 0) {
			r = walk_into(w, name, follow);
		}
	}
	return r;
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

/* Opens an entry of w->fd that is no link.  A FUSE mount on it must get no request to open its
 * root; one that is mounted between the two calls is an attack of the user on this mount. */
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
	if (strcmp(part, "..") == 0) {
		errno = EACCES;
		return -1;
	}
	if (walk_into(w, part, false) < 0)
		return -1;
	if (!S_ISLNK(w->is.type))
		return 0;
	errno = ELOOP;
	return -1;
}

int host_open_below(const char *dir, const char *rest)
{
	struct walk w;
	int fd;

	if (host_is_fenced()) {
		fd = walk_to(&w, dir, true);
	} else {
		walk_init(&w);
		w.fd = host_open_at(AT_FDCWD, dir, O_PATH | O_DIRECTORY, 0);
		fd = w.fd < 0 ? -1 : 0;
	}
	for (const char *slash; fd == 0 && (slash = strchr(rest, '/')); rest = slash + 1)
		fd = walk_into_dir(&w, rest, (size_t)(slash - rest));
	if (fd == 0 && strcmp(rest, "..") == 0) {
		errno = EACCES;
		fd = -1;
	}
	if (fd == 0)
		fd = open_entry(&w, rest, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	walk_end(&w);
	return fd;
}

int host_open_above(const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char above[PATH_MAX];
	struct walk w;
	int fd;

	if (!host_is_fenced()) {
		*name = slash ? slash + 1 : path;
		if (snprintf(above, sizeof above, "%.*s", slash ? (int)(*name - path) : 1,
			    slash ? path : ".") < (int)sizeof above)
			return host_open_at(AT_FDCWD, above, O_PATH | O_DIRECTORY, 0);
		errno = ENAMETOOLONG;
		return -1;
	}
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

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int host_scandir(const char *path, struct dirent ***list, int (*select)(const struct dirent *))
{
	struct walk w;
	int n;

	*list = NULL;
	if (!host_is_fenced())
		return scandir(path, list, select, compare_names);
	n = walk_to(&w, path, true);
	if (n == 0)
		do
			n = scandirat(w.fd, ".", list, select, compare_names);
		while (n < 0 && host_is_shortage() && host_can_close_some());
	walk_end(&w);
	return n;
}

unsigned char host_entry_type(const char *path, const struct dirent *d)
{
	struct stat st;

	if (d->d_type != DT_UNKNOWN)
		return d->d_type;
	return host_lstat(path, &st) == 0 ? IFTODT(st.st_mode) : DT_UNKNOWN;
}

char *host_find_any_case(const char *dir, const char *name)
{
	struct dirent **list = NULL;
	int n = strchr(name, '/') ? 0 : host_scandir(dir, &list, NULL);
	size_t count = 0;
	char *found = NULL;

	for (int i = 0; i < n; i++) {
		if (strcasecmp(list[i]->d_name, name) == 0 && count++ == 0)
			found = strdup(list[i]->d_name);
		free(list[i]);
	}
	free(list);
	if (count == 1)
		return found;
	free(found);
	return NULL;
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
