/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fuse-conf.c - see fuse-conf.h. */
#include "fuse-conf.h"

#include <stdio.h>
#include <string.h>

bool fuse_conf_allows_other(void)
{
	FILE *f = fopen("/etc/fuse.conf", "re");
	char line[256], word[sizeof line], rest;
	bool allows = false;

	/* fusermount3 accepts the word only if it stands alone on its line. */
	while (f && fgets(line, sizeof line, f)) {
		line[strcspn(line, "#")] = '\0';
		if (sscanf(line, "%255s %c", word, &rest) == 1 &&
			strcmp(word, "user_allow_other") == 0)
			allows = true;
	}
	if (f)
		fclose(f);
	return allows;
}
