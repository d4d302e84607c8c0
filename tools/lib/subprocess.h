/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* subprocess.h - runs other programs, and waits for daemons. */
#ifndef VDISK_TOOLS_LIB_SUBPROCESS_H
#define VDISK_TOOLS_LIB_SUBPROCESS_H

#include <stdbool.h>
#include <stddef.h>

/* Maximum number of words of a command. */
#define SUBPROCESS_WORDS 64

struct subprocess {
	const char *words[SUBPROCESS_WORDS + 1]; /* borrowed; NULL-terminated */
	unsigned n;
};

void subprocess_add(struct subprocess *c, const char *word);

/* Joins key and value to a value of -o for programs with libfuse: commas and backslashes are
 * escaped by a backslash.  malloc'ed, or NULL without memory. */
char *subprocess_option(const char *key, const char *value);

/* Runs the program and waits for its exit status; 126 if it did not run to its end, 127 if it does
 * not exist.  The kernel kills it if this process ends before. */
int subprocess_run(const struct subprocess *c);

/* The same, but discards its standard output and writes the start of its standard error to text. */
int subprocess_run_quietly(const struct subprocess *c, char *text, size_t size);

/* Appends the sbin directories to PATH: users can run some of these programs, too. */
void subprocess_search_sbin(void);

/* Searches PATH for a program. */
bool subprocess_find(const char *name, char *path, size_t size);

/* Processes to wait for, as pidfds; {.n = 0} at first. */
struct subprocess_await {
	int fds[16];
	unsigned n;
};

/* Adds the processes whose name begins with name and that have word on their command line.  word
 * NULL: whose whole name it is.  Call it before the action that ends them. */
void subprocess_await_begin(struct subprocess_await *a, const char *name, const char *word);

/* Seconds that a daemon may take to write its data and exit. */
#define SUBPROCESS_AWAIT_DAEMON 60

/* Waits for the end of all of them; false if one still runs after that many seconds. */
bool subprocess_await_end(struct subprocess_await *a, unsigned seconds);

#endif
