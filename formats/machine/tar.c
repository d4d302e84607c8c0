/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tar.c - reads headers of 512 bytes, each before its data.
 *
 * Values that do not fit into a header precede it in headers of their own: GNU's long names, and
 * the records of pax, for the next member or for all that follow.  No field is used before the
 * checksum is right.
 */
#include "tar.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/limits.h"
#include "util/array.h"
#include "util/bytes.h"
#include "util/err.h"
#include "io/io.h"

#define BLOCK TAR_PEEK

/* Positions of the fields. */
#define NAME_AT    0
#define NAME_LEN   100
#define SIZE_AT    124
#define SIZE_LEN   12
#define SUM_AT     148
#define SUM_LEN    8
#define TYPE_AT    156
#define MAGIC_AT   257
#define PREFIX_AT  345
#define PREFIX_MAX 155

/* Values of records, which replace those of a header. */
struct pax_records {
	char *path;
	bool has_size;
	uint64_t size;
};

struct tar_reader {
	struct io *io;
	struct tar *tar;
	uint64_t pos; /* of the next header */
	size_t n;     /* of headers so far */
	struct pax_records all, next;
};

/* Octal digits between blanks, ended by a blank or NUL. */
static int load_octal(const unsigned char *p, size_t n, uint64_t *v)
{
	size_t i = 0;

	*v = 0;
	while (i < n && p[i] == ' ')
		i++;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
		if (*v >> 61)
			return -EINVAL;
		*v = *v << 3 | (p[i] - '0');
	}
	for (; i < n; i++)
		if (p[i] != ' ' && p[i] != '\0')
			return -EINVAL;
	return 0;
}

/* A number with the highest bit of its field set is binary: GNU's extension for 8 GiB and more. */
static int load_size(const unsigned char *p, uint64_t *v)
{
	if (!(p[0] & 0x80))
		return load_octal(p, SIZE_LEN, v);
	*v = load_be64(p + SIZE_LEN - 8);
	return p[0] == 0x80 && is_zero(p + 1, SIZE_LEN - 9) && *v <= INT64_MAX ? 0 : -EINVAL;
}

/* Some old writers sum signed bytes. */
static bool sum_is_right(const unsigned char *h)
{
	uint64_t stored, sum = 0, high = 0;

	if (load_octal(h + SUM_AT, SUM_LEN, &stored) < 0)
		return false;
	for (size_t i = 0; i < BLOCK; i++) {
		bool own = i >= SUM_AT && i < SUM_AT + SUM_LEN;

		sum += own ? ' ' : h[i];
		high += !own && h[i] >= 0x80;
	}
	return stored == sum || stored + 256 * high == sum;
}

bool tar_probe(const unsigned char *head)
{
	return memcmp(head + MAGIC_AT, "ustar", 5) == 0 || sum_is_right(head);
}

bool tar_head_names(const unsigned char *head, size_t n, const char *end)
{
	size_t nend = strlen(end);
	uint64_t pos = 0, len;

	while (range_fits(pos, BLOCK, n) && sum_is_right(head + pos) &&
		load_size(head + pos + SIZE_AT, &len) == 0) {
		const char *name = (const char *)head + pos;
		size_t nname = strnlen(name, NAME_LEN);

		if (nname > nend && strncasecmp(name + nname - nend, end, nend) == 0)
			return true;
		if (!range_fits(pos + BLOCK, len, n))
			return false;
		pos += BLOCK + round_up(len, BLOCK);
	}
	return false;
}

int tar_tidy(char *path)
{
	char *out = path;

	if (path[0] == '/')
		return -EINVAL;
	for (const char *p = path; *p; p += strcspn(p, "/"), p += *p == '/')
		if (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0'))
			return -EINVAL;
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		const char *next = p + n + (p[n] == '/');

		if (n > 1 || (n == 1 && p[0] != '.')) {
			if (out > path)
				*out++ = '/';
			memmove(out, p, n);
			out += n;
		}
		p = next;
	}
	*out = '\0';
	return 0;
}

/* Malloc'ed; a header of POSIX has the beginning of a long name in a prefix, where GNU's older
 * headers have other fields. */
static char *header_name(const unsigned char *h)
{
	bool has_prefix = memcmp(h + MAGIC_AT, "ustar", 6) == 0 && h[PREFIX_AT] != '\0';
	char *name = malloc(PREFIX_MAX + 1 + NAME_LEN + 1), *end = name;

	if (!name)
		return NULL;
	if (has_prefix) {
		size_t n = strnlen((const char *)h + PREFIX_AT, PREFIX_MAX);

		end = mempcpy(end, h + PREFIX_AT, n);
		*end++ = '/';
	}
	end = mempcpy(end, h + NAME_AT, strnlen((const char *)h + NAME_AT, NAME_LEN));
	*end = '\0';
	return name;
}

/* Records of pax: "LENGTH KEY=VALUE\n", the length that of the whole record. */

