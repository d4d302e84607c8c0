/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tar.h - tar archives in memory, header by header. */
#ifndef UNIT_BUILD_TAR_H
#define UNIT_BUILD_TAR_H

#include <stddef.h>
#include <stdint.h>

struct tar_build {
	unsigned char *data;
	size_t len;
	unsigned char *last; /* the header that was added last */
};

/* One header and len bytes of data (NULL: zeroes), padded. */
void tar_build_add(struct tar_build *t, char type, const char *name, const void *data, size_t len);

/* A regular file with text in it. */
void tar_build_file(struct tar_build *t, const char *name, const char *text);

/* A header of pax, of type x or g. */
void tar_build_pax(struct tar_build *t, char type, const char *key, const char *value);

/* Sets the checksum of the last header. */
void tar_build_seal(struct tar_build *t);

/* Two blocks of zeroes. */
void tar_build_end(struct tar_build *t);
void tar_build_write(const struct tar_build *t, const char *path);
void tar_build_free(struct tar_build *t);

#endif
