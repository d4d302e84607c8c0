/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "flag.h"

#include <stddef.h>
#include <string.h>

bool flag_parse(const char *word, bool *on)
{
	static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "n", "y"};

	for (size_t i = 0; word && i < sizeof words / sizeof words[0]; i++) {
		*on = i % 2 == 1;
		if (strcmp(word, words[i]) == 0)
			return true;
	}
	return false;
}
