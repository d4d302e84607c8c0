/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* automount DIR COMMAND...
 *
 * Does what automount(8) and systemd do for a direct map: mounts autofs on DIR and runs COMMAND at
 * the first access.  The kernel blocks accesses by processes outside of this process group until
 * COMMAND has ended.  Prints "ready" when DIR can be used; ends by SIGTERM. */
#include <errno.h>
#include <fcntl.h>
#include <linux/auto_fs.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t ending;

static void end(int signal)
{
	(void)signal;
	ending = 1;
}

static int mount_autofs(const char *dir, int pipe_end)
{
	char options[128];

	snprintf(options, sizeof options, "fd=%d,pgrp=%d,minproto=5,maxproto=5,direct", pipe_end,
		(int)getpgrp());
	if (mount("automount", dir, "autofs", 0, options) < 0)
		return -1;
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool run(char **command)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGTERM, SIG_DFL);
		execvp(command[0], command);
		perror(command[0]);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && status == 0;
}

static void serve(int requests, int root, char **command)
{
	union autofs_v5_packet_union packet;
	ssize_t n;

	while (!ending) {
		n = read(requests, &packet, sizeof packet);
		if (n < (ssize_t)sizeof packet.v5_packet)
			continue;
		if (packet.hdr.type != autofs_ptype_missing_direct)
			ioctl(root, AUTOFS_IOC_FAIL, packet.v5_packet.wait_queue_token);
		else if (run(command))
			ioctl(root, AUTOFS_IOC_READY, packet.v5_packet.wait_queue_token);
		else
			ioctl(root, AUTOFS_IOC_FAIL, packet.v5_packet.wait_queue_token);
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = end};
	int ends[2], root;

	if (argc < 3)
		return 2;
	sigaction(SIGTERM, &action, NULL);
	if ((getpgrp() != getpid() && setpgid(0, 0) < 0) || pipe2(ends, O_CLOEXEC) < 0 ||
		(root = mount_autofs(argv[1], ends[1])) < 0) {
		perror("automount");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	serve(ends[0], root, argv + 2);
	close(root);
	umount2(argv[1], MNT_DETACH);
	return 0;
}
