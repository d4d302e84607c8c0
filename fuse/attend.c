/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attend.c - the attendant.
 *
 * It knows the mount by its device number, which the kernel gives to the next mount once ours is
 * gone.  So what it removes must also be dead (ENOTCONN): a mount that somebody has just made in
 * our place answers.
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
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "err.h"
#include "process.h"

#define READY 'r'

/* Readahead, in KiB, that makes a cold sequential read 1.6 times as fast as the kernel's 128. */
#define READ_AHEAD "1024"

/* Mounts of ours that may exist: the one we made and binds of it. */
#define MOUNTS_MAX 64

/* How long a daemon waits for the attendant, in ms. */
#define FINISH_MAX 10000

/* A path in mountinfo has blanks and the like as \ooo. */
static void unescape(char *path)
{
	char *out = path;

	for (const char *in = path; *in; out++) {
		if (in[0] == '\\' && in[1] && in[2] && in[3]) {
			*out = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
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
static bool run_fusermount(const char *path)
{
	const char *const argv[] = {"fusermount3", "-u", "-z", "-q", "--", path, NULL};
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ) != 0)
		return false;
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void remove_dead(dev_t dev)
{
	for (int i = 0; i < MOUNTS_MAX; i++) {
		char *path = mountpoint_of(dev);
		bool removed =
			path && is_dead(path) &&
			(umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || run_fusermount(path));

		free(path);
		if (!removed)
			return;
	}
}

/* Only root may; others keep the kernel's readahead. */
static void set_read_ahead(dev_t dev)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(dev), minor(dev));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	dprintf(fd, READ_AHEAD);
	close(fd);
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

static void attend(const char *mountpoint, dev_t dev, int alive, int told)
{
	struct stat st;
	char byte;

	settle(alive, told);
	/* This waits for the daemon's first answer, or for its end. */
	if (stat(mountpoint, &st) == 0 && st.st_dev == dev)
		set_read_ahead(dev);
	if (!is_dead(mountpoint))
		dprintf(told, "%c", READY);
	while (read(alive, &byte, 1) < 0 && errno == EINTR)
		;
	if (dev)
		remove_dead(dev);
}

int attend_start(struct attend *a, const char *mountpoint, struct err *e)
{
	dev_t dev = mounted_on(mountpoint);
	int alive[2], told[2];
	pid_t pid;

	if (pipe2(alive, O_CLOEXEC) < 0)
		return err_set(e, errno, "pipe: %s", strerror(errno));
	if (pipe2(told, O_CLOEXEC) < 0) {
		close(alive[0]);
		close(alive[1]);
		return err_set(e, errno, "pipe: %s", strerror(errno));
	}
	pid = fork();
	if (pid == 0) {
		attend(mountpoint, dev, alive[0], told[1]);
		_exit(EXIT_SUCCESS);
	}
	close(alive[0]);
	close(told[1]);
	a->alive = alive[1];
	a->told = told[0];
	return pid < 0 ? err_set(e, errno, "fork: %s", strerror(errno)) : 0;
}

bool attend_wait_ready(const struct attend *a)
{
	ssize_t n;
	char byte;

	do
		n = read(a->told, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

void attend_finish(struct attend *a)
{
	struct pollfd end = {.fd = a->told, .events = POLLIN};
	char byte;

	close(a->alive);
	while (poll(&end, 1, FINISH_MAX) > 0 && read(a->told, &byte, 1) > 0)
		;
	close(a->told);
}
