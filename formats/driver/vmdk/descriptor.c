/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* descriptor.c - the text descriptor of a VMDK: assignments and extent lines.
 *
 * Writers differ in case, blanks, line ends and order: none of these matters.  Unknown keys are
 * skipped.  A line that is no assignment, no comment and no extent line is an error, since the data
 * of the extents after an overlooked one would be shifted.
 */
#include "descriptor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/array.h"
#include "util/bytes.h"
#include "util/charset.h"
#include "util/err.h"
#include "util/limits.h"
#include "vmdk.h"

#define BLANKS  " \t"
#define UTF8BOM "\xef\xbb\xbf"
#define BOM_LEN 3

enum key {
	KEY_VERSION,
	KEY_CID,
	KEY_PARENT_CID,
	KEY_CREATE_TYPE,
	KEY_PARENT_HINT,
	KEY_ENCODING,
	KEY_DDB_ENCODING,
	KEY_ID,
	KEY_CHANGE_ID,
	KEY_PARENT_ID,
	KEY_PARENT_CHANGE_ID,
	KEY_SECTOR_SIZE,
	KEY_LONG_CID,
	KEY_TRACKING,
	KEY_IO_FILTERS,
	KEY_KEY_ID,
	KEY_ENCRYPTION_KEYS,
	NKEYS,
};

static const char *const key_names[NKEYS] = {
	[KEY_VERSION] = "version",
	[KEY_CID] = "CID",
	[KEY_PARENT_CID] = "parentCID",
	[KEY_CREATE_TYPE] = "createType",
	[KEY_PARENT_HINT] = "parentFileNameHint",
	[KEY_ENCODING] = "encoding",
	[KEY_DDB_ENCODING] = "ddb.encoding",
	[KEY_ID] = "ddb.uuid.image",
	[KEY_CHANGE_ID] = "ddb.uuid.modification",
	[KEY_PARENT_ID] = "ddb.uuid.parent",
	[KEY_PARENT_CHANGE_ID] = "ddb.uuid.parentmodification",
	[KEY_SECTOR_SIZE] = "ddb.logicalSectorSize",
	[KEY_LONG_CID] = "ddb.longContentID",
	[KEY_TRACKING] = "changeTrackPath",
	[KEY_IO_FILTERS] = "ddb.iofilters",
	[KEY_KEY_ID] = "keyID",
	[KEY_ENCRYPTION_KEYS] = "encryptionKeys",
};

struct parser {
	struct vmdk_descriptor *desc;
	unsigned line;
	char *value[NKEYS];   /* NULL: absent or empty */
	char *name[NKEYS];    /* in the text; NULL: absent */
	unsigned seen[NKEYS]; /* line, 0: absent */
};

static char *skip_blanks(char *p)
{
	return p + strspn(p, BLANKS);
}

static void trim_end(char *s)
{
	size_t n = strlen(s);

	while (n > 0 && strchr(BLANKS "\r", s[n - 1]))
		n--;
	s[n] = '\0';
}

/* Terminates the word at *p and moves *p to the text after it. */
static char *take_word(char **p)
{
	char *word = skip_blanks(*p), *end = word + strcspn(word, BLANKS);

	*p = end;
	if (*end != '\0') {
		*end = '\0';
		*p = skip_blanks(end + 1);
	}
	return word;
}

/* As take_word, for a text in quotes; NULL when they are not closed. */
static char *take_quoted(char **p)
{
	char *text = *p + 1, *end = strchr(text, '"');

	if (!end)
		return NULL;
	*end = '\0';
	*p = skip_blanks(end + 1);
	return text;
}

static bool parse_number(const char *word, uint64_t *v)
{
	const char *p = word;

	for (*v = 0; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(*v, 10, v) ||
			__builtin_add_overflow(*v, (uint64_t)(*p - '0'), v))
			return false;
	return p > word && *p == '\0';
}

/* CIDs are written with and without leading zeroes. */
static bool parse_cid(const char *word, uint32_t *v)
{
	size_t n = strspn(word, "0123456789abcdefABCDEF");

	if (n == 0 || n > 8 || word[n] != '\0')
		return false;
	*v = strtoul(word, NULL, 16);
	return true;
}

/* Extent lines: ACCESS SECTORS TYPE ["FILE" [START [more]]] (The Descriptor File, The Extent
 * Description). */

static const char *const accesses[] = {"RW", "RDONLY", "NOACCESS"};
#define RDONLY   accesses[1]
#define NOACCESS accesses[2]

