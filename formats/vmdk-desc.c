/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmdk-desc.c - the text that describes a VMDK: keys, extent lines, disk database.
 *
 * Many programs write it and each a little differently, so reading is lenient in what does not
 * matter
 * - order, case, blanks, line ends, comments, keys nobody knows - and strict in what does: an
 * extent line that is not understood is refused with its number, never passed over.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bounds.h"
#include "bytes.h"
#include "err.h"
#include "vmdk.h"

/* A line being read; p moves on, end stays. */
struct cursor {
	const char *p, *end;
	unsigned number;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && is_blank(*c->p))
		c->p++;
}

/* The next line of text, without its end; false after the last. */
static bool next_line(const char **text, const char *end, struct cursor *c)
{
	const char *p = *text;

	if (p >= end)
		return false;
	c->p = p;
	while (p < end && *p != '\n' && *p != '\r')
		p++;
	c->end = p;
	c->number++;
	if (p < end)
		p += *p == '\r' && p + 1 < end && p[1] == '\n' ? 2 : 1;
	*text = p;
	while (c->end > c->p && is_blank(c->end[-1]))
		c->end--;
	skip_blanks(c);
	return true;
}

/* A run of letters and digits and such, up to a blank or a stop. */
static size_t word_length(const struct cursor *c, const char *stops)
{
	const char *p = c->p;

	while (p < c->end && !is_blank(*p) && !strchr(stops, *p))
		p++;
	return p - c->p;
}

static bool is_word(const char *p, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(p, word, len) == 0;
}

static char *copy(const char *p, size_t len, struct err *e)
{
	char *s = strndup(p, len);

	if (!s)
		err_nomem(e);
	return s;
}

/* Extent lines: ACCESS SECTORS TYPE ["FILE" [OFFSET [whatever]]] */

static const char *const accesses[] = {"RW", "RDONLY", "NOACCESS"};

static bool starts_extent(const struct cursor *c)
{
	size_t len = word_length(c, "");

	for (size_t i = 0; i < sizeof accesses / sizeof accesses[0]; i++)
		if (is_word(c->p, len, accesses[i]))
			return c->p + len < c->end;
	return false;
}

static int bad_line(const struct cursor *c, const char *what, struct err *e)
{
	return err_set(e, EINVAL, "descriptor, line %u: %s", c->number, what);
}

static int parse_number(struct cursor *c, uint64_t *value, const char *what, struct err *e)
{
	size_t len = word_length(c, "");

	*value = 0;
	for (size_t i = 0; i < len; i++)
		if (!isdigit((unsigned char)c->p[i]) || __builtin_mul_overflow(*value, 10, value) ||
			__builtin_add_overflow(*value, c->p[i] - '0', value))
			return bad_line(c, what, e);
	/* In bytes, too, it must be a number that a file position can have. */
	if (len == 0 || *value > LIMIT_DISK_SIZE / VMDK_SECTOR)
		return bad_line(c, what, e);
	c->p += len;
	skip_blanks(c);
	return 0;
}

static int parse_type(struct cursor *c, enum vmdk_type *type, struct err *e)
{
	static const struct {
		const char *word;
		enum vmdk_type type;
	} types[] = {{"FLAT", VMDK_FLAT}, {"VMFS", VMDK_FLAT}, {"SPARSE", VMDK_SPARSE},
		{"ZERO", VMDK_ZERO}};
	size_t len = word_length(c, "\"");

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (is_word(c->p, len, types[i].word)) {
			*type = types[i].type;
			c->p += len;
			skip_blanks(c);
			return 0;
		}
	return err_set(e, ENOTSUP,
		"descriptor, line %u: extents of type \"%.*s\" are not supported", c->number,
		(int)MIN(len, 40), c->p);
}

