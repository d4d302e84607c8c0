/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* protocol.h - names that begin with a protocol, and are no paths of files.
 *
 * A name that a user gives to a program is a path, unless a known protocol is in front of it:
 * "nbd://host/disk", "ssh:", "json:".  Such a name never becomes a local file.  A file of that name
 * is meant by "./nbd:x".
 */
#ifndef VDISK_UTIL_PROTOCOL_H
#define VDISK_UTIL_PROTOCOL_H

#include <stdbool.h>

struct err;

/* Is the name the URI of an NBD server, as libnbd takes it: nbd://, nbds://, nbd+unix://,
 * nbds+unix://, nbd+vsock:// or nbds+vsock://? */
bool protocol_is_nbd(const char *name);

/* Does the name begin with a known protocol? */
bool protocol_is_in(const char *name);

/* 0 for a path; ENOTSUP, with a hint at what does reach the place, for any name that begins with a
 * protocol.  A caller that can open NBD servers asks protocol_is_nbd first. */
int protocol_refuse(const char *name, struct err *e);

#endif
