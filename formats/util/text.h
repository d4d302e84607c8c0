/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* text.h - how names of files end. */
#ifndef VDISK_UTIL_TEXT_H
#define VDISK_UTIL_TEXT_H

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Does a name end in suffix, in whatever case, and have something before it? */
static inline bool text_ends_with(const char *name, const char *suffix)
{
	size_t len = strlen(name), n = strlen(suffix);

	return len > n && strcasecmp(name + len - n, suffix) == 0;
}

#endif
