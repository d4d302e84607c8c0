/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* option-list.h - options of QEMU's objects, as NAME=VALUE,... or as JSON.
 *
 * The members of an object in JSON have dotted names, "file.filename".
 */
#ifndef VDISK_UTIL_OPTION_LIST_H
#define VDISK_UTIL_OPTION_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define OPTION_LIST_MAX  64
#define OPTION_LIST_NAME 96

struct err;

struct option_value {
	char name[OPTION_LIST_NAME];
	char *value;
	bool used; /* for the reader */
};

/* {0} is an empty list.  Free it, also after an error. */
struct option_list {
	struct option_value list[OPTION_LIST_MAX];
	size_t n;
};

/* A comma in a value is written twice.  first: the name of a first word without one; NULL: it is
 * refused. */
int option_list_read(struct option_list *o, const char *text, const char *first, struct err *e);

/* null is "". */
int option_list_read_json(struct option_list *o, const char *text, struct err *e);

/* NULL: there is none. */
const char *option_list_value(const struct option_list *o, const char *name);

void option_list_free(struct option_list *o);

#endif
