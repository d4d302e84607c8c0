/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hint.c - see hint.h.  The sentences of all programs are in the library, since vdisk mount runs
 * vdiskfs, whose hints have to name the options of vdisk then.
 */
#include "hint.h"

#include <stdio.h>
#include <string.h>

#include "err.h"

/* "%s" is the argument of the hint, "%o" the option, "%f" the option for the format, "%p" the
 * program, "%a" the way to allow a directory always. */

static const char *const sentences[HINT_COUNT] = {
	[HINT_TEXT] = "%s",
	[HINT_ALLOW] = "%o%s permits it, if you trust the image%a",
	[HINT_ENTER] = "%oDIR permits a DIR in that mount",
	[HINT_SEARCH] = "%oDIR searches DIR for it",
	[HINT_NOBACKING] = "%o opens the image without it",
	[HINT_PARENT_FORMAT] = "if it is, use %o%s",
	[HINT_IGNORE_PARENT_ID] = "%o accepts it anyway",
	[HINT_SHARE] = "%o reads it anyway; the data may be inconsistent",
	[HINT_MOUNTED] = "vdisk list shows where it is mounted, vdisk umount releases it",
	[HINT_REPAIR] = "vdisk check -r all repairs what can be repaired",
	[HINT_COW] = "%o writes to a temporary overlay instead",
	[HINT_NOSNAPSHOTS] = "%o opens the live disk only",
	[HINT_PASSPHRASE] = "%oFILE reads it from FILE",
	[HINT_LIST_FORMATS] = "%p --list-formats lists the known formats",
	[HINT_RAW] = "%fraw shows the bytes of any file as a disk",
	[HINT_FORMAT] = "it looks like %s: leave out %f or use %f%s",
	[HINT_BACKING] = "%o%s opens it from there, if you trust the image",
	[HINT_TLS] = "%oDIR has certificates that verify it",
	[HINT_TLS_PSK] = "%oFILE has pre-shared keys",
	[HINT_DISK] = "%oNAME opens one of them",
	[HINT_REMOVE_BITMAP] = "vdisk bitmap --remove removes it",
	[HINT_SALVAGE] = "%f%s shows the part that is left",
};

const struct hint_words hint_words_vdiskfs = {
	.program = "vdiskfs",
	.format = "-o format=",
	.always = ", and \"allow = DIR\" in ~/.config/vdiskfs.conf always",
	.options =
		{
			[HINT_ALLOW] = "-o allow=",
			[HINT_ENTER] = "-o allow=",
			[HINT_SEARCH] = "-o search=",
			[HINT_NOBACKING] = "-o nobacking",
			[HINT_PARENT_FORMAT] = "-o parent_format=",
			[HINT_IGNORE_PARENT_ID] = "-o ignore_parent_id",
			[HINT_SHARE] = "-o share",
			[HINT_COW] = "-o cow",
			[HINT_NOSNAPSHOTS] = "-o nosnapshots",
			[HINT_PASSPHRASE] = "-o passphrase-file=",
			[HINT_BACKING] = "-o backing=",
			[HINT_TLS] = "-o tls-certs=",
			[HINT_TLS_PSK] = "-o tls-psk=",
			[HINT_DISK] = "-o disk=",
		},
};

const struct hint_words hint_words_vdisk = {
	.program = "vdisk",
	.format = "-f ",
	.always = ", and \"allow = DIR\" in ~/.config/vdiskfs.conf always",
	.options =
		{
			[HINT_ALLOW] = "--allow=",
			[HINT_ENTER] = "--allow=",
			[HINT_SEARCH] = "--search=",
			[HINT_PARENT_FORMAT] = "--parent-format=",
			[HINT_IGNORE_PARENT_ID] = "--ignore-parent-id",
			[HINT_SHARE] = "-U",
			[HINT_NOSNAPSHOTS] = "--no-snapshots",
			[HINT_PASSPHRASE] = "--passphrase-file=",
			[HINT_BACKING] = "--parent=",
			[HINT_TLS] = "--tls-certs=",
			[HINT_TLS_PSK] = "--tls-psk=",
		},
};

/* The options of vdisk_open. */
const struct hint_words hint_words_library = {
	.program = "vdiskfs",
	.format = "format=",
	.always = "", /* the settings are those of the programs */
	.options =
		{
			[HINT_ALLOW] = "allow=",
			[HINT_ENTER] = "allow=",
			[HINT_SEARCH] = "search=",
			[HINT_NOBACKING] = "nobacking",
			[HINT_PARENT_FORMAT] = "parent_format=",
			[HINT_IGNORE_PARENT_ID] = "ignore_parent_id",
			[HINT_SHARE] = "share",
			[HINT_NOSNAPSHOTS] = "nosnapshots",
			[HINT_PASSPHRASE] = "passphrase-file=",
			[HINT_BACKING] = "backing=",
			[HINT_TLS] = "tls-certs=",
			[HINT_TLS_PSK] = "tls-psk=",
			[HINT_DISK] = "disk=",
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
	struct line *line, enum hint hint, const struct hint_words *words, const char *arg)
{
	const char *sentence = sentences[hint];

	if (!sentence || (strstr(sentence, "%o") && !words->options[hint]))
		return;
	if (line->len > 0)
		add(line, "; ", 2);
	if (hint == HINT_MOUNTED && words->mounted) {
		add(line, words->mounted, strlen(words->mounted)); /* a path in it may have a "%" */
		return;
	}
	for (size_t n; *sentence; sentence += n + 2) {
		n = strcspn(sentence, "%");
		add(line, sentence, n);
		if (sentence[n] == '\0')
			return;
		if (sentence[n + 1] == 'f')
			add(line, words->format, option_length(words->format, sentence[n + 2]));
		else if (sentence[n + 1] == 'o')
			add(line, words->options[hint], strlen(words->options[hint]));
		else if (sentence[n + 1] == 'a')
			add(line, words->always, strlen(words->always));
		else if (sentence[n + 1] == 'p')
			add(line, words->program, strlen(words->program));
		else
			add(line, arg, strlen(arg));
	}
}

const char *hint_line(const struct err *e, const struct hint_words *words, char text[HINT_LINE])
{
	struct line line = {.text = text};

	for (unsigned hint = 0; hint < HINT_COUNT; hint++)
		if (e->hints & 1u << hint)
			add_sentence(&line, hint, words, e->hint_arg);
	return line.len > 0 ? text : NULL;
}
