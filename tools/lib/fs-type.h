/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fs-type.h - a table of how each type of file system is mounted; types are named by libblkid. */
#ifndef VDISK_TOOLS_LIB_FS_TYPE_H
#define VDISK_TOOLS_LIB_FS_TYPE_H

#include <stdbool.h>
#include <stddef.h>

struct fs_type {
	const char *types;      /* names, separated by blanks */
	const char *kernel;     /* additional options for mount(8), or NULL */
	const char *norecovery; /* the option that skips replaying the journal */
	const char *driver;     /* another name of the kernel's driver */
	const char *program;    /* a FUSE program for users; NULL: none is known */
	const char *package;    /* its Debian package */
	const char *fsck;       /* checks the file before the program may write to it */
	const char *flag;       /* an additional flag for the program */
	const char *options;    /* additional -o options for the program */
	const char *program_norecovery;
	bool names_source;   /* the program has no fsname option: its source is the file already */
	bool program_writes; /* its writing is reliable */
	bool read_only;      /* the format cannot be written */
};

/* Returns a row without a driver or program for an unknown type. */
const struct fs_type *fs_type_find(const char *type);

/* Writes the commands by which root mounts a file system inside of a container (LVM, LUKS...) in
 * file to text.  False: none are known for this type. */
bool fs_type_advice(const char *type, const char *file, char *text, size_t size);

#endif
