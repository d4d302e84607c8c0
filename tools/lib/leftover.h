/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* leftover.h - incomplete files that are removed when a signal or an error ends the program. */
#ifndef VDISK_TOOLS_LIB_LEFTOVER_H
#define VDISK_TOOLS_LIB_LEFTOVER_H

#include <stdbool.h>

enum leftover {
	LEFTOVER_FILE,    /* a new file: removed */
	LEFTOVER_REGULAR, /* a file written in place: truncated to nothing */
	LEFTOVER_DEVICE,  /* a device: its first sector is zeroed */
};

/* Adds a file.  False: out of memory. */
bool leftover_add(const char *path, enum leftover kind);

/* Forgets all files: they are complete. */
void leftover_forget(void);

/* Removes all files as a signal would, and forgets them. */
void leftover_remove(void);

#endif
