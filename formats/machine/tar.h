/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tar.h - the members of a tar archive, which are read in place.
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
	char *name;        /* without "./" and doubled slashes; never empty */
	uint64_t pos, len; /* inside the archive */
};

struct tar {
	size_t n;
	struct tar_member *members;        /* regular files, in the order of the archive */
	const struct tar_member **by_name; /* the same; of equal names the first comes first */
};

/* The TAR_PEEK bytes at head are those of an archive. */
#define TAR_PEEK 512u
bool tar_probe(const unsigned char *head);

/* A header in the first n bytes of an archive has a name with this end. */
bool tar_head_names(const unsigned char *head, size_t n, const char *end);

/* Reads all headers.  Free *t with tar_free.  The error does not name the archive. */
int tar_read(struct io *io, struct tar *t, struct err *e);
void tar_free(struct tar *t);

/* The first member of that name, or NULL. */
const struct tar_member *tar_find(const struct tar *t, const char *name);

/* The next of the same name, or NULL. */
const struct tar_member *tar_again(const struct tar *t, const struct tar_member *m);

/* Removes "." and doubled slashes from a path; "./" becomes "".  -EINVAL: it begins with a slash or
 * has a "..", and is unchanged. */
int tar_tidy(char *path);

#endif
