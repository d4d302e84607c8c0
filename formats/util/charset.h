/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* charset.h - names in the encodings that VMware's texts declare. */
#ifndef VDISK_UTIL_CHARSET_H
#define VDISK_UTIL_CHARSET_H

#include <stddef.h>

struct encodings;
struct err;

/* Writes name, which is in the declared encoding (NULL: UTF-8), as UTF-8 to out; size counts the
 * NUL.  A name of n bytes takes 3 * n + 1 at most. */
int charset_decode(const char *declared, const char *name, char *out, size_t size, struct err *e);

/* Keeps the converters loaded, for a process that cannot load them later: NULL without memory. */
struct encodings *charsets_load(void);
void charsets_free(struct encodings *all); /* NULL is fine */

#endif
