/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* leftover.h - files that are removed when a signal ends the program. */
#ifndef VDISK_TOOLS_LIB_LEFTOVER_H
#define VDISK_TOOLS_LIB_LEFTOVER_H

#include <stdbool.h>

enum leftover {
	LEFTOVER_FILE,    /* is removed */
	LEFTOVER_REGULAR, /* is emptied */
	LEFTOVER_DEVICE,  /* loses its first sector */
};

/* From now on, until leftover_forget.  False: out of memory. */
bool leftover_add(const char *path, enum leftover kind);

/* The files are complete, or gone. */
void leftover_forget(void);

/* Does what a signal would do; then they are forgotten. */
void leftover_remove(void);

#endif
