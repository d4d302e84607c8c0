/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* host-kept.c - the directories that are kept open, what may be entered besides, and descriptors.
 */
#include "host-impl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "host.h"
#include "mountinfo.h"
#include "util/array.h"

#define KEPT_MAX 64

/* Descriptors that are left for code that does not open files here: pipes, copies in memory. */
#define SPARE 16

static struct kept kept[KEPT_MAX];
static size_t nkept;
static bool fenced;

/* The device numbers of FUSE file systems, from the kernel's list of mounts. */
static pthread_mutex_t fuse_lock = PTHREAD_MUTEX_INITIALIZER;
static int mountinfo = -1;
static bool fuse_known; /* the list was read completely when the mounts had last changed */
static dev_t *fuse_devices;
static size_t nfuse;

static bool (*close_some)(void *arg);
static void *close_some_arg;
static rlim_t enough = RLIM_INFINITY; /* descriptors below this one leave enough for others */

/* Descriptors. */

void host_on_shortage(bool (*fn)(void *arg), void *arg)
{
	struct rlimit limit;

	close_some = fn;
	close_some_arg = arg;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > 2 * SPARE)
		enough = limit.rlim_cur - SPARE;
	else
		enough = RLIM_INFINITY;
}

bool host_is_shortage(void)
{
	return errno == EMFILE || errno == ENFILE;
}

bool host_can_close_some(void)
{
	return close_some && close_some(close_some_arg);
}

int host_open_at(int at, const char *name, int flags, mode_t mode)
{
	int fd, saved;

	do
		fd = openat(at, name, flags | O_CLOEXEC, mode);
	while (fd < 0 && host_is_shortage() && host_can_close_some());
	saved = errno;
	if (fd >= 0 && (rlim_t)fd >= enough)
		host_can_close_some();
	errno = saved;
	return fd;
}

void host_close(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

/* Devices. */

int host_peek(int at, const char *path, unsigned mask, struct statx *st)
{
	int flags = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT | (path[0] ? 0 : AT_EMPTY_PATH);

	return (int)syscall(SYS_statx, at, path, flags, mask, st);
}

int host_look_at(int fd, struct about *a)
{
	struct statx st;
	struct stat old;

	if (host_peek(fd, "", STATX_TYPE, &st) == 0) {
		*a = (struct about){
			makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_mode & S_IFMT};
		return 0;
	}
	if (fenced || fstat(fd, &old) < 0)
		return -1;
	*a = (struct about){old.st_dev, old.st_mode & S_IFMT};
	return 0;
}

static void add_fuse(void *arg, const struct mount_line *line)
{
	dev_t *more;

	(void)arg;
	if (!mountinfo_is_fuse(line->type))
		return;
	more = array_grow(fuse_devices, nfuse, sizeof more[0]);
	if (!more) {
		fuse_known = false;
		return;
	}
	fuse_devices = more;
	fuse_devices[nfuse++] = line->dev;
}

static void read_mounts(void)
{
	struct pollfd p = {.fd = mountinfo, .events = POLLPRI};

	/* The poll precedes the reading: a later change is seen by the next one. */
	if (poll(&p, 1, 0) == 0 && fuse_known)
		return;
	free(fuse_devices);
	fuse_devices = NULL;
	nfuse = 0;
	fuse_known = true;
	if (mountinfo_each(mountinfo, add_fuse, NULL) < 0)
		fuse_known = false;
}

/* If the list of mounts cannot be read, each file system without a block device may be FUSE. */
static bool is_fuse(dev_t dev)
{
	bool found;

	pthread_mutex_lock(&fuse_lock);
	read_mounts();
	found = !fuse_known && major(dev) == 0;
	for (size_t i = 0; i < nfuse && !found; i++)
		found = fuse_devices[i] == dev;
	pthread_mutex_unlock(&fuse_lock);
	return found;
}

bool host_may_enter(dev_t dev)
{
	for (size_t i = 0; i < nkept; i++)
		if (kept[i].dev == dev)
			return true;
	return !is_fuse(dev);
}

/* Kept directories. */

bool host_is_fenced(void)
{
	return fenced;
}

int host_keep(const char *dir)
{
	struct kept *k = &kept[nkept];
	struct about a;
	int fd;

	if (host_kept(dir) >= 0)
		return 0;
	if (nkept == KEPT_MAX) {
		errno = ENOBUFS;
		return -1;
	}
	fd = host_open_at(AT_FDCWD, dir, O_PATH | O_DIRECTORY, 0);
	if (fd < 0 || host_look_at(fd, &a) < 0 || !(k->path = strdup(dir))) {
		if (fd >= 0)
			host_close(fd);
		return -1;
	}
	k->fd = fd;
	k->dev = a.dev;
	nkept++;
	return 0;
}

const struct kept *host_find_kept(const char *dir)
{
	for (size_t i = 0; i < nkept; i++)
		if (strcmp(kept[i].path, dir) == 0)
			return &kept[i];
	return NULL;
}

int host_kept(const char *dir)
{
	const struct kept *k = host_find_kept(dir);

	return k ? k->fd : -1;
}

int host_fence(void)
{
	struct statx st;

	if (host_peek(AT_FDCWD, "/", STATX_TYPE, &st) < 0)
		return -1;
	mountinfo = mountinfo_open();
	if (mountinfo < 0 && errno != ENOENT)
		return -1;
	fenced = true;
	return 0;
}

void host_end(void)
{
	fenced = false;
	while (nkept > 0) {
		free(kept[--nkept].path);
		close(kept[nkept].fd);
	}
	if (mountinfo >= 0)
		close(mountinfo);
	mountinfo = -1;
	fuse_known = false;
	free(fuse_devices);
	fuse_devices = NULL;
	nfuse = 0;
	host_on_shortage(NULL, NULL);
}

const struct kept *host_kept_above(const char *path, const char **rest)
{
	const struct kept *best = NULL;

	for (size_t i = 0; i < nkept; i++) {
		size_t n = kept[i].path[1] ? strlen(kept[i].path) : 0; /* 0: the root directory */

		if (strncmp(path, kept[i].path, n) != 0 || (path[n] != '/' && path[n] != '\0'))
			continue;
		if (!best || strlen(kept[i].path) > strlen(best->path)) {
			best = &kept[i];
			*rest = path + n + strspn(path + n, "/");
		}
	}
	return best;
}