static int parse_file(struct cursor *c, struct vmdk_line *line, struct err *e)
{
	const char *close;

	if (c->p == c->end || *c->p != '"')
		return bad_line(c, "the name of a file in quotes is expected", e);
	c->p++;
	close = memchr(c->p, '"', c->end - c->p);
	if (!close)
		return bad_line(c, "the quote is never closed", e);
	if (close == c->p || close - c->p > LIMIT_NAME)
		return bad_line(c, "the name of the file is empty or too long", e);
	line->file = copy(c->p, close - c->p, e);
	if (!line->file)
		return -e->code;
	c->p = close + 1;
	skip_blanks(c);
	if (line->type == VMDK_FLAT && c->p < c->end)
		return parse_number(c, &line->offset, "the offset is not a number of sectors", e);
	return 0;
}

static int parse_extent(struct cursor *c, struct vmdk_line *line, struct err *e)
{
	size_t len = word_length(c, "");
	int r;

	line->no_access = is_word(c->p, len, "NOACCESS");
	c->p += len;
	skip_blanks(c);
	r = parse_number(c, &line->sectors, "the size is not a number of sectors", e);
	if (r == 0 && line->sectors == 0)
		r = bad_line(c, "an extent of no sectors", e);
	if (r == 0)
		r = parse_type(c, &line->type, e);
	if (r == 0 && line->type != VMDK_ZERO)
		r = parse_file(c, line, e);
	return r;
}

static int add_extent(struct vmdk_desc *d, struct cursor *c, struct err *e)
{
	struct vmdk_line *lines = d->lines;
	int r;

	if (d->nlines == VMDK_MAX_EXTENTS)
		return err_set(e, EFBIG, "descriptor, line %u: more than %d extents", c->number,
			VMDK_MAX_EXTENTS);
	if (d->nlines == 0 || is_power_of_2(d->nlines))
		lines = realloc(lines, (d->nlines ? 2 * d->nlines : 1) * sizeof *lines);
	if (!lines)
		return err_nomem(e);
	d->lines = lines;
	memset(&lines[d->nlines], 0, sizeof *lines);
	r = parse_extent(c, &lines[d->nlines], e);
	if (r < 0)
		free(lines[d->nlines].file);
	else
		d->nlines++;
	return r;
}

/* Assignments: key = value, key = "value". */

struct assignment {
	const char *key, *value;
	size_t nkey, nvalue;
};

static int parse_assignment(struct cursor *c, struct assignment *a, struct err *e)
{
	const char *close;

	a->key = c->p;
	a->nkey = word_length(c, "=");
	c->p += a->nkey;
	skip_blanks(c);
	if (c->p == c->end || *c->p != '=')
		return bad_line(c, "neither a key, nor an extent, nor a comment", e);
	c->p++;
	skip_blanks(c);
	a->value = c->p;
	a->nvalue = c->end - c->p;
	if (a->nvalue == 0 || *a->value != '"')
		return 0;
	a->value++;
	close = memchr(a->value, '"', a->nvalue - 1);
	if (!close)
		return bad_line(c, "the quote is never closed", e);
	a->nvalue = close - a->value;
	return 0;
}

static bool has_key(const struct assignment *a, const char *key)
{
	return is_word(a->key, a->nkey, key);
}

static int set_hex(
	const struct cursor *c, const struct assignment *a, uint32_t *value, struct err *e)
{
	uint64_t v = 0;

	for (size_t i = 0; i < a->nvalue; i++) {
		int digit = tolower((unsigned char)a->value[i]);

		if (!isxdigit(digit) || v > UINT32_MAX >> 4)
			return bad_line(c, "a content id of 8 hex digits is expected", e);
		v = v << 4 | (unsigned)(isdigit(digit) ? digit - '0' : digit - 'a' + 10);
	}
	if (a->nvalue == 0)
		return bad_line(c, "a content id of 8 hex digits is expected", e);
	*value = v;
	return 0;
}

/* A key may be said once only: two answers to one question are none. */
static int set_text(const struct cursor *c, const struct assignment *a, char **text, struct err *e)
{
	if (*text)
		return bad_line(c, "the key is there for the second time", e);
	if (a->nvalue > LIMIT_NAME)
		return bad_line(c, "the value is too long", e);
	*text = copy(a->value, a->nvalue, e);
	return *text ? 0 : -e->code;
}

