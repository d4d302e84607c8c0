/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* subprocess.h - other programs at work for us. */
#ifndef VDISK_TOOLS_LIB_SUBPROCESS_H
#define VDISK_TOOLS_LIB_SUBPROCESS_H

#include <stdbool.h>
#include <stddef.h>

/* Words of a command, NULL-terminated as soon as there is one; words are borrowed. */
#define SUBPROCESS_WORDS 64

struct subprocess {
	const char *words[SUBPROCESS_WORDS + 1];
	unsigned n;
};

void subprocess_add(struct subprocess *c, const char *word);

/* A word of -o for programs with libfuse, which takes a comma and a backslash only behind another
 * backslash; malloc'ed or NULL. */
char *subprocess_option(const char *key, const char *value);

/* Runs it and waits: its exit status, 127 when it is not there.  It is killed if we are. */
int subprocess_run(const struct subprocess *c);

/* Likewise, but its standard output is thrown away, and the beginning of its standard error becomes
 * text. */
int subprocess_run_quietly(const struct subprocess *c, char *text, size_t size);

/* Adds to PATH where programs for administrators are, which users can run as well. */
void subprocess_search_sbin(void);

/* Looks for a program of that name in PATH. */
bool subprocess_find(const char *name, char *path, size_t size);

/* Waits until all processes have ended whose command line has this word, and whose program is
 * called name.  To be begun before whatever ends them. */
struct subprocess_await {
	int fds[16]; /* of processes */
	unsigned n;
};

void subprocess_await_begin(struct subprocess_await *a, const char *name, const char *word);

/* How many seconds a daemon has to write out what it holds and to end. */
#define SUBPROCESS_AWAIT_DAEMON 60

/* False: one is still there after so many seconds. */
bool subprocess_await_end(struct subprocess_await *a, unsigned seconds);

#endif
