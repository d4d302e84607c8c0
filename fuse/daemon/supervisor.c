/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor.c - the attendant.
 *
 * It finds the mount by its device number, which the kernel gives to the next mount once ours is
 * gone, perhaps on the same directory.  So before it removes anything it makes sure that the mount
 * is the daemon's, by the id that is given out once (Linux 6.8), or else that it is dead.
 *
 * Until then it goes by no path: whoever mounts on demand (autofs, systemd) has all who are not of
 * its process group wait at the mount point until the launcher has ended.
 */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/err.h"
#include "base/mount-id.h"
#include "io/mountinfo.h"
#include "base/process.h"

/* What the daemon says. */
#define MOUNTED   'm' /* and which mount */
#define SERVING   's'
#define UNMOUNTED 'u'

/* How long a daemon waits for the attendant, in ms. */
#define FINISH_MAX 10000

/* How long a daemon may take from the mount until it serves, in ms: more than it waits itself, less
 * than the launcher. */
#define SERVING_MAX 45000

/* How long the rest of a daemon may outlive the thread that serves, in ms. */
#define REST_MAX 2000

/* Where a device is mounted. */
struct find {
	dev_t dev;
	char *path; /* malloc'ed; NULL: nowhere, or something else is on top of it */
};

static void find_mount(void *arg, const struct mount_line *line)
{
	struct find *f = arg;

	if (line->dev != f->dev && !(f->path && strcmp(line->dir, f->path) == 0))
		return;
	free(f->path);
	f->path = line->dev == f->dev ? strdup(line->dir) : NULL;
}

static char *mountpoint_of(dev_t dev)
{
	int fd = mountinfo_open();
	struct find f = {.dev = dev};

	mountinfo_each(fd, find_mount, &f);
	if (fd >= 0)
		close(fd);
	return f.path;
}

struct top {
	const char *path;
	dev_t dev; /* 0: nothing is mounted there */
};

static void find_top(void *arg, const struct mount_line *line)
{
	struct top *t = arg;

	if (strcmp(line->dir, t->path) == 0)
		t->dev = line->dev;
}

static dev_t mounted_on(const char *path)
{
	int fd = mountinfo_open();
	struct top t = {.path = path};

	mountinfo_each(fd, find_top, &t);
	if (fd >= 0)
		close(fd);
	return t.dev;
}

static bool is_dead(const char *path)
{
	struct statfs st;

	return statfs(path, &st) < 0 && errno == ENOTCONN;
}

/* What a user may do without being root. */
static void run_fusermount(const char *path)
{
	const char *const argv[] = {"fusermount3", "-u", "-z", "-q", "--", path, NULL};
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ) == 0)
		waitpid(pid, NULL, 0);
}

static bool is_mount(const char *path, uint64_t id)
{
	struct mount_id at;

	return mount_id_get(path, &at) && at.id == id;
}

static void remove_mount(const struct mount_id *w, bool unmounted)
{
	char *path = w->dev ? mountpoint_of(w->dev) : NULL;

	if (path && (w->id ? is_mount(path, w->id) : !unmounted && is_dead(path)) &&
		umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		run_fusermount(path);
	free(path);
}

/* Makes the kernel answer all requests with an error.  Users have a file for it where root has
 * mounted those. */
static void cut(const struct mount_id *w)
{
	char *path = w->dev ? mountpoint_of(w->dev) : NULL;
	char control[64];

	if (path && w->id && is_mount(path, w->id) &&
		umount2(path, MNT_FORCE | UMOUNT_NOFOLLOW) < 0 && errno == EPERM) {
		snprintf(control, sizeof control, "/sys/fs/fuse/connections/%u/abort",
			minor(w->dev));
		process_set_control(control, "1");
	}
	free(path);
}

/* Nothing but its two pipes, its own session, deaf to what is meant for the daemon: it ends when
 * the daemon has. */
static void settle(int alive, int told)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_NAME, "vdiskfs-attend");
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	setsid();
	if (chdir("/") < 0 || null < 0)
		_exit(EXIT_FAILURE);
	process_mute(null);
	process_close_others((const int[]){alive, told}, 2);
	/* For fusermount3, which is set-user-ID. */
	clearenv();
	setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
}

/* Waits for the end of the thread that serves, and lets no other outlive it.  When a daemon dies,
 * one of them may be telling the kernel of a change in a directory that is locked by a process,
 * which waits for the daemon's answer: neither would end, and the mount would be there for good. */
