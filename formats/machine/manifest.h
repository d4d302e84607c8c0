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
	pthread_mutex_t lock;        /* what was found out; held while a file is read */
};

/* Reads lines "SHA256(name)= hex", in the spelling of any writer, and leaves nothing of the text.
 * *m is to be freed. */
int manifest_parse(char *text, struct manifest *m, struct err *e);
void manifest_free(struct manifest *m); /* of one that was parsed, or of zeroes */

/* Compares the file name of the package, which is open as io, with its digest.  EUCLEAN: they
 * differ. ENOENT: the manifest does not list it.  The file is read once, in the first call. */
int manifest_check(struct manifest *m, const char *name, struct io *io, struct err *e);

#endif
