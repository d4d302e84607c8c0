/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* filename.h - file names made from what an image calls its parts.
 *
 * An image may call a snapshot anything; a directory entry is 1 to 255 bytes, has no '/', and
 * should not drive the terminal that it is listed on.  Works without FUSE and without the tree.
 */
#ifndef VDISKFS_BASE_FILENAME_H
#define VDISKFS_BASE_FILENAME_H

#include <stdbool.h>

/* raw as a directory entry: '/', characters that utf8_is_visible does not let pass and what is not
 * UTF-8 become %XX, so do "." and "..", and what passes 255 bytes is cut.  "" stays "".  malloc'ed
 * or NULL. */
char *filename_escape(const char *raw);

/* The names in use in one directory. */
struct filename_set {
	void *root; /* NULL: none */
};

/* Takes wanted, or wanted~2, wanted~3... when it is taken; what was taken is malloc'ed, NULL
 * without memory.  n names cost O(n log n), even n equal ones. */
char *filename_set_add(struct filename_set *names, const char *wanted);

/* Takes this very name; false when it is taken (or without memory). */
bool filename_set_claim(struct filename_set *names, const char *name);

void filename_set_clear(struct filename_set *names);

#endif
