/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmware-dict.c - lines KEY = "VALUE". */
#include "vmware-dict.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/limits.h"
#include "util/array.h"
#include "util/charset.h"
#include "util/err.h"
#include "util/text.h"
#include "io/io.h"

#define BLANKS  " \t\r"
#define UTF8BOM "\xef\xbb\xbf"
#define KEY_MAX 256

/* Lines. */

/* Replaces |XX in place, but for a NUL, which no value can hold. */
static void unescape(char *s)
{
	char *out = s;

	while (*s) {
		int high = s[0] == '|' ? text_hex_digit(s[1]) : -1;
		int low = high >= 0 ? text_hex_digit(s[2]) : -1;

		if (low >= 0 && (high > 0 || low > 0)) {
			*out++ = (char)(high << 4 | low);
			s += 3;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

/* The text between the quotes, or all of it when there are none. */
static char *take_value(char *s)
{
	char *end;

	s = text_trim(s, BLANKS);
	if (*s != '"')
		return s;
	end = strchr(++s, '"');
	if (end)
		*end = '\0';
	return s;
}

static int add_entry(
	struct vmware_dict *d, const char *key, const char *value, size_t line, struct err *e)
{
	struct vmware_dict_entry *entries;

	if (d->n == DICT_MAX_ENTRIES)
		return err_set(e, EFBIG, "more than %d lines", DICT_MAX_ENTRIES);
	entries = array_grow(d->entries, d->n, sizeof *entries);
	if (!entries)
		return err_nomem(e);
	d->entries = entries;
	entries[d->n++] = (struct vmware_dict_entry){.key = key, .value = value, .line = line};
	return 0;
}

static int parse_line(struct vmware_dict *d, char *line, size_t number, struct err *e)
{
	char *equals, *value;

	line = text_trim(line, BLANKS);
	equals = strchr(line, '=');
	if (*line == '#' || !equals)
		return 0;
	*equals = '\0';
	value = take_value(equals + 1);
	unescape(value);
	return add_entry(d, text_trim(line, BLANKS), value, number, e);
}

/* By key, and of one key the last first. */
static int by_key(const void *a, const void *b)
{
	const struct vmware_dict_entry *x = a, *y = b;
	int order = strcasecmp(x->key, y->key);

	return order ? order : x->line < y->line ? 1 : -1;
}

static void sort(struct vmware_dict *d)
{
	size_t n = 0;

	if (d->n == 0)
		return;
	qsort(d->entries, d->n, sizeof d->entries[0], by_key);
	for (size_t i = 0; i < d->n; i++)
		if (n == 0 || strcasecmp(d->entries[n - 1].key, d->entries[i].key) != 0)
			d->entries[n++] = d->entries[i];
	d->n = n;
}

/* A value in an encoding that is not known stays as it is: it may be no name at all. */
static int decode(
	struct vmware_dict *d, struct vmware_dict_entry *entry, const char *encoding, struct err *e)
{
	struct err ignored = ERR_INIT;
	size_t room = 3 * strlen(entry->value) + 1;
	char *value = malloc(room);

	if (!value)
		return err_nomem(e);
	if (charset_decode(encoding, entry->value, value, room, &ignored) < 0) {
		free(value);
		return 0;
	}
	entry->value = d->decoded[d->ndecoded++] = value;
	return 0;
}

static bool is_ascii(const char *s)
{
	while (*s && !(*s & 0x80))
		s++;
	return *s == '\0';
}

static int decode_all(struct vmware_dict *d, struct err *e)
{
	const char *encoding = vmware_dict_get(d, ".encoding");
	int r = 0;

	if (*encoding == '\0' || strcasecmp(encoding, "UTF-8") == 0)
		return 0;
	d->decoded = calloc(d->n, sizeof d->decoded[0]);
	if (!d->decoded)
		return err_nomem(e);
	for (size_t i = 0; i < d->n && r == 0; i++)
		if (!is_ascii(d->entries[i].value))
			r = decode(d, &d->entries[i], encoding, e);
	return r;
}

static int parse(struct vmware_dict *d, struct err *e)
{
	char *line = d->text, *next;
	size_t number = 0;
	int r = 0;

	if (strncmp(line, UTF8BOM, 3) == 0)
		line += 3;
	for (; line && r == 0; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		r = parse_line(d, line, number++, e);
	}
	if (r < 0)
		return r;
	sort(d);
	return decode_all(d, e);
}

int vmware_dict_parse(const char *text, size_t len, struct vmware_dict *d, struct err *e)
{
	int r;

	*d = (struct vmware_dict){.text = strndup(text, len)};
	if (!d->text)
		return err_nomem(e);
	if (strlen(d->text) < len)
		r = err_set(e, EINVAL, "a NUL in a text");
	else
		r = parse(d, e);
	if (r < 0)
		vmware_dict_free(d);
	return r;
}

int vmware_dict_read(struct io *io, struct vmware_dict *d, struct err *e)
{
	char *text;
	int r = io_read_text(io, DICT_MAX_BYTES, &text, e);

	if (r < 0)
		return r;
	r = vmware_dict_parse(text, io->size, d, e);
	free(text);
	return r < 0 ? err_in(e, "%s", io->name) : 0;
}

void vmware_dict_free(struct vmware_dict *d)
{
	for (size_t i = 0; i < d->ndecoded; i++)
		free(d->decoded[i]);
	free(d->decoded);
	free(d->entries);
	free(d->text);
	*d = (struct vmware_dict){0};
}

static int key_compare(const void *key, const void *entry)
{
	return strcasecmp(key, ((const struct vmware_dict_entry *)entry)->key);
}

const char *vmware_dict_get(const struct vmware_dict *d, const char *fmt, ...)
{
	const struct vmware_dict_entry *found;
	char key[KEY_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(key, sizeof key, fmt, ap);
	va_end(ap);
	found = d->n ? bsearch(key, d->entries, d->n, sizeof d->entries[0], key_compare) : NULL;
	return found ? found->value : "";
}
