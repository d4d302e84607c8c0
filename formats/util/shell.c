/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shell.h"

#include <stdbool.h>
#include <string.h>

/* Bytes above ASCII are parts of letters to every shell. */
static bool is_plain(const char *name)
{
	const unsigned char *p = (const unsigned char *)name;

	if (*p == '\0' || *p == '~')
		return false;
	while (*p >= 0x80 || (*p && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "0123456789_-./,:=+@%~^",
					    *p)))
		p++;
	return *p == '\0';
}

struct shell_word shell_word(const char *name)
{
	static const char quote[] = "'\\''"; /* out of the quotes, a quote, and into them again */
	struct shell_word w = {.text = ""};
	char *out = w.text, *end = w.text + sizeof w.text - sizeof quote;

	if (is_plain(name) && strlen(name) < sizeof w.text) {
		strcpy(w.text, name);
		return w;
	}
	*out++ = '\'';
	for (; *name && out < end; name++) {
		if (*name == '\'')
			out = stpcpy(out, quote);
		else
			*out++ = *name;
	}
	strcpy(out, "'");
	return w;
}
