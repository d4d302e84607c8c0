/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* package-impl.h - an opened package, for package.c and package-disk.c only. */
#ifndef VDISK_OPEN_PACKAGE_IMPL_H
#define VDISK_OPEN_PACKAGE_IMPL_H

#include "image/image.h"
#include "io/gate.h"
#include "machine/manifest.h"
#include "machine/ovf.h"
#include "package.h"
#include "machine/tar.h"

struct package {
	unsigned refs;
	const struct image_options *opts;
	struct io *io; /* the archive or the descriptor */
	char *path;
	bool is_archive;
	struct tar tar;
	char *dir; /* that names in the descriptor start from: of the host, or in the archive */
	struct gate gate; /* for the names in the descriptor; borrows path and dir */
	struct ovf ovf;
	bool has_manifest;
	struct manifest manifest;
};

void package_warn(const struct package *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Warns that unpacking takes long; name: for the user. */
void package_warn_of_unpacking(const struct package *p, const struct io *packed, const char *name);

/* Opens and locks the file that the descriptor calls name. */
int package_open_file(
	const struct package *p, const char *name, const char *what, struct io **io, struct err *e);

#endif
