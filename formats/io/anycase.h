/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* anycase.h - names from systems that do not tell upper from lower case. */
#ifndef VDISK_IO_ANYCASE_H
#define VDISK_IO_ANYCASE_H

/* The one name in the directory dir that is name but for the case of its ASCII letters, malloc'ed;
 * NULL: there is none, there are several, or name has a directory in it. */
char *anycase_find(const char *dir, const char *name);

#endif
