/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox.h - the daemon locks itself in, once everything that it needs is open.
 *
 * Afterwards no thread of it can open, create or execute a file, make a socket or signal another
 * process (Landlock), nor call what serving reads does not need (seccomp): what a hostile image
 * could make of a fault in a driver ends there.  A mount of a directory goes on to open images: it
 * may read what is below that directory and below those that the user allowed, and no more; one
 * that can be written may write, make and remove files below the directory alone.
 */
#ifndef VDISKFS_DAEMON_SANDBOX_H
#define VDISKFS_DAEMON_SANDBOX_H

#include <stdbool.h>

struct err;

/* What may be opened afterwards: files in and below these directories. */
struct locked_in {
	const char *const *readable; /* NULL-terminated; NULL: nowhere */
	const char *writable;        /* one of those; NULL: nowhere */
};

enum sandbox_mode {
	SANDBOX_ON,     /* as far as the kernel goes along */
	SANDBOX_STRICT, /* all of it, or fail */
	SANDBOX_OFF,
};

/* Does sandbox_enter do anything?  Not in a build with sanitizers, unless told to be strict. */
bool sandbox_applies(enum sandbox_mode mode);

/* Can this be had?  Asked before there is a mount. */
int sandbox_check(enum sandbox_mode mode, struct err *e);

/* Before the first thread is started. */
int sandbox_enter(enum sandbox_mode mode, const struct locked_in *in, struct err *e);

#endif
