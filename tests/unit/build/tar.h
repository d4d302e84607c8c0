/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tar.h - tar archives in memory, built header by header. */
#ifndef UNIT_BUILD_TAR_H
#define UNIT_BUILD_TAR_H

#include <stddef.h>
#include <stdint.h>

struct tar_build {
	unsigned char *data;
	size_t len;
	unsigned char *last; /* the last header; valid until the next one is added */
};

/* Adds a header and len bytes of data (NULL: zeroes), padded to a block. */
void tar_build_add(struct tar_build *t, char type, const char *name, const void *data, size_t len);

/* Adds a regular file with this text. */
void tar_build_file(struct tar_build *t, const char *name, const char *text);

/* Adds a pax header of type x or g. */
void tar_build_pax(struct tar_build *t, char type, const char *key, const char *value);

/* Recomputes the checksum of the last header. */
void tar_build_seal(struct tar_build *t);

/* Adds the end of the archive, two blocks of zeroes. */
void tar_build_end(struct tar_build *t);
void tar_build_write(const struct tar_build *t, const char *path);
void tar_build_free(struct tar_build *t);

#endif
