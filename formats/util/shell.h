/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shell.h - names as words of a command line that a user can paste. */
#ifndef VDISK_UTIL_SHELL_H
#define VDISK_UTIL_SHELL_H

struct shell_word {
	char text[1024]; /* a longer one is cut, as messages are */
};

/* The name as it is when the shell takes it for one word, and in single quotes otherwise. */
struct shell_word shell_word(const char *name);

#endif
