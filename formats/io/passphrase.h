/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* passphrase.h - passphrases for encrypted images.
 *
 * They are in memory that is not swapped out, as far as the host allows it, nor written to core
 * files, and that is wiped before it is freed.
 */
#ifndef VDISK_IO_PASSPHRASE_H
#define VDISK_IO_PASSPHRASE_H

#include <stddef.h>

#include "util/guid.h"

struct err;

struct passphrase {
	struct passphrase *next; /* another one to try, or NULL */
	char uuid[GUID_TEXT];    /* of the one volume that it is for, in lower case; "": for all */
	unsigned char *bytes;
	size_t len;
};

/* Reads the whole of a file, pipe or the like; "-" is standard input.  "UUID:FILE" is one that is
 * for a single volume. */
struct passphrase *passphrase_read(const char *file, struct err *e);

/* A copy of len bytes, at most SECRET_MAX. */
struct passphrase *passphrase_new(const void *bytes, size_t len, struct err *e);

/* The first one, from s on, that is for the volume of this UUID; NULL: there is none. */
const struct passphrase *passphrase_for(const struct passphrase *s, const char *uuid);

/* For programs, before they read any: core files and debuggers lose access to the process, and
 * children do not get the passphrases.  A server that goes into the background opens an image
 * before, and does not call this. */
void passphrase_guard(void);

/* Reads each of files (NULL-terminated, or NULL), in their order, into the list *all, which the
 * caller frees also after an error. */
int passphrase_read_all(const char *const *files, struct passphrase **all, struct err *e);

/* For drivers: the error of an image with this encryption, without a passphrase.  -ENOKEY. */
int passphrase_missing(const char *encryption, struct err *e);

/* Wipes and frees s and those after it; NULL is fine. */
void passphrase_free(struct passphrase *s);

#endif
