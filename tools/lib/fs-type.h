/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fs-type.h - how file systems are mounted, by libblkid's names of them. */
#ifndef VDISK_TOOLS_LIB_FS_TYPE_H
#define VDISK_TOOLS_LIB_FS_TYPE_H

#include <stdbool.h>
#include <stddef.h>

struct fs_type {
	const char *types;      /* names, with blanks between */
	const char *kernel;     /* options of mount(8) besides the usual ones; NULL: none */
	const char *norecovery; /* that leave a journal alone which needs to be replayed */
	const char *driver;     /* another name that a driver in the kernel goes by */
	const char *program;    /* serves it for a user; NULL: no such program is known */
	const char *package;    /* that has it, in Debian */
	const char *fsck;       /* puts the file right first when it shall be written to */
	const char *flag;       /* of the program */
	const char *options;    /* behind its -o */
	const char *program_norecovery;
	bool names_source; /* the program calls its mount by the file itself, and takes no fsname */
	bool program_writes; /* and can be trusted to write */
	bool read_only;      /* by its nature */
};

/* Has unknown members where nothing is known. */
const struct fs_type *fs_type_find(const char *type);

/* What root can type to mount a file system that is inside of this one, which is in file: LVM,
 * LUKS...  False: nothing. */
bool fs_type_advice(const char *type, const char *file, char *text, size_t size);

#endif