static void records_clear(struct pax_records *rec)
{
	free(rec->path);
	*rec = (struct pax_records){0};
}

static int set_path(struct pax_records *rec, const char *value, size_t len, struct err *e)
{
	char *path = NULL;

	if (memchr(value, '\0', len))
		return err_set(e, EINVAL, "a name with a zero byte in it");
	if (len > 0 && !(path = strndup(value, len)))
		return err_nomem(e);
	free(rec->path);
	rec->path = path;
	return 0;
}

/* An empty value revokes the one for all members. */
static int set_size(struct pax_records *rec, const char *value, size_t len, struct err *e)
{
	uint64_t size = 0;

	for (size_t i = 0; i < len; i++)
		if (value[i] < '0' || value[i] > '9' || __builtin_mul_overflow(size, 10, &size) ||
			__builtin_add_overflow(size, value[i] - '0', &size))
			return err_set(e, EINVAL, "size \"%.*s\" is no number of bytes",
				(int)MIN(len, 40), value);
	rec->has_size = len > 0;
	rec->size = size;
	return 0;
}

static bool key_is(const char *key, size_t len, const char *name)
{
	return len == strlen(name) && memcmp(key, name, len) == 0;
}

static int take_records(struct pax_records *rec, const char *text, size_t len, struct err *e)
{
	for (size_t n; len > 0; text += n, len -= n) {
		const char *key, *equals;
		size_t i = 0, nkey, nvalue;
		int r = 0;

		n = 0;
		for (; i < len && i < 8 && text[i] >= '0' && text[i] <= '9'; i++)
			n = 10 * n + (text[i] - '0');
		if (i == 0 || i >= len || text[i] != ' ' || n > len || n < i + 2 ||
			text[n - 1] != '\n')
			return err_set(e, EINVAL, "a record of wrong length");
		key = text + i + 1;
		equals = memchr(key, '=', n - i - 2);
		if (!equals)
			return err_set(e, EINVAL, "a record has no \"=\"");
		nkey = equals - key;
		nvalue = text + n - 1 - (equals + 1);
		if (key_is(key, nkey, "path"))
			r = set_path(rec, equals + 1, nvalue, e);
		else if (key_is(key, nkey, "size"))
			r = set_size(rec, equals + 1, nvalue, e);
		else if ((nkey >= 11 && memcmp(key, "GNU.sparse.", 11) == 0) ||
			 key_is(key, nkey, "SCHILY.realsize"))
			r = err_set(e, ENOTSUP, "a sparse member, which is not supported");
		if (r < 0)
			return r;
	}
	return 0;
}

/* Reads records or a long name that precede a header.  Both are bounded in length. */
static int read_extension(struct tar_reader *rd, unsigned char type, uint64_t len, struct err *e)
{
	char *text;
	int r;

	if (len > TAR_MAX_RECORDS)
		return err_set(e, EINVAL, "%" PRIu64 " bytes of records, more than %u", len,
			TAR_MAX_RECORDS);
	text = calloc(1, len + 1);
	if (!text)
		return err_nomem(e);
	r = io_read(rd->io, text, len, rd->pos + BLOCK, e);
	if (r == 0 && type == 'L') {
		free(rd->next.path);
		rd->next.path = text;
		return 0;
	}
	if (r == 0)
		r = take_records(type == 'x' ? &rd->next : &rd->all, text, len, e);
	free(text);
	return r;
}

static int refuse_type(const char *name, unsigned char type, struct err *e)
{
	static const struct {
		char type;
		const char *what;
	} types[] = {
		{'1', "a link"},
		{'2', "a symbolic link"},
		{'3', "a character device"},
		{'4', "a block device"},
		{'6', "a FIFO"},
		{'S', "a sparse member"},
		{'M', "continued from another volume"},
	};

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (type == types[i].type)
			return err_set(e, ENOTSUP, "member \"%s\" is %s, which is not supported",
				name, types[i].what);
	return err_set(e, ENOTSUP, "member \"%s\" is of the unknown type 0x%02x", name, type);
}

/* Reads the header of a file or a directory, with the records before it, and adds a file.  *len: of
 * its data. */