/* The access with which an extent line begins; NULL: it is not an extent line. */
static const char *line_access(const char *line)
{
	for (size_t i = 0; i < sizeof accesses / sizeof accesses[0]; i++) {
		size_t n = strlen(accesses[i]);

		if (strncasecmp(line, accesses[i], n) == 0 &&
			(line[n] == '\0' || strchr(BLANKS, line[n])))
			return accesses[i];
	}
	return NULL;
}

static int parse_extent(struct parser *s, const char *access, char *p, struct err *e)
{
	struct vmdk_descriptor *d = s->desc;
	struct vmdk_extent_line *lines, *x;
	const char *sectors, *start;

	if (d->nlines == VMDK_MAX_EXTENTS)
		return err_set(e, EFBIG, "more than %d extents", VMDK_MAX_EXTENTS);
	lines = array_grow(d->lines, d->nlines, sizeof *lines);
	if (!lines)
		return err_nomem(e);
	d->lines = lines;
	x = &lines[d->nlines++];
	take_word(&p);
	sectors = take_word(&p);
	*x = (struct vmdk_extent_line){
		.number = s->line,
		.hidden = access == NOACCESS,
		.fixed = access == RDONLY,
		.type = take_word(&p),
	};
	if (!parse_number(sectors, &x->sectors) || x->sectors > LIMIT_DISK_SIZE / VMDK_SECTOR)
		return err_set(
			e, EINVAL, "extent: \"%s\" is not a possible number of sectors", sectors);
	if (*x->type == '\0')
		return err_set(e, EINVAL, "extent: it has no type");
	if (*p == '\0')
		return 0;
	if (*p != '"')
		return err_set(e, EINVAL, "extent: \"%s\", a file name in quotes expected", p);
	x->file = take_quoted(&p);
	if (!x->file)
		return err_set(e, EINVAL, "extent: the quotes of the file name are not closed");
	if (*p == '\0')
		return 0;
	/* Words after the start, for Windows, name the device once more. */
	start = take_word(&p);
	if (!parse_number(start, &x->start))
		return err_set(e, EINVAL, "extent: \"%s\" is not a sector number", start);
	return 0;
}

/* KEY = VALUE or KEY = "VALUE". */
static int parse_assignment(struct parser *s, char *line, char *equals, struct err *e)
{
	char *value = skip_blanks(equals + 1);
	int k = 0;

	*equals = '\0';
	trim_end(line);
	while (k < NKEYS && strcasecmp(line, key_names[k]) != 0)
		k++;
	if (k == NKEYS)
		return 0;
	if (s->seen[k])
		return err_set(e, EINVAL, "a second %s, the first is in line %u", key_names[k],
			s->seen[k]);
	if (*value == '"' && !(value = take_quoted(&value)))
		return err_set(e, EINVAL, "%s: the quotes are not closed", key_names[k]);
	s->seen[k] = s->line;
	s->name[k] = line;
	s->value[k] = *value ? value : NULL;
	return 0;
}

static int parse_line(struct parser *s, char *line, struct err *e)
{
	const char *access;
	char *equals;

	line = skip_blanks(line);
	trim_end(line);
	if (*line == '\0' || *line == '#')
		return 0;
	if (strchr(line, '\r'))
		return err_set(e, EINVAL, "a carriage return without a line feed");
	access = line_access(line);
	if (access)
		return parse_extent(s, access, line, e);
	equals = strchr(line, '=');
	if (!equals)
		return err_set(e, EINVAL, "neither an assignment nor an extent: \"%.40s\"", line);
	return parse_assignment(s, line, equals, e);
}

static int bad_value(const struct parser *s, enum key k, struct err *e)
{
	return err_set(e, EINVAL, "descriptor, line %u: %s: \"%s\" is not possible", s->seen[k],
		key_names[k], s->value[k]);
}

