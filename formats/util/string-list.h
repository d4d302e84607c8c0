/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* string-list.h - strings that are collected one by one, such as the values of a repeated option.
 */
#ifndef VDISK_UTIL_STRING_LIST_H
#define VDISK_UTIL_STRING_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* {0} is an empty one. */
struct string_list {
	char **v; /* n strings and NULL; NULL while the list is empty */
	size_t n;
};

/* Appends a copy of text; false without memory. */
bool string_list_add(struct string_list *list, const char *text);

void string_list_free(struct string_list *list);

#endif
