/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* firstbyte FILE COMMAND ARGUMENT... - measures how long a mount takes: runs COMMAND, which ends
 * when its server is in the background, then tries to read the first byte of FILE until it
 * succeeds.  Prints milliseconds.  The output of COMMAND goes to standard error. */
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GIVE_UP_MS 20000

extern char **environ;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/* The server must not inherit standard output: its reader waits until all copies are closed. */
static bool run(char **argv)
{
	posix_spawn_file_actions_t actions;
	int status;
	pid_t pid;
	bool started;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	started = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) == 0;
	posix_spawn_file_actions_destroy(&actions);
	return started && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool has_first_byte(const char *name)
{
	int fd = open(name, O_RDONLY);
	char byte;
	bool yes;

	if (fd < 0)
		return false;
	yes = read(fd, &byte, 1) == 1;
	close(fd);
	return yes;
}

int main(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = 100000};
	double start = now_ms();

	if (argc < 3)
		return 2;
	if (!run(argv + 2)) {
		fprintf(stderr, "firstbyte: %s failed\n", argv[2]);
		return 1;
	}
	while (!has_first_byte(argv[1])) {
		if (now_ms() - start > GIVE_UP_MS) {
			fprintf(stderr, "firstbyte: %s cannot be read\n", argv[1]);
			return 1;
		}
		nanosleep(&pause, NULL);
	}
	printf("%.2f\n", now_ms() - start);
	return 0;
}
