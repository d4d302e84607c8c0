/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* options.c - see options.h. */
#include "options.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

/* Options of the library without a value; nbdkit has only parameters with one. */
static const char *const flags[] = {"rw", "nobacking", "ignore_parent_id", "share", "nosnapshots"};

#define NFLAGS (sizeof flags / sizeof flags[0])

const char options_help[] =
	"[image=]FILE            the disk image, or its URI on another NBD server\n"
	"rw=true                 clients may write (default: false)\n"
	"format=NAME             its format (default: probed)\n"
	"allow=DIR               it may refer to files below DIR (repeatable)\n"
	"search=DIR              search DIR for parents that moved (repeatable)\n"
	"parent_format=NAME      format of an unrecorded parent (repeatable)\n"
	"backing=FILE            the parent, or its URI, in the place of the recorded one\n"
	"passphrase-file=FILE    passphrase of encrypted images and volumes (repeatable)\n"
	"luks-header=FILE        a LUKS header that is not on its device (repeatable)\n"
	"luks-memory=SIZE        memory that a LUKS key slot may need (1280M)\n"
	"nobacking=true          do not open the parents\n"
	"ignore_parent_id=true   accept a parent modified after its child\n"
	"share=true              read even if another program writes to the image\n"
	"nosnapshots=true        do not read the snapshot table\n"
	"cache=SIZE              memory for metadata and decoded clusters (32M)\n"
	"disk=NAME               the disk of a package that has several\n"
	"tls-certs=DIR           certificates to verify an nbds:// server by\n"
	"tls-psk=FILE            pre-shared keys to verify an nbds:// server by\n"
	"nbd-timeout=SECONDS     time for an answer of the other NBD server (60)";

static int add_word(struct options *o, char *word)
{
	char **words = word ? realloc(o->words, (o->n + 2) * sizeof *words) : NULL;

	if (!words) {
		free(word);
		nbdkit_error("out of memory");
		return -1;
	}
	words[o->n++] = word;
	words[o->n] = NULL;
	o->words = words;
	return 0;
}

static int add_image(struct options *o, const char *name)
{
	if (o->image) {
		nbdkit_error("two images are given, %s and %s: flags have a value, as rw=true",
			o->image, name);
		return -1;
	}
	o->image = name;
	return 0;
}

/* "-", or "UUID:-".  With nbdkit -s, the client is there. */
static bool is_standard_input(const char *value)
{
	size_t n = strlen(value);

	return n > 0 && value[n - 1] == '-' && (n == 1 || value[n - 2] == ':');
}

int options_add(struct options *o, const char *key, const char *value)
{
	char *word;

	if (strcmp(key, "image") == 0)
		return add_image(o, value);
	for (size_t i = 0; i < NFLAGS; i++) {
		int set;

		if (strcmp(key, flags[i]) != 0)
			continue;
		set = nbdkit_parse_bool(value);
		return set > 0 ? add_word(o, strdup(key)) : set;
	}
	if (strcmp(key, "passphrase-file") == 0) {
		o->secret = true;
		if (is_standard_input(value) && !nbdkit_stdio_safe()) {
			nbdkit_error("passphrase-file=-: standard input is in use");
			return -1;
		}
	}
	return add_word(o, asprintf(&word, "%s=%s", key, value) < 0 ? NULL : word);
}

void options_free(struct options *o)
{
	for (size_t i = 0; i < o->n; i++)
		free(o->words[i]);
	free(o->words);
	*o = (struct options){0};
}
