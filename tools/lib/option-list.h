/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* option-list.h - the creation options of -o, "NAME=VALUE,NAME=VALUE...".  A comma in a value is
 * written twice, as qemu-img has it. */
#ifndef VDISK_TOOLS_LIB_OPTION_LIST_H
#define VDISK_TOOLS_LIB_OPTION_LIST_H

#include <stdbool.h>

struct args;
struct format;
struct string_list;

/* Splits the values of all -o into "NAME=VALUE"s.  False: out of memory, which is reported.  Free
 * options in either case. */
bool option_list_read(struct string_list *options, const struct args *a);

/* Removes all options NAME=... and returns the value of the last one, malloc'ed; NULL: none. */
char *option_list_take(struct string_list *options, const char *name);

/* Prints the options of f if one of options is "help" or "?"; true if it did. */
bool option_list_help(const struct string_list *options, const struct format *f);

#endif
