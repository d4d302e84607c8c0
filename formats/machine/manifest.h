/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* manifest.h - the digests of the files of a package. */
#ifndef VDISK_MACHINE_MANIFEST_H
#define VDISK_MACHINE_MANIFEST_H

#include <pthread.h>
#include <stddef.h>

struct err;
struct io;
struct manifest_line;

struct manifest {
	size_t n;
	struct manifest_line *lines; /* by name */
	pthread_mutex_t lock;        /* the digests found; held while a file is read */
};

/* Parses lines "SHA256(name)= hex", in the spelling of any writer, and changes the text.  Free *m
 * with manifest_free. */
int manifest_parse(char *text, struct manifest *m, struct err *e);
void manifest_free(struct manifest *m); /* parsed, or all zero */

/* Compares the digest of io, the file called name in the package, with that in the manifest.
 * -EUCLEAN: they differ.  -ENOENT: the manifest does not list the file.  The first call reads the
 * file, later calls do not. */
int manifest_check(struct manifest *m, const char *name, struct io *io, struct err *e);

#endif
