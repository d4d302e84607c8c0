/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* named.h - opening the files that a user names: paths, and URIs of servers that are connected. */
#ifndef VDISK_OPEN_NAMED_H
#define VDISK_OPEN_NAMED_H

#include <stdbool.h>

struct err;
struct image_options;
struct io;

/* Is it the name of a server in o? */
bool named_is_server(const char *name, const struct image_options *o);

/* NULL on failure, also for a name with a protocol, which is no path, and for the URI of a server
 * that is not in o. */
struct io *named_open(const char *name, const struct image_options *o, struct err *e);

#endif