static int interpret(struct parser *s, struct vmdk_descriptor *d, struct err *e)
{
	char **value = s->value;
	uint64_t version, sector_size = 0;

	if (!value[KEY_VERSION])
		return err_set(e, EINVAL, "descriptor: no version");
	if (!parse_number(value[KEY_VERSION], &version))
		return bad_value(s, KEY_VERSION, e);
	if (version < 1 || version > 3)
		return err_set(
			e, ENOTSUP, "descriptor version %s is not supported", value[KEY_VERSION]);
	/* The keys of an encrypted disk are in its descriptor, and an I/O filter decrypts. */
	if (value[KEY_KEY_ID] || value[KEY_ENCRYPTION_KEYS] ||
		(value[KEY_IO_FILTERS] && strcasestr(value[KEY_IO_FILTERS], "crypt")))
		return err_set(e, ENOTSUP, "the disk is encrypted, which is not supported");
	d->cid = d->parent_cid = VMDK_NO_CID;
	if (value[KEY_CID] && !parse_cid(value[KEY_CID], &d->cid))
		return bad_value(s, KEY_CID, e);
	if (value[KEY_PARENT_CID] && !parse_cid(value[KEY_PARENT_CID], &d->parent_cid))
		return bad_value(s, KEY_PARENT_CID, e);
	if (value[KEY_SECTOR_SIZE] && (!parse_number(value[KEY_SECTOR_SIZE], &sector_size) ||
					      (sector_size != 512 && sector_size != 4096)))
		return bad_value(s, KEY_SECTOR_SIZE, e);
	d->sector_size = sector_size;
	/* A wrong UUID of the parent could make another image the parent. */
	if (value[KEY_PARENT_ID] && !guid_parse(d->parent_id, value[KEY_PARENT_ID]))
		return bad_value(s, KEY_PARENT_ID, e);
	/* The others serve only children and the check of the parent. */
	if (value[KEY_ID])
		guid_parse(d->id, value[KEY_ID]);
	if (value[KEY_CHANGE_ID])
		guid_parse(d->change_id, value[KEY_CHANGE_ID]);
	if (value[KEY_PARENT_CHANGE_ID])
		guid_parse(d->parent_change_id, value[KEY_PARENT_CHANGE_ID]);
	d->at.cid = value[KEY_CID];
	d->at.long_cid = value[KEY_LONG_CID];
	d->at.change_id = value[KEY_CHANGE_ID];
	d->at.tracking = s->name[KEY_TRACKING];
	d->create_type = value[KEY_CREATE_TYPE];
	d->parent_hint = value[KEY_PARENT_HINT];
	d->encoding = value[KEY_ENCODING] ? value[KEY_ENCODING] : value[KEY_DDB_ENCODING];
	return 0;
}

int vmdk_descriptor_parse(struct vmdk_descriptor *d, char *text, struct err *e)
{
	struct parser s = {.desc = d};
	char *next;
	int r;

	*d = (struct vmdk_descriptor){.nlines = 0};
	if (strlen(text) > VMDK_MAX_DESCRIPTOR)
		return err_set(e, EFBIG, "descriptor: more than %u bytes", VMDK_MAX_DESCRIPTOR);
	if (strncmp(text, UTF8BOM, BOM_LEN) == 0)
		text += BOM_LEN;
	for (s.line = 1; text; text = next, s.line++) {
		next = strchr(text, '\n');
		if (next)
			*next++ = '\0';
		if (parse_line(&s, text, e) < 0)
			return err_in(e, "descriptor, line %u", s.line);
	}
	r = interpret(&s, d, e);
	if (r == 0 && d->nlines == 0)
		r = err_set(e, EINVAL, "descriptor: no extents");
	return r;
}

void vmdk_descriptor_free(struct vmdk_descriptor *d)
{
	free(d->lines);
	*d = (struct vmdk_descriptor){.nlines = 0};
}

/* The line is the title that writers put first; its blanks vary. */
static bool is_title(const char *line)
{
	static const char title[] = "#diskdescriptorfile";
	const char *t = title;

	for (; *line && *t; line++) {
		if (strchr(BLANKS, *line))
			continue;
		if ((*line | 0x20) != (*t | 0x20))
			return false;
		t++;
	}
	return *t == '\0';
}

int vmdk_descriptor_probe(const unsigned char *head, size_t len)
{
	const char *p = (const char *)head, *end = p + len;

	if (len >= BOM_LEN && memcmp(p, UTF8BOM, BOM_LEN) == 0)
		p += BOM_LEN;
	while (p < end) {
		const char *newline = memchr(p, '\n', end - p);
		size_t n = (newline ? newline : end) - p;
		char line[64] = "";
		char *first;

		memcpy(line, p, MIN(sizeof line - 1, n));
		if (memchr(p, '\0', n))
			return is_title(line) ? 90 : 0;
		p = newline ? newline + 1 : end;
		first = skip_blanks(line);
		trim_end(first);
		if (is_title(first))
			return 90;
		if (*first == '\0' || *first == '#')
			continue;
		/* A descriptor without title begins with the version. */
		return strncasecmp(first, "version", 7) == 0 && *skip_blanks(first + 7) == '=' ? 50
											       : 0;
	}
	return 0;
}

