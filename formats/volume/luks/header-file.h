/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header-file.h - LUKS headers in files of their own: detached ones, whose device has none, and
 * backups of those that were lost.
 */
#ifndef VDISK_VOLUME_LUKS_HEADER_FILE_H
#define VDISK_VOLUME_LUKS_HEADER_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "util/guid.h"

struct err;
struct io;
struct luks;

struct luks_header_file {
	struct luks_header_file *next;
	char uuid[GUID_TEXT]; /* of the partition, or of the header on the device, that it is for;
				 "": of the header in the file */
	struct io *io;
};

/* Opens each of names (NULL-terminated, or NULL), "FILE" or "UUID:FILE", in their order, into the
 * list *all, which the caller frees also after an error. */
int luks_headers_open(const char *const *names, struct luks_header_file **all, struct err *e);
void luks_headers_free(struct luks_header_file *all); /* NULL is fine */

/* A device with a LUKS header, or that one of the files may be for. */
struct luks_device {
	struct io *io;
	uint64_t len;
	const char *partuuid; /* "" = none */
	bool is_bare; /* nothing is known of its content: a file that names no UUID is for it */
};

/* Reads the header of a device from the file that is for it, or else its own one, as luks_read. */
int luks_read_device(struct luks *l, const struct luks_device *d,
	const struct luks_header_file *files, struct err *e);

#endif
