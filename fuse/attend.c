/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attend.c - the attendant.
 *
 * It finds the mount by its device number, which the kernel gives to the next mount once ours is
 * gone, perhaps on the same directory.  So before it removes anything it makes sure that the mount
 * is the one that it saw answer, by the id that is given out once (Linux 6.8), or else that it is
 * dead.
 */
#include "attend.h"

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

#include "err.h"
#include "process.h"

/* What is said through the pipes. */
#define MOUNTED   'm'
#define SERVING   's'
#define READY     'r'
#define UNMOUNTED 'u'

/* Readahead, in KiB, that makes a cold sequential read 1.6 times as fast as the kernel's 128. */
#define READ_AHEAD "1024"

/* How long a daemon waits for the attendant, in ms. */
#define FINISH_MAX 10000

/* How long the rest of a daemon may outlive the thread that serves, in ms. */
#define REST_MAX 2000

/* Of statx(2), newer than some headers: the id of a mount that no other will ever have. */
#define MNT_ID_UNIQUE 0x4000u

/* What the attendant knows of the mount. */
struct watched {
	const char *mountpoint;
	dev_t below; /* what the directory showed before */
	dev_t dev;   /* 0: nothing of ours is mounted */
	uint64_t id; /* 0: not known */
};

/* A path in mountinfo has blanks and the like as \ooo. */
static void unescape(char *path)
{
	char *out = path;

	for (const char *in = path; *in; out++) {
		if (in[0] == '\\' && in[1] && in[2] && in[3]) {
			*out = (char)(64 * (in[1] - '0') + 8 * (in[2] - '0') + (in[3] - '0'));
			in += 4;
		} else {
			*out = *in++;
		}
	}
	*out = '\0';
}

/* The next line of mountinfo (see proc(5)); *path is malloc'ed. */
static bool mount_next(FILE *mountinfo, dev_t *dev, char **path)
{
	unsigned major, minor;

	if (fscanf(mountinfo, "%*d %*d %u:%u %*s %ms %*[^\n]", &major, &minor, path) != 3)
		return false;
	unescape(*path);
	*dev = makedev(major, minor);
	return true;
}

/* The device of what is mounted on path, 0 for nothing. */
static dev_t mounted_on(const char *mountpoint)
{
	FILE *mountinfo = fopen("/proc/self/mountinfo", "re");
	dev_t dev, found = 0;
	char *path;

	while (mountinfo && mount_next(mountinfo, &dev, &path)) {
		if (strcmp(path, mountpoint) == 0)
			found = dev; /* the last one is on top */
		free(path);
	}
	if (mountinfo)
		fclose(mountinfo);
	return found;
}

/* A place where dev is mounted and nothing else is on top of it; malloc'ed or NULL. */
static char *mountpoint_of(dev_t wanted)
{
	FILE *mountinfo = fopen("/proc/self/mountinfo", "re");
	char *found = NULL, *path;
	dev_t dev;

	while (mountinfo && mount_next(mountinfo, &dev, &path)) {
		if (dev == wanted || (found && strcmp(path, found) == 0)) {
			free(found);
			found = dev == wanted ? strdup(path) : NULL;
		}
		free(path);
	}
	if (mountinfo)
		fclose(mountinfo);
	return found;
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

/* Without asking the daemon, whose mount would be busy meanwhile. */
static uint64_t mount_id(const char *path)
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, MNT_ID_UNIQUE, &st) < 0)
		return 0;
	return st.stx_mask & MNT_ID_UNIQUE ? st.stx_mnt_id : 0;
}

static void remove_mount(const struct watched *w, bool unmounted)
{
	char *path = w->dev ? mountpoint_of(w->dev) : NULL;

	if (path && (w->id ? mount_id(path) == w->id : !unmounted && is_dead(path)) &&
		umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		run_fusermount(path);
	free(path);
}

static void set_control(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	dprintf(fd, "%s", value);
	close(fd);
}

/* Only root may; others keep the kernel's readahead. */
static void set_read_ahead(dev_t dev)
{
	char path[64];

	snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(dev), minor(dev));
	set_control(path, READ_AHEAD);
}

