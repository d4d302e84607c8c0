/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nbdkit.h - runs nbdkit with nbdkit-vdisk-plugin. */
#ifndef VDISK_TOOLS_LIB_NBDKIT_H
#define VDISK_TOOLS_LIB_NBDKIT_H

#include <limits.h>
#include <stdbool.h>

struct string_list;

struct nbdkit {
	char program[PATH_MAX];
	char plugin[PATH_MAX];
};

/* False after an error, which is reported and names the package that is missing. */
bool nbdkit_find(struct nbdkit *n);

/* Serves clients of the listening socket fd.  parameters: those of the plugin, KEY=VALUE.  ready is
 * called when it serves.  Returns when it has ended, after SIGINT, SIGTERM or SIGHUP too: 0, or 1
 * after an error, which is reported. */
int nbdkit_serve(const struct nbdkit *n, const struct string_list *parameters, int fd,
	void (*ready)(void *arg), void *arg);

#endif
