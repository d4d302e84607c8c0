/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* filenames.h - names of the files of a chain for output, built like qemu-img: the name that the
 * user gave for the top image, followed by the names recorded in the images. */
#ifndef VDISK_TOOLS_LIB_FILENAMES_H
#define VDISK_TOOLS_LIB_FILENAMES_H

#include <stdbool.h>

struct image;
struct io;

/* Resolves name, as recorded in the file base, to a path from the current directory; malloc'ed, or
 * NULL without memory. */
char *filenames_beside(const char *base, const char *name);

/* Prints a hint to use -F for the format of backing, the backing file of base, with the format that
 * its contents suggest. */
void filenames_hint_backing_format(const char *base, const char *backing);

/* The name of the parent of img, whose own name is name: the recorded name, or the path of the file
 * that was opened if that is a different one.  malloc'ed; NULL: no parent, or none with a name. */
char *filenames_parent(const struct image *img, const char *name);

/* Does the file name record parent as that of its parent?  It may be the recorded name, or another
 * one, seen from the directory of name, that leads to the same file. */
bool filenames_records(const struct image *img, const char *name, const char *parent);

/* Does parent, as the user gave it, mean the parent of img, whose own name is name?  It may be the
 * recorded name, or a path from the current directory or from that of name. */
bool filenames_is_parent(const struct image *img, const char *name, const char *parent);

/* The path of name without symbolic links; the URI of an NBD server as it is.  malloc'ed, or NULL
 * with errno. */
char *filenames_resolve(const char *name);

/* The name of io, a file of the chain of img, whose own name is name; malloc'ed, or NULL without
 * memory. */
char *filenames_of_io(const struct image *img, const char *name, const struct io *io);

#endif