/* Makes the kernel answer all requests with an error.  Users have a file for it where root has
 * mounted those. */
static void cut(const struct watched *w)
{
	char *path = w->dev ? mountpoint_of(w->dev) : NULL;
	char control[64];

	if (path && w->id && mount_id(path) == w->id &&
		umount2(path, MNT_FORCE | UMOUNT_NOFOLLOW) < 0 && errno == EPERM) {
		snprintf(control, sizeof control, "/sys/fs/fuse/connections/%u/abort",
			minor(w->dev));
		set_control(control, "1");
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
	process_close_others(alive, told);
	/* For fusermount3, which is set-user-ID. */
	clearenv();
	setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
}

/* The next byte from the other side, 0 at its end. */
static char hear(int fd)
{
	char byte = 0;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? byte : 0;
}

static void say(int fd, char byte)
{
	dprintf(fd, "%c", byte);
}

/* Waits for the daemon's first answer, or for its end. */
static void await_answer(struct watched *w, int told)
{
	struct stat st = {.st_dev = 0};

	if (stat(w->mountpoint, &st) < 0 && errno == ENOTCONN)
		return;
	if (w->dev && st.st_dev == w->dev) {
		w->id = mount_id(w->mountpoint);
		set_read_ahead(w->dev);
	}
	say(told, READY);
}

/* Waits for the end of the thread that serves, and lets no other outlive it.  When a daemon dies,
 * one of them may be telling the kernel of a change in a directory that is locked by a process,
 * which waits for the daemon's answer: neither would end, and the mount would be there for good. */
static void outlast(const struct watched *w, int alive, pthread_mutex_t *serving)
{
	struct pollfd end = {.fd = alive, .events = POLLIN};

	pthread_mutex_lock(serving); /* the kernel gives it up for a thread that dies */
	if (poll(&end, 1, REST_MAX) == 0)
		cut(w);
}

static void attend(struct watched *w, int alive, int told, pthread_mutex_t *serving)
{
	bool unmounted = false;
	char byte;

	settle(alive, told);
	byte = hear(alive);
	/* Also when the daemon ended without a word: it may have mounted before. */
	w->dev = mounted_on(w->mountpoint);
	if (w->dev == w->below)
		w->dev = 0;
	if (byte == MOUNTED)
		await_answer(w, told);
	while ((byte = hear(alive)) != 0)
		if (byte == SERVING)
			outlast(w, alive, serving);
		else
			unmounted = byte == UNMOUNTED;
	remove_mount(w, unmounted);
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

int attend_start(struct attend *a, const char *mountpoint, struct err *e)
{
	struct watched w = {.mountpoint = mountpoint, .below = mounted_on(mountpoint)};
	int alive[2], told[2];
	pid_t pid;

	a->serving = shared_mutex();
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
		attend(&w, alive[0], told[1], a->serving);
		_exit(EXIT_SUCCESS);
	}
	close(alive[0]);
	close(told[1]);
	a->alive = alive[1];
	a->told = told[0];
	return pid < 0 ? err_set(e, errno, "fork: %s", strerror(errno)) : 0;
}

void attend_mounted(const struct attend *a)
{
	say(a->alive, MOUNTED);
}

void attend_serving(struct attend *a)
{
	pthread_mutex_lock(a->serving);
	a->serves = true;
	say(a->alive, SERVING);
}

bool attend_wait_ready(const struct attend *a)
{
	return hear(a->told) == READY;
}

void attend_finish(struct attend *a, bool unmounted)
{
	struct pollfd end = {.fd = a->told, .events = POLLIN};

	if (a->alive < 0)
		return;
	if (unmounted)
		say(a->alive, UNMOUNTED);
	close(a->alive);
	if (a->serves)
		pthread_mutex_unlock(a->serving);
	while (poll(&end, 1, FINISH_MAX) > 0 && hear(a->told) != 0)
		;
	close(a->told);
}
