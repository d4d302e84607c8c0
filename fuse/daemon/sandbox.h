/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox.h - confines the daemon once everything that it needs is open, so that a hostile image
 * which exploits an error in a driver gains nothing.
 *
 * Afterwards no thread can open, create or execute a file, create a socket or signal another
 * process (Landlock), or make a system call that serving does not need (seccomp).  The mount of a
 * directory still opens images: it can read files below that directory and below the allowed ones;
 * a writable one can write, create and remove files below the directory only.
 */
#ifndef VDISKFS_DAEMON_SANDBOX_H
#define VDISKFS_DAEMON_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define LOCKED_IN_SOCKETS 16

/* Files that can be opened afterwards, and sockets. */
struct locked_in {
	/* In and below these directories: */
	const char *const *readable; /* NULL-terminated; NULL: none */
	const char *writable;        /* one of those; NULL: none */
	/* Files that are open, for reading: the kernel opens backing files with the rights of the
	 * daemon (ops/passthrough.h). */
	int *files;
	size_t nfiles;
	/* Connected sockets that are used, of servers. */
	uint32_t sockets[LOCKED_IN_SOCKETS];
	unsigned nsockets;
};

enum sandbox_mode {
	SANDBOX_ON,     /* as far as the kernel supports it */
	SANDBOX_STRICT, /* fail if the kernel does not support all of it */
	SANDBOX_OFF,
};

/* Will sandbox_enter confine the process?  In a build with sanitizers only with SANDBOX_STRICT. */
bool sandbox_applies(enum sandbox_mode mode);

/* Fails if this kernel cannot enforce the mode.  To be called before mounting. */
int sandbox_check(enum sandbox_mode mode, struct err *e);

/* To be called before the first thread is started. */
int sandbox_enter(enum sandbox_mode mode, const struct locked_in *in, struct err *e);

#endif
