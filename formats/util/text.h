/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* text.h - names of files, and lines of text. */
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

/* The last part of a path. */
static inline const char *text_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The part of a name after the last separator that is not at its end. */
static inline const char *text_last_part(const char *name, const char *separators)
{
	const char *last = name;

	for (const char *p = name; *p; p++)
		if (strchr(separators, *p) && p[1])
			last = p + 1;
	return last;
}

/* Removes blanks from the ends of a text, which it changes. */
static inline char *text_trim(char *text, const char *blanks)
{
	size_t n;

	text += strspn(text, blanks);
	for (n = strlen(text); n > 0 && strchr(blanks, text[n - 1]); n--)
		;
	text[n] = '\0';
	return text;
}

/* The value of a hexadecimal digit, or -1. */
static inline int text_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
