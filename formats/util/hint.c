/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hint.c - see hint.h.  The sentences of both programs are in the library, since vdisk mount runs
 * vdiskfs, whose hints have to name the options of vdisk then.
 */
#include "hint.h"

#include <stdio.h>
#include <string.h>

#include "err.h"

#define CHECK_MOUNTS "vdisk list shows where it is mounted, vdisk umount releases it"

const struct hint_words hint_words_vdiskfs = {
	.format = "-o format=",
	.sentences =
		{
			[HINT_TEXT] = "%s",
			[HINT_ALLOW] = "-o allow=%s permits it, if you trust the image",
			[HINT_ENTER] = "-o allow=DIR permits a DIR in that mount",
			[HINT_SEARCH] = "-o search=DIR searches DIR for it",
			[HINT_NOBACKING] = "-o nobacking opens the image without it",
			[HINT_PARENT_FORMAT] = "if it is, use -o parent_format=%s",
			[HINT_IGNORE_PARENT_ID] = "-o ignore_parent_id accepts it anyway",
			[HINT_SHARE] = "-o share reads it anyway; the data may be inconsistent",
			[HINT_MOUNTED] = CHECK_MOUNTS,
			[HINT_COW] = "-o cow writes to a temporary overlay instead",
			[HINT_NOSNAPSHOTS] = "-o nosnapshots opens the live disk only",
			[HINT_PASSPHRASE] = "-o passphrase-file=FILE reads it from FILE",
			[HINT_LIST_FORMATS] = "vdiskfs --list-formats lists the known formats",
			[HINT_RAW] = "%fraw shows the bytes of any file as a disk",
			[HINT_FORMAT] = "it looks like %s: leave out %f or use %f%s",
			[HINT_SALVAGE] = "%f%s shows the part that is left",
		},
};

const struct hint_words hint_words_vdisk = {
	.format = "-f ",
	.sentences =
		{
			[HINT_TEXT] = "%s",
			[HINT_ALLOW] = "--allow=%s permits it, if you trust the image",
			[HINT_ENTER] = "--allow=DIR permits a DIR in that mount",
			[HINT_SEARCH] = "--search=DIR searches DIR for it",
			[HINT_PARENT_FORMAT] = "if it is, use --parent-format=%s",
			[HINT_IGNORE_PARENT_ID] = "--ignore-parent-id accepts it anyway",
			[HINT_SHARE] = "-U reads it anyway; the data may be inconsistent",
			[HINT_MOUNTED] = CHECK_MOUNTS,
			[HINT_NOSNAPSHOTS] = "--no-snapshots opens the live disk only",
			[HINT_PASSPHRASE] = "--passphrase-file=FILE reads it from FILE",
			[HINT_LIST_FORMATS] = "vdisk --list-formats lists the known formats",
			[HINT_RAW] = "%fraw shows the bytes of any file as a disk",
			[HINT_FORMAT] = "it looks like %s: leave out %f or use %f%s",
			[HINT_SALVAGE] = "%f%s shows the part that is left",
		},
};

struct line {
	char *text;
	size_t len;
};

static void add(struct line *line, const char *text, size_t n)
{
	size_t space = HINT_LINE - 1 - line->len;

	n = n < space ? n : space;
	memcpy(line->text + line->len, text, n);
	line->len += n;
	line->text[line->len] = '\0';
}

/* Without a value, as in "leave out -f", the final blank or "=" is left out. */
static size_t option_length(const char *option, char next)
{
	size_t n = strlen(option);

	return next == ' ' || next == '\0' ? n - 1 : n;
}

static void add_sentence(
	struct line *line, const char *sentence, const struct hint_words *words, const char *arg)
{
	if (line->len > 0)
		add(line, "; ", 2);
	while (*sentence) {
		size_t n = strcspn(sentence, "%");

		add(line, sentence, n);
		sentence += n;
		if (*sentence == '\0')
			return;
		if (sentence[1] == 'f')
			add(line, words->format, option_length(words->format, sentence[2]));
		else
			add(line, arg, strlen(arg));
		sentence += 2;
	}
}

const char *hint_line(const struct err *e, const struct hint_words *words, char text[HINT_LINE])
{
	struct line line = {.text = text};

	for (unsigned hint = 0; hint < HINT_COUNT; hint++)
		if (e->hints & 1u << hint && words->sentences[hint])
			add_sentence(&line, words->sentences[hint], words, e->hint_arg);
	return line.len > 0 ? text : NULL;
}
