/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* manifest.h - the digests that a package says its files have. */
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

/* Is the file that the package calls name, which io has open, as the manifest says?  EUCLEAN: it is
 * not, and how.  ENOENT: the manifest does not tell of it.  Reads it when this is first asked. */
int manifest_check(struct manifest *m, const char *name, struct io *io, struct err *e);

#endif