static int set_version(const struct cursor *c, const struct assignment *a, struct err *e)
{
	if (a->nvalue == 1 && *a->value >= '1' && *a->value <= '3')
		return 0;
	return err_set(e, ENOTSUP, "descriptor, line %u: version %.*s is not supported", c->number,
		(int)MIN(a->nvalue, 20), a->value);
}

static int assign(
	struct vmdk_desc *d, const struct cursor *c, const struct assignment *a, struct err *e)
{
	if (has_key(a, "version"))
		return set_version(c, a, e);
	if (has_key(a, "CID"))
		return set_hex(c, a, &d->cid, e);
	if (has_key(a, "parentCID"))
		return set_hex(c, a, &d->parent_cid, e);
	if (has_key(a, "createType"))
		return set_text(c, a, &d->create_type, e);
	if (has_key(a, "parentFileNameHint"))
		return set_text(c, a, &d->parent_hint, e);
	if (has_key(a, "ddb.uuid.image"))
		return set_text(c, a, &d->uuid, e);
	if (has_key(a, "ddb.uuid.parent"))
		return set_text(c, a, &d->parent_uuid, e);
	if (has_key(a, "ddb.logicalSectorSize"))
		d->sector_size = a->nvalue == 4 && memcmp(a->value, "4096", 4) == 0 ? 4096 : 512;
	return 0;
}

static int parse_line(struct vmdk_desc *d, struct cursor *c, struct err *e)
{
	struct assignment a;
	int r;

	if (c->p == c->end || *c->p == '#')
		return 0;
	if (starts_extent(c))
		return add_extent(d, c, e);
	r = parse_assignment(c, &a, e);
	return r < 0 ? r : assign(d, c, &a, e);
}

/* What a null UUID names is nothing. */
static void drop_null_uuid(char **uuid)
{
	if (*uuid && strspn(*uuid, "0-{}") == strlen(*uuid)) {
		free(*uuid);
		*uuid = NULL;
	}
}

static const char *skip_mark(const char *text, size_t *len)
{
	static const char mark[] = "\xef\xbb\xbf";

	if (*len < 3 || memcmp(text, mark, 3) != 0)
		return text;
	*len -= 3;
	return text + 3;
}

int vmdk_desc_parse(struct vmdk_desc *d, const char *text, size_t len, struct err *e)
{
	struct cursor c = {.number = 0};
	const char *end;
	int r = 0;

	*d = (struct vmdk_desc){.parent_cid = VMDK_NO_PARENT};
	text = skip_mark(text, &len);
	end = text + strnlen(text, len);
	while (r == 0 && next_line(&text, end, &c))
		r = parse_line(d, &c, e);
	if (r == 0 && d->nlines == 0)
		r = err_set(e, EINVAL, "the descriptor names no extents");
	if (r == 0 && !d->create_type) {
		d->create_type = copy("", 0, e);
		r = d->create_type ? 0 : -e->code;
	}
	drop_null_uuid(&d->parent_uuid);
	return r;
}

void vmdk_desc_free(struct vmdk_desc *d)
{
	for (size_t i = 0; i < d->nlines; i++)
		free(d->lines[i].file);
	free(d->lines);
	free(d->create_type);
	free(d->parent_hint);
	free(d->parent_uuid);
	free(d->uuid);
}

/* The first line that says anything must be the title, which comes in several spellings, or - after
 * comments - a version. */
bool vmdk_desc_recognise(const char *text, size_t len)
{
	struct cursor c = {.number = 0};
	const char *end;

	text = skip_mark(text, &len);
	end = text + strnlen(text, len);
	while (next_line(&text, end, &c)) {
		if (c.p == c.end)
			continue;
		if (*c.p != '#')
			return (size_t)(c.end - c.p) > 8 && strncasecmp(c.p, "version", 7) == 0 &&
			       (c.p[7] == '=' || is_blank(c.p[7]));
		c.p++;
		skip_blanks(&c);
		if ((size_t)(c.end - c.p) >= 15 && strncasecmp(c.p, "Disk Descriptor", 15) == 0)
			return true;
	}
	return false;
}
