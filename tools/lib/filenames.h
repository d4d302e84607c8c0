/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* filenames.h - what the files of a chain are called beside a name that the user gave. */
#ifndef VDISK_TOOLS_LIB_FILENAMES_H
#define VDISK_TOOLS_LIB_FILENAMES_H

#include <stdbool.h>

struct image;
struct io;

/* name, as the file base says it, seen from here; malloc'ed or NULL without memory. */
char *filenames_beside(const char *base, const char *name);

/* Prints the hint that -F names the format of the backing file, and which one it looks like; base
 * is the image that shall have it. */
void filenames_hint_backing_format(const char *base, const char *backing);

/* What the parent of img is called if img is called name: what img says, seen from where name is;
 * or where it was found, if it is another file.  malloc'ed; NULL: no parent is known by name. */
char *filenames_parent(const struct image *img, const char *name);

/* Is the parent of img, which is called name, the one that the user calls parent: as img says it,
 * from here, or from where name is? */
bool filenames_is_parent(const struct image *img, const char *name, const char *parent);

/* What io, of the chain of img, is called if img is called name; malloc'ed or NULL without memory.
 */
char *filenames_of_io(const struct image *img, const char *name, const struct io *io);

#endif
