/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "string-list.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"

bool string_list_add(struct string_list *list, const char *text)
{
	char **v = array_grow(list->v, list->n + 1, sizeof v[0]); /* 1: the NULL */

	if (!v)
		return false;
	list->v = v;
	v[list->n] = strdup(text);
	if (!v[list->n])
		return false;
	v[++list->n] = NULL;
	return true;
}

void string_list_free(struct string_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i]);
	free(list->v);
	*list = (struct string_list){0};
}
