/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* option-list.h - the values of -o: "name=value,name=value", a comma in a value being written
 * twice. */
#ifndef VDISK_TOOLS_LIB_OPTION_LIST_H
#define VDISK_TOOLS_LIB_OPTION_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "verb.h"

struct args;
struct format;

struct option_list {
	char **v; /* NULL-terminated; or NULL when there is none */
	size_t n;
};

/* The words of all -o, split; false: there is no memory, and that has been told. */
bool option_list_read(struct option_list *w, const struct args *a);
void option_list_free(struct option_list *w);

/* Takes the last word "name=..." out and returns its value, malloc'ed; NULL: there is none. */
char *option_list_take(struct option_list *w, const char *name);

/* Does one of them ask for help?  Then help has been printed. */
bool option_list_help(const struct option_list *w, const struct format *f);

#endif
