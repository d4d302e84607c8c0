/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "image/image.h"
#include "nbd/nbd.h"
#include "util/err.h"
#include "util/nearest.h"
#include "util/size.h"

enum word_kind { FLAG, TEXT, LIST, SIZE, SECONDS };

static const struct word {
	const char *name; /* with "=", unless it is a FLAG */
	enum word_kind kind;
	size_t member;
	uint64_t min;      /* of a SIZE */
	const char *least; /* the same for people */
} words[] = {
	{"format=", TEXT, offsetof(struct open_words, format), 0, NULL},
	{"disk=", TEXT, offsetof(struct open_words, disk), 0, NULL},
	{"allow=", LIST, offsetof(struct open_words, allow), 0, NULL},
	{"search=", LIST, offsetof(struct open_words, search), 0, NULL},
	{"parent_format=", LIST, offsetof(struct open_words, parent_formats), 0, NULL},
	{"passphrase-file=", LIST, offsetof(struct open_words, passphrases), 0, NULL},
	{"luks-header=", LIST, offsetof(struct open_words, luks_headers), 0, NULL},
	{"luks-memory=", SIZE, offsetof(struct open_words, luks_memory), 1u << 10, "1K"},
	{"cache=", SIZE, offsetof(struct open_words, cache), 1u << 20, "1M"},
	{"backing=", TEXT, offsetof(struct open_words, backing), 0, NULL},
	{"tls-certs=", TEXT, offsetof(struct open_words, tls_certs), 0, NULL},
	{"tls-psk=", TEXT, offsetof(struct open_words, tls_psk), 0, NULL},
	{"nbd-timeout=", SECONDS, offsetof(struct open_words, nbd_timeout), 0, NULL},
	{"nobacking", FLAG, offsetof(struct open_words, nobacking), 0, NULL},
	{"share", FLAG, offsetof(struct open_words, share), 0, NULL},
	{"nosnapshots", FLAG, offsetof(struct open_words, nosnapshots), 0, NULL},
	{"ignore_parent_id", FLAG, offsetof(struct open_words, ignore_parent_id), 0, NULL},
};

#define WORDS (sizeof words / sizeof words[0])

/* The value of text, if it is this word: of a FLAG "". */
static const char *value_of(const struct word *word, const char *text)
{
	size_t n = strlen(word->name);

	if (word->kind == FLAG)
		return strcmp(text, word->name) == 0 ? "" : NULL;
	return strncmp(text, word->name, n) == 0 ? text + n : NULL;
}

static int set_text(char **text, const char *value, struct err *e)
{
	char *copy = strdup(value);

	if (!copy)
		return err_nomem(e);
	free(*text);
	*text = copy;
	return 0;
}

static int set_size(const struct word *word, uint64_t *size, const char *value, struct err *e)
{
	int r = size_parse(value, size);

	if (r == -EINVAL)
		return err_set(e, EINVAL, "%s%s: expected a size such as 64M", word->name, value);
	if (r < 0 || *size > SIZE_MAX / 2 || *size < word->min)
		return err_set(e, EINVAL, "%s%s: must be at least %s and fit in memory", word->name,
			value, word->least);
	return 0;
}

/* Digits only: strtoul(3) takes blanks and a sign, too. */
static int set_seconds(const struct word *word, uint64_t *seconds, const char *value, struct err *e)
{
	size_t n = strspn(value, "0123456789");

	*seconds = n < 9 ? strtoul(value, NULL, 10) : 0;
	if (value[n] == '\0' && *seconds >= 1 && *seconds <= NBD_TIMEOUT_MAX)
		return 0;
	return err_set(e, EINVAL, "%s%s: expected a number of seconds from 1 to %d", word->name,
		value, NBD_TIMEOUT_MAX);
}

static int set(struct open_words *w, const struct word *word, const char *value, struct err *e)
{
	void *member = (char *)w + word->member;

	switch (word->kind) {
	case FLAG:
		*(bool *)member = true;
		return 0;
	case TEXT:
		return set_text(member, value, e);
	case LIST:
		return string_list_add(member, value) ? 0 : err_nomem(e);
	case SIZE:
		return set_size(word, member, value, e);
	case SECONDS:
		return set_seconds(word, member, value, e);
	}
	return 0;
}

int open_words_add(struct open_words *w, const char *text, struct err *e)
{
	for (size_t i = 0; i < WORDS; i++) {
		const char *value = value_of(&words[i], text);

		if (value)
			return set(w, &words[i], value, e);
	}
	return -ENOENT;
}

static int check_directories(const struct string_list *dirs, const char *option, struct err *e)
{
	for (size_t i = 0; i < dirs->n; i++) {
		struct stat st;

		if (stat(dirs->v[i], &st) < 0)
			return err_set(e, errno, "%s=%s: %s", option, dirs->v[i], strerror(errno));
		if (!S_ISDIR(st.st_mode))
			return err_set(e, ENOTDIR, "%s=%s: not a directory", option, dirs->v[i]);
	}
	return 0;
}

int open_words_check(const struct open_words *w, enum open_use use, struct err *e)
{
	int r;

	if (use != OPEN_READ && w->nobacking)
		return err_set(e, EINVAL, "nobacking: writing may need data of the parent");
	if (use == OPEN_WRITE && w->share)
		return err_set(e, EINVAL,
			"share: an image that another program writes to cannot be written");
	r = check_directories(&w->allow, "allow", e);
	return r < 0 ? r : check_directories(&w->search, "search", e);
}

void open_words_apply(struct open_words *w, struct image_options *how)
{
	w->backing_list[0] = w->backing;
	how->backing = w->backing_list;
	how->format = w->format;
	how->disk = w->disk;
	how->allow = (const char *const *)w->allow.v;
	how->search = (const char *const *)w->search.v;
	how->parent_formats = (const char *const *)w->parent_formats.v;
	how->luks_memory = w->luks_memory;
	how->nobacking = w->nobacking;
	how->share = w->share;
	how->nosnapshots = w->nosnapshots;
	how->ignore_parent_id = w->ignore_parent_id;
}

static bool is_tls(const char *uri)
{
	return uri && strncasecmp(uri, "nbds", 4) == 0;
}

/* Keys are for one server of two, if the other has no TLS; if neither has, that is an error. */
struct nbd_options open_words_server(const struct open_words *w, const char *path, const char *uri)
{
	bool has_keys = is_tls(uri) || (!is_tls(path) && !is_tls(w->backing));

	return (struct nbd_options){
		.tls_certs = has_keys ? w->tls_certs : NULL,
		.tls_psk = has_keys ? w->tls_psk : NULL,
		.timeout = (unsigned)w->nbd_timeout,
	};
}

void open_words_offer(struct nearest *near)
{
	for (size_t i = 0; i < WORDS; i++)
		nearest_offer(near, words[i].name);
}

bool open_words_has_value(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < WORDS; i++)
		if (strncmp(words[i].name, name, n) == 0 && strcmp(words[i].name + n, "=") == 0)
			return true;
	return false;
}

void open_words_free(struct open_words *w)
{
	free(w->format);
	free(w->disk);
	free(w->backing);
	free(w->tls_certs);
	free(w->tls_psk);
	string_list_free(&w->allow);
	string_list_free(&w->search);
	string_list_free(&w->parent_formats);
	string_list_free(&w->passphrases);
	string_list_free(&w->luks_headers);
	*w = (struct open_words){0};
}
