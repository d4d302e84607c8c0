/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* child.h - other programs at work for us. */
#ifndef VDISK_CHILD_H
#define VDISK_CHILD_H

#include <stdbool.h>

/* Words of a command, NULL-terminated as soon as there is one; words are borrowed. */
#define COMMAND_MAX 64

struct command {
	const char *words[COMMAND_MAX + 1];
	unsigned n;
};

void command_add(struct command *c, const char *word);

/* Runs it and waits: its exit status, 127 when it is not there.  quiet: what it says is thrown
 * away. */
int command_run(const struct command *c, bool quiet);

/* Is there a program of that name on the way? */
bool command_is_there(const char *name);

/* Waits until all processes have ended whose command line has this word, and whose program is
 * called name.  To be begun before whatever ends them. */
struct awaited {
	int fds[16]; /* of processes */
	unsigned n;
};

void await_begin(struct awaited *a, const char *name, const char *word);

/* False: one is still there after so many seconds. */
bool await_end(struct awaited *a, unsigned seconds);

#endif
