/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* filename.c - see filename.h.
 *
 * A hostile image may have thousands of names that collide in a hash table, so the set is a
 * balanced tree (tsearch), which has no bad case.
 */
#include "filename.h"

#include <limits.h>
#include <search.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "utf8.h"

/* Length of "~" and a number of up to six digits. */
#define SUFFIX_MAX 7

/* A name in use, or the stem of numbered names. */
struct known {
	unsigned copies; /* numbers used after this stem */
	bool used;
	char name[];
};

char *filename_escape(const char *raw)
{
	bool dots = strcmp(raw, ".") == 0 || strcmp(raw, "..") == 0;
	size_t left = strlen(raw), used = 0, n, len;
	char out[NAME_MAX + 1], piece[3 * 4 + 1];

	for (const char *s = raw; left > 0; s += n, left -= n) {
		n = utf8_length(s, left); /* 0: invalid */
		if (n > 0 && utf8_is_visible(s, n) && *s != '/' && !dots) {
			memcpy(piece, s, n);
			len = n;
		} else {
			/* All bytes of a character: a part of one would be invalid UTF-8. */
			n = MAX(n, 1);
			for (size_t i = 0; i < n; i++)
				sprintf(piece + 3 * i, "%%%02X", (unsigned char)s[i]);
			len = 3 * n;
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

/* Finds or creates the entry for the first len bytes of name; NULL without memory. */
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

size_t filename_stem_len(const char *name, size_t suffix)
{
	size_t len = strlen(name);

	if (len <= NAME_MAX - suffix)
		return len;
	len = NAME_MAX - suffix;
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
	if (known->used) {
		stem = filename_set_entry(names, wanted, filename_stem_len(wanted, SUFFIX_MAX));
		if (!stem)
			return NULL;
		/* Each number is tried once for a stem, so n equal names cost n steps. */
		do {
			snprintf(name, sizeof name, "%.*s~%u", NAME_MAX - SUFFIX_MAX, stem->name,
				++stem->copies + 1);
			known = filename_set_entry(names, name, strlen(name));
		} while (known && known->used);
		if (!known)
			return NULL;
	}
	known->used = true;
	return strdup(known->name);
}

char *filename_set_add_raw(struct filename_set *names, const char *raw)
{
	char *escaped = filename_escape(*raw ? raw : "unnamed");
	char *name = escaped ? filename_set_add(names, escaped) : NULL;

	free(escaped);
	return name;
}

bool filename_set_claim(struct filename_set *names, const char *name)
{
	struct known *known = filename_set_entry(names, name, strlen(name));

	if (!known || known->used)
		return false;
	known->used = true;
	return true;
}

void filename_set_clear(struct filename_set *names)
{
	tdestroy(names->root, free);
	names->root = NULL;
}
