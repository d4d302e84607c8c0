/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* filename.h - makes file names from names in images.
 *
 * The name of a snapshot can be any text; a directory entry has 1 to 255 bytes, no '/', should have
 * no control characters for the terminal that lists it, and is unique in its directory.
 */
#ifndef VDISK_UTIL_FILENAME_H
#define VDISK_UTIL_FILENAME_H

#include <stdbool.h>
#include <stddef.h>

/* Escapes raw: "/", characters that utf8_is_visible rejects, invalid UTF-8 and the names "." and
 * ".." become %XX.  Cuts after 255 bytes.  "" stays "".  malloc'ed, or NULL without memory. */
char *filename_escape(const char *raw);

/* The length of the first part of name that is followed by a suffix of that length in a file name:
 * whole characters. */
size_t filename_stem_len(const char *name, size_t suffix);

/* The names in one directory. */
struct filename_set {
	void *root; /* NULL: none */
};

/* Adds wanted, or wanted~2, wanted~3... if it is in use, and returns it, malloc'ed; NULL without
 * memory. n names cost O(n log n), even n equal ones. */
char *filename_set_add(struct filename_set *names, const char *wanted);

/* The same of filename_escape(raw), or of "unnamed" if raw is "". */
char *filename_set_add_raw(struct filename_set *names, const char *raw);

/* Adds this name; false if it is in use, or without memory. */
bool filename_set_claim(struct filename_set *names, const char *name);

void filename_set_clear(struct filename_set *names);

#endif
