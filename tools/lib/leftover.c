/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* leftover.c - see leftover.h.  A signal handler reads the list at any time: an entry is published
 * by one atomic store, and never freed. */
#include "leftover.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct leftover_entry {
	enum leftover kind;
	atomic_bool live;
	struct leftover_entry *next;
	char path[];
};

static _Atomic(struct leftover_entry *) entries;

static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGXCPU};

#define NSIGNALS (sizeof signals / sizeof signals[0])

/* Calls only functions that are safe in a signal handler. */
static void remove_entry(const struct leftover_entry *entry)
{
	static const char zeroes[512];
	int fd;

	if (entry->kind == LEFTOVER_FILE) {
		unlink(entry->path);
		return;
	}
	fd = open(entry->path,
		O_WRONLY | O_CLOEXEC | (entry->kind == LEFTOVER_REGULAR ? O_TRUNC : 0));
	if (fd < 0)
		return;
	if (entry->kind == LEFTOVER_DEVICE && pwrite(fd, zeroes, sizeof zeroes, 0) < 0)
		_exit(EXIT_FAILURE);
	close(fd);
}

void leftover_remove(void)
{
	for (struct leftover_entry *entry = entries; entry; entry = entry->next)
		if (atomic_exchange(&entry->live, false))
			remove_entry(entry);
}

static void on_signal(int number)
{
	leftover_remove();
	/* SA_RESETHAND has restored the default action; the signal is blocked until this function
	 * returns. */
	raise(number);
}

/* Signals that are ignored stay so (nohup). */
static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND}, old;

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < NSIGNALS; i++)
		sigaddset(&action.sa_mask, signals[i]);
	for (size_t i = 0; i < NSIGNALS; i++)
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			sigaction(signals[i], &action, NULL);
}

bool leftover_add(const char *path, enum leftover kind)
{
	size_t n = strlen(path) + 1;
	struct leftover_entry *entry = calloc(1, sizeof *entry + n);

	if (!entry)
		return false;
	if (!entries)
		catch_signals();
	memcpy(entry->path, path, n);
	entry->kind = kind;
	entry->live = true;
	entry->next = entries;
	entries = entry;
	return true;
}

void leftover_forget(void)
{
	for (struct leftover_entry *entry = entries; entry; entry = entry->next)
		entry->live = false;
}
