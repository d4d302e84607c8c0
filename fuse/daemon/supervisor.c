/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor.c - see supervisor.h.
 *
 * No path is used before the launcher has exited: a program that mounts on demand (autofs, systemd)
 * makes every other process group wait at the mount point until then.
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
#include "io/host.h"
#include "io/mountinfo.h"
#include "base/process.h"
#include "child-server.h"

/* Messages of the daemon. */
#define MOUNTED   'm' /* followed by a struct mount_id */
#define SERVING   's'
#define UNMOUNTED 'u'

/* A flag of statx(2) since Linux 6.8; the C library's headers may be older. */
#define MNT_ID_UNIQUE 0x4000u

/* How long the daemon waits for the supervisor, in ms. */
#define FINISH_MAX 10000

/* How long the daemon may take from the mount until it serves, in ms: longer than its own limit
 * (session_answer), shorter than that of the launcher. */
#define SERVING_MAX 45000

/* How long other threads may outlive the main thread of the daemon, in ms. */
#define REST_MAX 2000

struct find {
	dev_t dev;
	char *path; /* mount point of dev, malloc'ed; NULL: none, or another mount is on top */
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
	struct find f = {.dev = dev};

	mountinfo_read(find_mount, &f);
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
	struct top t = {.path = path};

	mountinfo_read(find_top, &t);
	return t.dev;
}

bool mount_id_get(const char *path, struct mount_id *id)
{
	struct statx st;

	*id = (struct mount_id){0};
	if (host_peek(AT_FDCWD, path, STATX_TYPE | MNT_ID_UNIQUE, &st) < 0)
		return false;
	id->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	id->id = st.stx_mask & MNT_ID_UNIQUE ? st.stx_mnt_id : 0;
	return true;
}

static bool is_mount(const char *path, uint64_t id)
{
	struct mount_id at;

	return mount_id_get(path, &at) && at.id == id;
}

static void remove_mount(const struct mount_id *w, bool unmounted)
{
	char *path = w->dev ? mountpoint_of(w->dev) : NULL;
	/* Users may not call umount2(2). */
	const char *const argv[] = {"fusermount3", "-u", "-z", "-q", "--", path, NULL};
	struct statfs st;
	bool ours = path && (w->id ? is_mount(path, w->id)
				   : !unmounted && statfs(path, &st) < 0 && errno == ENOTCONN);
	pid_t pid;

	if (ours && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 &&
		posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ) == 0)
		waitpid(pid, NULL, 0);
	free(path);
}

/* Makes the kernel fail all requests.  Without root, through a file of the fusectl file system, if
 * that is mounted. */
static void abort_connection(const struct mount_id *w)
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

/* Detaches from the daemon: a session of its own, no descriptors but the two pipes, no signals that
 * are meant for the daemon. */
static void detach(const struct supervisor *s)
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
	process_close_others((const int[]){s->alive, s->done}, 2);
	/* The environment is for fusermount3, which is set-user-ID root. */
	clearenv();
	setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
}

/* Finds the mount of a daemon that ended before it could report it. */
static void find_mount_on(struct mount_id *w, const char *mountpoint, dev_t below)
{
	w->dev = mounted_on(mountpoint);
	if (w->dev == below)
		w->dev = 0;
}

static void receive_mount(
	const struct supervisor *s, struct mount_id *w, const char *mountpoint, dev_t below)
{
	char name[MOUNTINFO_NAME];

	if (read(s->alive, w, sizeof *w) != sizeof *w || !w->dev)
		find_mount_on(w, mountpoint, below);
	if (w->dev) {
		mountinfo_process_name(name, w->dev);
		prctl(PR_SET_NAME, name);
	}
}

/* Runs in the supervisor, which has the other ends of the pipes.  below: mounted there before; 0:
 * nothing.
 *
 * When the daemon dies, one of its threads may be in a notification that waits for the lock of a
 * directory, held by a process that waits for the daemon's answer.  Neither would end, and the
 * mount would stay; so the connection is aborted if other threads outlive the main thread. */
static void supervise(const struct supervisor *s, const char *mountpoint, bool remove_dir,
	struct child_server *child, dev_t below)
{
	struct pollfd next = {.fd = s->alive, .events = POLLIN};
	struct mount_id w = {0};
	bool unmounted = false;
	char byte;

	child_server_run(child);
	detach(s);
	child_server_watch(child);
	while ((byte = process_receive(s->alive)) != 0) {
		int limit = SERVING_MAX; /* a daemon that waits for its own mount gets an error */

		if (byte == UNMOUNTED) {
			unmounted = true;
			continue;
		}
		if (byte == MOUNTED) {
			receive_mount(s, &w, mountpoint, below);
		} else {
			pthread_mutex_lock(s->serving); /* released by the death of its owner */
			limit = REST_MAX;
		}
		if (poll(&next, 1, limit) == 0)
			abort_connection(&w);
	}
	if (!w.dev)
		find_mount_on(&w, mountpoint, below);
	remove_mount(&w, unmounted);
	if (remove_dir)
		rmdir(mountpoint);
	child_server_end(child);
	child_server_remove(child);
}

/* A robust mutex that is shared between processes; NULL without memory. */
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

int supervisor_start(struct supervisor *s, const char *mountpoint, bool remove_dir,
	struct child_server *child, struct err *e)
{
	dev_t below = mounted_on(mountpoint);
	int alive[2], done[2];
	pid_t pid;

	s->serving = shared_mutex();
	if (!s->serving)
		return err_nomem(e);
	if (pipe2(alive, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	if (pipe2(done, O_CLOEXEC) < 0) {
		close(alive[0]);
		close(alive[1]);
		return err_set(e, errno, "pipe: %s", strerror(errno));
	}
	pid = fork();
	if (pid == 0) {
		s->alive = alive[0];
		s->done = done[1];
		supervise(s, mountpoint, remove_dir, child, below);
		_exit(EXIT_SUCCESS);
	}
	child_server_leave(child);
	close(alive[0]);
	close(done[1]);
	s->alive = alive[1];
	s->done = done[0];
	return pid < 0 ? err_set(e, errno, "fork: %s", strerror(errno)) : 0;
}

void supervisor_mounted(const struct supervisor *s, const struct mount_id *id)
{
	char text[1 + sizeof *id] = {MOUNTED};
	ssize_t n;

	memcpy(text + 1, id, sizeof *id);
	do /* one write: up to PIPE_BUF bytes are not split */
		n = write(s->alive, text, sizeof text);
	while (n < 0 && errno == EINTR);
}

void supervisor_serving(struct supervisor *s)
{
	pthread_mutex_lock(s->serving);
	s->serves = true;
	process_send(s->alive, SERVING);
}

void supervisor_finish(struct supervisor *s, bool unmounted)
{
	struct pollfd end = {.fd = s->done, .events = POLLIN};

	if (s->alive < 0)
		return;
	if (unmounted)
		process_send(s->alive, UNMOUNTED);
	close(s->alive);
	if (s->serves)
		pthread_mutex_unlock(s->serving);
	while (poll(&end, 1, FINISH_MAX) > 0 && process_receive(s->done) != 0)
		;
	close(s->done);
}
