/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "anycase.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host.h"

char *anycase_find(const char *dir, const char *name)
{
	struct dirent **list;
	int n = strchr(name, '/') ? -1 : host_scandir(dir, &list, NULL, NULL);
	size_t count = 0;
	char *found = NULL;

	for (int i = 0; i < n; i++) {
		if (strcasecmp(list[i]->d_name, name) == 0 && count++ == 0)
			found = strdup(list[i]->d_name);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	if (count > 1) {
		free(found);
		found = NULL;
	}
	return found;
}
