/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* filename.c - file names made from what an image calls its parts.
 *
 * Names come from a hostile file, thousands of them, perhaps chosen to collide in whatever hash we
 * took; so the set of names is a balanced tree (tsearch), which has no bad case.
 */
#include "filename.h"

#include <limits.h>
#include <search.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bytes.h"
#include "util/utf8.h"

/* Room for "~" and a number of six digits or less behind a name that must be cut. */
#define SUFFIX_MAX 7

/* A name that is taken, or one that copies are numbered after. */
struct known {
	unsigned copies; /* numbers given out behind this name */
	bool taken;
	char name[];
};

/* May the character of n bytes be a part of a name as it is?  0: it is none. */
static bool is_plain(const char *s, size_t n)
{
	return n > 0 && utf8_is_visible(s, n) && *s != '/';
}

/* All bytes of a character: what is left of one would be no character either. */
static size_t escape(char *piece, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sprintf(piece + 3 * i, "%%%02X", (unsigned char)s[i]);
	return 3 * n;
}

char *filename_escape(const char *raw)
{
	bool dots = strcmp(raw, ".") == 0 || strcmp(raw, "..") == 0;
	size_t left = strlen(raw), used = 0, n, len;
	char out[NAME_MAX + 1], piece[3 * 4 + 1];

	for (const char *s = raw; left > 0; s += n, left -= n) {
		n = utf8_length(s, left);
		if (!dots && is_plain(s, n)) {
			memcpy(piece, s, n);
			len = n;
		} else {
			n = MAX(n, 1);
			len = escape(piece, s, n);
		}
		if (used + len > NAME_MAX)
			break;
		memcpy(out + used, piece, len);
		used += len;
	}
	out[used] = '\0';
	return strdup(out);
}

static int known_compare(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->name, ((const struct known *)b)->name);
}

/* The entry for the first len bytes of name, made if need be; NULL without memory. */
static struct known *filename_set_entry(struct filename_set *names, const char *name, size_t len)
{
	struct known *known = calloc(1, sizeof *known + len + 1), **slot;

	if (!known)
		return NULL;
	memcpy(known->name, name, len);
	slot = tsearch(known, &names->root, known_compare);
	if (!slot || *slot != known)
		free(known);
	return slot ? *slot : NULL;
}

/* How much of a name its copies keep, so that the number fits: whole characters only. */
static size_t stem_len(const char *name)
{
	size_t len = strlen(name);

	if (len <= NAME_MAX - SUFFIX_MAX)
		return len;
	len = NAME_MAX - SUFFIX_MAX;
	while (len > 1 && ((unsigned char)name[len] & 0xc0) == 0x80)
		len--;
	return len;
}

char *filename_set_add(struct filename_set *names, const char *wanted)
{
	struct known *known = filename_set_entry(names, wanted, strlen(wanted)), *stem;
	char name[NAME_MAX + 1];

	if (!known)
		return NULL;
	if (known->taken) {
		stem = filename_set_entry(names, wanted, stem_len(wanted));
		if (!stem)
			return NULL;
		/* A number is tried once a stem, so all copies together cost one pass. */
		do {
			snprintf(name, sizeof name, "%.*s~%u", NAME_MAX - SUFFIX_MAX, stem->name,
				++stem->copies + 1);
			known = filename_set_entry(names, name, strlen(name));
		} while (known && known->taken);
		if (!known)
			return NULL;
	}
	known->taken = true;
	return strdup(known->name);
}

bool filename_set_claim(struct filename_set *names, const char *name)
{
	struct known *known = filename_set_entry(names, name, strlen(name));

	if (!known || known->taken)
		return false;
	known->taken = true;
	return true;
}

void filename_set_clear(struct filename_set *names)
{
	tdestroy(names->root, free);
	names->root = NULL;
}
