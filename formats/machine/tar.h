/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tar.h - the table of contents of a tar archive, whose members are then read in place.
 *
 * Supported are ustar, its extensions by GNU tar and pax for long names and large members, and the
 * older format.  An archive with anything but files is refused: links, devices, names that lead out
 * of it.
 */
#ifndef VDISK_MACHINE_TAR_H
#define VDISK_MACHINE_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct io;

struct tar_member {
	char *name; /* without "./", doubled slashes and what else means nothing; never empty */
	uint64_t pos, len; /* inside the archive */
};

struct tar {
	size_t n;
	struct tar_member *members;        /* regular files, as they come */
	const struct tar_member **by_name; /* the same; of equal names the first comes first */
};

/* Are the TAR_PEEK bytes at head those of an archive? */
#define TAR_PEEK 512u
bool tar_probe(const unsigned char *head);

/* Does a header among the n bytes at the head of an archive have a name that ends so? */
bool tar_head_names(const unsigned char *head, size_t n, const char *end);

/* Fills *t, which is to be freed.  The error does not name the archive. */
int tar_read(struct io *io, struct tar *t, struct err *e);
void tar_free(struct tar *t);

/* The first member of that name, or NULL. */
const struct tar_member *tar_find(const struct tar *t, const char *name);

/* The next of the same name, or NULL. */
const struct tar_member *tar_again(const struct tar *t, const struct tar_member *m);

/* Takes "." and doubled slashes out of a path, and leaves nothing of "./".  -EINVAL: it begins with
 * a slash or has a "..", and stays as it was. */
int tar_tidy(char *path);

#endif
