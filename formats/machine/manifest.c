/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* manifest.c - parses lines of digests, and computes digests with libcrypto. */
#include "manifest.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/limits.h"
#include "util/array.h"
#include "util/bytes.h"
#include "util/err.h"
#include "util/text.h"
#include "io/io.h"
#include "tar.h"

#define DIGEST_MAX 64
#define HEX_MAX    (2 * DIGEST_MAX + 1)
#define CHUNK      (1u << 20)
#define BLANKS     " \t\n\v\f\r"

static const struct algorithm {
	const char *name, *dashed;
	size_t len;
} algorithms[] = {
	{"SHA1", "SHA-1", 20},
	{"SHA256", "SHA-256", 32},
	{"SHA384", "SHA-384", 48},
	{"SHA512", "SHA-512", 64},
};

struct manifest_line {
	char *name;
	size_t number;
	const struct algorithm *algorithm;
	char wanted[HEX_MAX], found[HEX_MAX]; /* found: "" until the file has been read */
};

static char *unquote(char *text)
{
	size_t n = strlen(text);

	if (n < 2 || (*text != '"' && *text != '\'') || text[n - 1] != *text)
		return text;
	text[n - 1] = '\0';
	return text + 1;
}

/* Parses a line, which is changed.  Names may hold any of "()= ", so the last "=" counts, and
 * before it the first and the last parenthesis. */
static int add_line(struct manifest *m, char *text, size_t number, struct err *e)
{
	char *open = strchr(text, '('), *equals = strrchr(text, '='), *close = NULL, *hex;
	struct manifest_line line = {.number = number}, *lines;
	size_t len;

	if (!*text_trim(text, BLANKS))
		return 0;
	if (equals) {
		*equals = '\0';
		close = strrchr(text, ')');
	}
	if (!open || !close || close < open)
		return err_set(
			e, EINVAL, "line %zu is not of the form \"SHA256(file)= digest\"", number);
	*open = *close = '\0';
	text = text_trim(text, BLANKS);
	for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
		if (strcasecmp(algorithms[i].name, text) == 0 ||
			strcasecmp(algorithms[i].dashed, text) == 0)
			line.algorithm = &algorithms[i];
	if (!line.algorithm)
		return err_set(e, ENOTSUP, "line %zu: the digest \"%.40s\" is not supported",
			number, text);
	hex = unquote(text_trim(equals + 1, BLANKS));
	len = strlen(hex);
	if (len != 2 * line.algorithm->len || strspn(hex, "0123456789abcdefABCDEF") != len)
		return err_set(e, EINVAL, "line %zu: no %s digest", number, line.algorithm->name);
	for (size_t i = 0; i < len; i++)
		line.wanted[i] = tolower((unsigned char)hex[i]);
	lines = array_grow(m->lines, m->n, sizeof *lines);
	if (!lines)
		return err_nomem(e);
	m->lines = lines;
	line.name = strdup(unquote(text_trim(open + 1, BLANKS)));
	if (!line.name)
		return err_nomem(e);
	tar_tidy(line.name);
	m->lines[m->n++] = line;
	return 0;
}

static int compare_lines(const void *a, const void *b)
{
	const struct manifest_line *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->number > y->number) - (x->number < y->number);
}

int manifest_parse(char *text, struct manifest *m, struct err *e)
{
	char *line;
	int r = 0;

	/* A daemon that can open no more files calls libcrypto: it must not read its configuration.
	 */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	*m = (struct manifest){0};
	pthread_mutex_init(&m->lock, NULL);
	for (size_t number = 1; r == 0 && (line = strsep(&text, "\n")); number++)
		r = add_line(m, line, number, e);
	if (r < 0)
		manifest_free(m);
	else if (m->n > 0)
		qsort(m->lines, m->n, sizeof m->lines[0], compare_lines);
	return r;
}

void manifest_free(struct manifest *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->lines[i].name);
	free(m->lines);
	pthread_mutex_destroy(&m->lock);
	*m = (struct manifest){0};
}

static int digest_file(struct manifest_line *line, struct io *io, struct err *e)
{
	unsigned char digest[EVP_MAX_MD_SIZE] = {0};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const EVP_MD *md = EVP_get_digestbyname(line->algorithm->name);
	void *buf = malloc(CHUNK);
	int r = 0;

	if (!ctx || !md || !buf || EVP_DigestInit_ex(ctx, md, NULL) != 1)
		r = err_nomem(e);
	for (uint64_t pos = 0, n; r == 0 && pos < io->size; pos += n) {
		n = MIN(CHUNK, io->size - pos);
		r = io_read(io, buf, n, pos, e);
		if (r == 0 && EVP_DigestUpdate(ctx, buf, n) != 1)
			r = err_nomem(e);
	}
	if (r == 0 && EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
		r = err_nomem(e);
	for (size_t i = 0; r == 0 && i < line->algorithm->len; i++) {
		line->found[2 * i] = "0123456789abcdef"[digest[i] >> 4];
		line->found[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
	}
	free(buf);
	EVP_MD_CTX_free(ctx);
	return r;
}

static int compare_name(const void *name, const void *line)
{
	return strcmp(name, ((const struct manifest_line *)line)->name);
}

int manifest_check(struct manifest *m, const char *name, struct io *io, struct err *e)
{
	size_t i = array_lower_bound(name, m->lines, m->n, sizeof m->lines[0], compare_name);
	int r = 0;

	if (i == m->n || strcmp(m->lines[i].name, name) != 0)
		return err_set(e, ENOENT, "%s: the manifest does not list it", name);
	pthread_mutex_lock(&m->lock);
	for (; r == 0 && i < m->n && strcmp(m->lines[i].name, name) == 0; i++) {
		struct manifest_line *line = &m->lines[i];

		r = line->found[0] ? 0 : digest_file(line, io, e);
		if (r == 0 && strcmp(line->found, line->wanted) != 0)
			r = err_set(e, EUCLEAN, "%s: its %s is %s, %s in the manifest", name,
				line->algorithm->name, line->found, line->wanted);
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}