int vmdk_descriptor_decode_name(
	const struct vmdk_descriptor *d, const char *name, char out[VMDK_NAME_MAX], struct err *e)
{
	if (strlen(name) > LIMIT_NAME)
		return err_set(e, ENAMETOOLONG, "a file name of more than %d bytes", LIMIT_NAME);
	return charset_decode(d->encoding, name, out, VMDK_NAME_MAX, e);
}

/* The embedded descriptor, as far as it lies in the head of the file; malloc'ed or NULL. */
static char *find_embedded(const unsigned char *head, size_t n)
{
	uint64_t start, len;

	if (n < VMDK_SECTOR || memcmp(head, "KDMV", 4) != 0)
		return NULL;
	start = load_le64(head + 28);
	len = load_le64(head + 36);
	if (start == 0 || start >= n / VMDK_SECTOR)
		return NULL;
	start *= VMDK_SECTOR;
	len = len > n / VMDK_SECTOR ? n : len * VMDK_SECTOR;
	return strndup((const char *)head + start, MIN(len, n - start));
}

static void visit_name(const struct vmdk_descriptor *d, const char *name, bool is_parent,
	format_name_visit *visit, void *arg)
{
	char decoded[VMDK_NAME_MAX];
	struct err e = ERR_INIT;

	if (name && vmdk_descriptor_decode_name(d, name, decoded, &e) == 0)
		visit(arg, decoded, is_parent);
}

/* The extent lines of an embedded descriptor are skipped: they name the file itself, by a name that
 * may be old. */
void vmdk_descriptor_visit_names(
	const unsigned char *head, size_t n, format_name_visit *visit, void *arg)
{
	bool whole = vmdk_descriptor_probe(head, n) > 0;
	char *text = whole ? strndup((const char *)head, n) : find_embedded(head, n);
	struct err e = ERR_INIT;
	struct vmdk_descriptor d;

	if (!text)
		return;
	/* In a damaged descriptor the names before the damage are visited. */
	vmdk_descriptor_parse(&d, text, &e);
	for (size_t i = 0; whole && i < d.nlines; i++)
		visit_name(&d, d.lines[i].file, false, visit, arg);
	visit_name(&d, d.parent_hint, true, visit, arg);
	vmdk_descriptor_free(&d);
	free(text);
}

/* New descriptors. */

void vmdk_descriptor_write_begin(FILE *f, const struct vmdk_descriptor_values *t)
{
	fprintf(f,
		"# Disk DescriptorFile\n"
		"version=1\n"
		"encoding=\"UTF-8\"\n"
		"CID=%08" PRIx32 "\n"
		"parentCID=%08" PRIx32 "\n"
		"createType=\"%s\"\n",
		t->cid, t->parent_cid, t->create_type);
	if (t->parent_hint)
		fprintf(f, "parentFileNameHint=\"%s\"\n", t->parent_hint);
	fprintf(f, "\n# Extent description\n");
}

void vmdk_descriptor_write_end(FILE *f, const struct vmdk_descriptor_values *t)
{
	static const char *const ids[] = {"image", "modification", "parent", "parentmodification"};
	/* The geometry that the BIOS of a guest sees. */
	bool ide = strcmp(t->adapter, "ide") == 0;
	unsigned heads = ide ? 16 : 255;
	uint64_t cylinders = ide ? MIN(t->sectors / (16 * 63), 16383)
				 : MIN(div_round_up(t->sectors, 255 * 63), 65535);

	fprintf(f,
		"\n# The Disk Data Base\n"
		"#DDB\n"
		"\n"
		"ddb.virtualHWVersion = \"%s\"\n"
		"ddb.adapterType = \"%s\"\n"
		"ddb.geometry.cylinders = \"%" PRIu64 "\"\n"
		"ddb.geometry.heads = \"%u\"\n"
		"ddb.geometry.sectors = \"63\"\n"
		"ddb.longContentID = \"%016" PRIx64 "%08" PRIx32 "%08" PRIx32 "\"\n",
		t->hw_version, t->adapter, cylinders, heads, load_le64(t->long_id),
		load_le32(t->long_id + 8), t->cid);
	if (t->tools_version)
		fprintf(f, "ddb.toolsVersion = \"%s\"\n", t->tools_version);
	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		char text[GUID_TEXT];

		guid_text(text, t->ids[i]);
		fprintf(f, "ddb.uuid.%s = \"%s\"\n", ids[i], text);
	}
}