static int read_member(struct tar_reader *rd, const unsigned char *h, uint64_t *len, struct err *e)
{
	struct pax_records *all = &rd->all, *next = &rd->next;
	struct tar *t = rd->tar;
	struct tar_member *members = NULL;
	unsigned char type = h[TYPE_AT];
	bool is_file = type == '\0' || type == '0' || type == '7', is_dir;
	char *name = next->path;
	int r = 0;

	if (!name)
		name = all->path ? strdup(all->path) : header_name(h);
	if (!name)
		return err_nomem(e);
	next->path = NULL;
	if (next->has_size || all->has_size)
		*len = next->has_size ? next->size : all->size;
	records_clear(next);
	/* A directory of an archive without types is a name with a slash at its end. */
	is_dir = type == '5' || (is_file && *name && name[strlen(name) - 1] == '/');
	/* The size of a directory, if any, is space to be reserved for it. */
	if (type == '5')
		*len = 0;
	if (strlen(name) > LIMIT_NAME)
		r = err_set(e, ENAMETOOLONG, "member of a name of more than %d bytes", LIMIT_NAME);
	else if (!is_file && !is_dir)
		r = refuse_type(name, type, e);
	else if (tar_tidy(name) < 0)
		r = err_set(e, EACCES, "member \"%s\" would lie outside the archive", name);
	else if (!is_dir && name[0] == '\0')
		r = err_set(e, EINVAL, "a member without a name");
	else if (!range_fits(rd->pos + BLOCK, *len, rd->io->size))
		r = err_set(e, EUCLEAN,
			"member \"%s\" has %" PRIu64 " bytes, but the archive ends %" PRIu64
			" bytes behind its header",
			name, *len, rd->io->size - rd->pos - BLOCK);
	else if (!is_dir && t->n == TAR_MAX_MEMBERS)
		r = err_set(e, EINVAL, "more than %d members", TAR_MAX_MEMBERS);
	if (r == 0 && !is_dir) {
		members = array_grow(t->members, t->n, sizeof *members);
		r = members ? 0 : err_nomem(e);
	}
	if (!members) {
		free(name);
		return r;
	}
	t->members = members;
	members[t->n++] = (struct tar_member){.name = name, .pos = rd->pos + BLOCK, .len = *len};
	return 0;
}

/* Reads a header and its data.  A block of zeroes ends the archive; some writers leave it out. */
static int read_entry(struct tar_reader *rd, bool *end, struct err *e)
{
	unsigned char h[BLOCK], type;
	uint64_t len;
	int r;

	*end = rd->pos >= rd->io->size;
	if (*end)
		return 0;
	if (rd->n++ == TAR_MAX_HEADERS)
		return err_set(e, EINVAL, "more than %d headers", TAR_MAX_HEADERS);
	r = io_read(rd->io, h, BLOCK, rd->pos, e);
	*end = r == 0 && is_zero(h, BLOCK);
	if (r < 0 || *end)
		return r;
	if (!sum_is_right(h))
		return err_set(e, EUCLEAN, "its checksum is wrong");
	if (load_size(h + SIZE_AT, &len) < 0)
		return err_set(e, EUCLEAN, "its size is no number that a file can have");
	type = h[TYPE_AT];
	if (type == 'x' || type == 'g' || type == 'L')
		r = read_extension(rd, type, len, e);
	else if (type != 'K' && type != 'V') /* a link's target (links are refused), a label */
		r = read_member(rd, h, &len, e);
	if (r == 0 && !range_fits(rd->pos + BLOCK, len, rd->io->size))
		r = err_set(e, EUCLEAN, "it passes the end of the archive");
	if (r == 0)
		rd->pos += BLOCK + round_up(len, BLOCK);
	return r;
}

static int compare_members(const void *a, const void *b)
{
	const struct tar_member *x = *(const struct tar_member *const *)a;
	const struct tar_member *y = *(const struct tar_member *const *)b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x > y) - (x < y);
}

int tar_read(struct io *io, struct tar *t, struct err *e)
{
	struct tar_reader rd = {.io = io, .tar = t};
	bool end = false;
	int r = 0;

	*t = (struct tar){0};
	while (r == 0 && !end) {
		r = read_entry(&rd, &end, e);
		if (r < 0)
			err_in(e, "header at %" PRIu64, rd.pos);
	}
	records_clear(&rd.all);
	records_clear(&rd.next);
	t->by_name = malloc(MAX(t->n, 1) * sizeof t->by_name[0]);
	if (r == 0 && !t->by_name)
		r = err_nomem(e);
	if (r < 0) {
		tar_free(t);
		return r;
	}
	for (size_t i = 0; i < t->n; i++)
		t->by_name[i] = &t->members[i];
	qsort(t->by_name, t->n, sizeof t->by_name[0], compare_members);
	return 0;
}

void tar_free(struct tar *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->members[i].name);
	free(t->members);
	free(t->by_name);
	*t = (struct tar){0};
}

static int compare_name(const void *name, const void *member)
{
	return strcmp(name, (*(const struct tar_member *const *)member)->name);
}

static size_t find_first(const struct tar *t, const char *name)
{
	return array_lower_bound(name, t->by_name, t->n, sizeof t->by_name[0], compare_name);
}

const struct tar_member *tar_find(const struct tar *t, const char *name)
{
	size_t i = find_first(t, name);

	return i < t->n && strcmp(t->by_name[i]->name, name) == 0 ? t->by_name[i] : NULL;
}

const struct tar_member *tar_again(const struct tar *t, const struct tar_member *m)
{
	size_t i = find_first(t, m->name);

	while (t->by_name[i] != m)
		i++;
	return i + 1 < t->n && strcmp(t->by_name[i + 1]->name, m->name) == 0 ? t->by_name[i + 1]
									     : NULL;
}