static void outlast(const struct mount_id *w, int alive, pthread_mutex_t *serving)
{
	struct pollfd end = {.fd = alive, .events = POLLIN};

	pthread_mutex_lock(serving); /* the kernel gives it up for a thread that dies */
	if (poll(&end, 1, REST_MAX) == 0)
		cut(w);
}

static void hear_mount(int alive, struct mount_id *w)
{
	if (read(alive, w, sizeof *w) != sizeof *w)
		*w = (struct mount_id){0};
}

/* What the daemon has mounted that ended before it could tell. */
static void find_untold(struct mount_id *w, const char *mountpoint, dev_t below)
{
	w->dev = mounted_on(mountpoint);
	if (w->dev == below)
		w->dev = 0;
}

/* A daemon that waits for its own mount is given an error. */
static void await_serving(const struct mount_id *w, int alive)
{
	struct pollfd next = {.fd = alive, .events = POLLIN};

	if (poll(&next, 1, SERVING_MAX) == 0)
		cut(w);
}

/* What one attendant is for. */
struct duty {
	const char *mountpoint;
	bool remove_dir;
	dev_t below; /* what was mounted there before */
	int alive, told;
	pthread_mutex_t *serving;
};

static void attend(const struct duty *d)
{
	struct mount_id w = {0};
	bool unmounted = false;
	char byte;

	settle(d->alive, d->told);
	while ((byte = process_hear(d->alive)) != 0) {
		if (byte == MOUNTED) {
			hear_mount(d->alive, &w);
			if (!w.dev)
				find_untold(&w, d->mountpoint, d->below);
			await_serving(&w, d->alive);
		} else if (byte == SERVING) {
			outlast(&w, d->alive, d->serving);
		} else {
			unmounted = byte == UNMOUNTED;
		}
	}
	if (!w.dev)
		find_untold(&w, d->mountpoint, d->below);
	remove_mount(&w, unmounted);
	if (d->remove_dir)
		rmdir(d->mountpoint);
}

/* A mutex that processes share, and whose owner may die; NULL without memory. */
static pthread_mutex_t *shared_mutex(void)
{
	pthread_mutex_t *m =
		mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attr;

	if (m == MAP_FAILED)
		return NULL;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(m, &attr);
	pthread_mutexattr_destroy(&attr);
	return m;
}

int supervisor_start(struct supervisor *a, const char *mountpoint, bool remove_dir, struct err *e)
{
	struct duty duty = {.mountpoint = mountpoint,
		.remove_dir = remove_dir,
		.below = mounted_on(mountpoint)};
	int alive[2], told[2];
	pid_t pid;

	duty.serving = a->serving = shared_mutex();
	if (!a->serving)
		return err_nomem(e);
	if (pipe2(alive, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	if (pipe2(told, O_CLOEXEC) < 0) {
		close(alive[0]);
		close(alive[1]);
		return err_set(e, errno, "pipe: %s", strerror(errno));
	}
	pid = fork();
	if (pid == 0) {
		duty.alive = alive[0];
		duty.told = told[1];
		attend(&duty);
		_exit(EXIT_SUCCESS);
	}
	close(alive[0]);
	close(told[1]);
	a->alive = alive[1];
	a->told = told[0];
	return pid < 0 ? err_set(e, errno, "fork: %s", strerror(errno)) : 0;
}

void supervisor_mounted(const struct supervisor *a, const struct mount_id *id)
{
	char text[1 + sizeof *id] = {MOUNTED};
	ssize_t n;

	memcpy(text + 1, id, sizeof *id);
	do /* in one: a pipe takes so little as a whole */
		n = write(a->alive, text, sizeof text);
	while (n < 0 && errno == EINTR);
}

void supervisor_serving(struct supervisor *a)
{
	pthread_mutex_lock(a->serving);
	a->serves = true;
	process_say(a->alive, SERVING);
}

void supervisor_finish(struct supervisor *a, bool unmounted)
{
	struct pollfd end = {.fd = a->told, .events = POLLIN};

	if (a->alive < 0)
		return;
	if (unmounted)
		process_say(a->alive, UNMOUNTED);
	close(a->alive);
	if (a->serves)
		pthread_mutex_unlock(a->serving);
	while (poll(&end, 1, FINISH_MAX) > 0 && process_hear(a->told) != 0)
		;
	close(a->told);
}
