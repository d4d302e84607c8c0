/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmware-dict.h"

#include <errno.h>
#include <stdarg.h>
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

/* Decodes |XX in place, except |00: a value is a string. */
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

static int parse_line(struct vmware_dict *d, char *line, size_t number, struct err *e)
{
	struct vmware_dict_entry *entries;
	char *equals, *value, *end;

	line = text_trim(line, BLANKS);
	equals = strchr(line, '=');
	if (*line == '#' || !equals)
		return 0;
	*equals = '\0';
	value = text_trim(equals + 1, BLANKS);
	if (*value == '"') {
		end = strchr(++value, '"');
		if (end)
			*end = '\0';
	}
	unescape(value);
	if (d->n == DICT_MAX_ENTRIES)
		return err_set(e, EFBIG, "more than %d lines", DICT_MAX_ENTRIES);
	entries = array_grow(d->entries, d->n, sizeof *entries);
	if (!entries)
		return err_nomem(e);
	d->entries = entries;
	entries[d->n++] = (struct vmware_dict_entry){
		.key = text_trim(line, BLANKS), .value = value, .line = number};
	return 0;
}

/* By key, and of equal keys the last line first. */
static int by_key(const void *a, const void *b)
{
	const struct vmware_dict_entry *x = a, *y = b;
	int order = strcasecmp(x->key, y->key);

	return order ? order : x->line < y->line ? 1 : -1;
}

/* Converts all values to UTF-8.  One that is not in the declared encoding stays as it is: it need
 * not be a name. */
static int decode(struct vmware_dict *d, struct err *e)
{
	const char *encoding = vmware_dict_get(d, ".encoding");

	if (*encoding == '\0' || strcasecmp(encoding, "UTF-8") == 0)
		return 0;
	d->decoded = calloc(d->n, sizeof d->decoded[0]);
	if (!d->decoded)
		return err_nomem(e);
	for (size_t i = 0; i < d->n; i++) {
		const char *value = d->entries[i].value;
		size_t size = 3 * strlen(value) + 1;
		char *decoded = malloc(size);
		struct err ignored = ERR_INIT;

		if (!decoded)
			return err_nomem(e);
		d->decoded[d->ndecoded++] = decoded;
		if (charset_decode(encoding, value, decoded, size, &ignored) == 0)
			d->entries[i].value = decoded;
	}
	return 0;
}

int vmware_dict_read(struct io *io, struct vmware_dict *d, struct err *e)
{
	char *line, *next;
	size_t n = 0;
	int r;

	*d = (struct vmware_dict){0};
	r = io_read_text(io, DICT_MAX_BYTES, &d->text, e);
	if (r < 0)
		return r;
	if (strlen(d->text) < io->size)
		r = err_set(e, EINVAL, "a NUL in a text");
	line = d->text + (strncmp(d->text, UTF8BOM, 3) == 0 ? 3 : 0);
	for (size_t number = 0; r == 0 && line; line = next, number++) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		r = parse_line(d, line, number, e);
	}
	if (d->n > 0)
		qsort(d->entries, d->n, sizeof d->entries[0], by_key);
	for (size_t i = 0; i < d->n; i++)
		if (n == 0 || strcasecmp(d->entries[n - 1].key, d->entries[i].key) != 0)
			d->entries[n++] = d->entries[i];
	d->n = n;
	if (r == 0)
		r = decode(d, e);
	if (r == 0)
		return 0;
	vmware_dict_free(d);
	return err_in(e, "%s", io->name);
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
