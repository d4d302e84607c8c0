/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ovf.c - parses OVF descriptors, by the schema and as writers deviate from it.
 *
 * Elements are found by their own name and that of their parent, at any depth: the sections of
 * version 0.9, which are all called Section, and systems in nested collections need no rule of
 * their own.  Every list is bounded, since each is searched for each entry of another.
 */
#include "ovf.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/limits.h"
#include "util/array.h"
#include "util/err.h"
#include "util/xml.h"
#include "util/text.h"
#include "io/io.h"

#define HARD_DISK "17" /* CIM's type of a resource */
#define NOWHERE   SIZE_MAX

/* A device (Item). */
struct item {
	const struct xml *node;
	const char *id;
};

struct ovf_reader {
	struct ovf *ovf;
	size_t nitems;
	struct item *items;
	struct err *e;
};

/* The element after node in document order; NULL: node is the last below root. */
static const struct xml *next_element(const struct xml *root, const struct xml *node)
{
	if (node->child)
		return node->child;
	while (node != root && !node->next)
		node = node->parent;
	return node == root ? NULL : node->next;
}

static bool is_called(const struct xml *node, const char *name)
{
	return node && strcmp(node->name, name) == 0;
}

static bool ends_in(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

/* Some writers do not encode names: a "%" without two digits stands for itself. */
char *ovf_decode(const char *href)
{
	char *path = strdup(href), *out = path;

	for (const char *p = path; p && *p; p++, out++) {
		int high = *p == '%' ? text_hex_digit(p[1]) : -1,
		    low = high >= 0 ? text_hex_digit(p[2]) : -1;

		*out = *p;
		if (low < 0)
			continue;
		*out = high * 16 + low;
		if (*out == '\0') {
			out = path;
			break;
		}
		p += 2;
	}
	if (path)
		*out = '\0';
	return path;
}

static const struct {
	const char *names[3];
	unsigned shift;
} units_known[] = {
	{{"byte", "bytes", "b"}, 0},
	{{"kilobyte", "kilobytes", "kb"}, 10},
	{{"megabyte", "megabytes", "mb"}, 20},
	{{"gigabyte", "gigabytes", "gb"}, 30},
	{{"terabyte", "terabytes", "tb"}, 40},
};

static bool find_unit(const char *name, size_t len, uint64_t *v)
{
	for (size_t i = 0; i < sizeof units_known / sizeof units_known[0]; i++)
		for (size_t k = 0; k < 3; k++) {
			const char *known = units_known[i].names[k];

			*v = UINT64_C(1) << units_known[i].shift;
			if (strlen(known) == len && strncasecmp(name, known, len) == 0)
				return true;
		}
	return false;
}

/* Parses a number at *p, and moves *p after it. */
static bool scan_number(const char **p, uint64_t *v)
{
	const char *start = *p;

	for (*v = 0; isdigit((unsigned char)**p); (*p)++)
		if (__builtin_mul_overflow(*v, 10, v) || __builtin_add_overflow(*v, **p - '0', v))
			return false;
	return *p > start;
}

/* Parses a factor at *p: a unit, a number, or a number to the power of another. */
static bool scan_factor(const char **p, uint64_t *v)
{
	size_t n = 0;
	uint64_t base, power;

	while (isalpha((unsigned char)(*p)[n]))
		n++;
	if (find_unit(*p, n, v)) {
		*p += n;
		return true;
	}
	if (!scan_number(p, &base))
		return false;
	*v = base;
	if (**p != '^')
		return true;
	(*p)++;
	if (!scan_number(p, &power) || power > 64)
		return false;
	for (*v = 1; power > 0; power--)
		if (__builtin_mul_overflow(*v, base, v))
			return false;
	return true;
}

static void copy_without_blanks(const char *text, char *buf, size_t size)
{
	size_t n = 0;

	for (; *text && n + 1 < size; text++)
		if (!isspace((unsigned char)*text))
			buf[n++] = *text;
	buf[n] = '\0';
}

/* In DSP0004 factors have any order, and blanks may be anywhere. */
uint64_t ovf_capacity(const char *number, const char *units)
{
	char buf[128];
	const char *p = buf;
	uint64_t v, factor;

	copy_without_blanks(number, buf, sizeof buf);
	if (!scan_number(&p, &v) || *p)
		return 0;
	copy_without_blanks(units ? units : "", buf, sizeof buf);
	for (p = buf; *p; p += *p == '*')
		if (!scan_factor(&p, &factor) || (*p && *p != '*') ||
			__builtin_mul_overflow(v, factor, &v))
			return 0;
	return v;
}

/* Adds an entry of zeroes to *list; NULL on failure. */
static void *add_entry(void *list, size_t *n, size_t size, struct err *e)
{
	char **entries = list;
	char *more;

	if (*n == OVF_MAX_ITEMS) {
		err_set(e, EINVAL, "it has more than %d files, disks or devices", OVF_MAX_ITEMS);
		return NULL;
	}
	more = array_grow(*entries, *n, size);
	if (!more) {
		err_nomem(e);
		return NULL;
	}
	*entries = more;
	more += (*n)++ * size;
	return memset(more, 0, size);
}

/* A URI that names a host or a scheme leads to no file; nothing is fetched. */
static bool is_url(const char *href)
{
	return strstr(href, "://") || strncasecmp(href, "file:", 5) == 0;
}

static int add_file(struct ovf_reader *rd, const struct xml *node)
{
	struct ovf *o = rd->ovf;
	const char *href = xml_attr(node, "href"), *chunk = xml_attr(node, "chunkSize");
	const char *size = xml_attr(node, "size");
	struct ovf_file *f = add_entry(&o->files, &o->nfiles, sizeof *f, rd->e);

	if (!f)
		return -rd->e->code;
	f->id = xml_attr(node, "id");
	f->href = href ? href : "";
	f->compression = xml_attr(node, "compression");
	if (f->compression && (!*f->compression || strcasecmp(f->compression, "identity") == 0))
		f->compression = NULL;
	if (size)
		f->size = ovf_capacity(size, NULL);
	if (chunk && (!scan_number(&chunk, &f->chunk) || *chunk))
		return err_set(rd->e, EINVAL, "chunkSize of \"%s\" is no number", f->href);
	if (is_url(f->href))
		return 0;
	f->path = ovf_decode(f->href);
	return f->path ? 0 : err_nomem(rd->e);
}

static const struct ovf_file *find_file(const struct ovf *o, const char *id)
{
	for (size_t i = 0; id && i < o->nfiles; i++)
		if (o->files[i].id && strcmp(o->files[i].id, id) == 0)
			return &o->files[i];
	return NULL;
}

/* oVirt identifies the format of a raw disk by the URL of an article on bytes. */
static bool is_raw_format(const char *format)
{
	size_t n = format ? strlen(format) : 0;

	return n > 0 &&
	       (ends_in(format, "/Byte") || (n >= 3 && !strcasecmp(format + n - 3, "raw")));
}

static struct ovf_disk *new_disk(struct ovf_reader *rd)
{
	struct ovf *o = rd->ovf;
	struct ovf_disk *d = add_entry(&o->disks, &o->ndisks, sizeof *d, rd->e);

	if (!d)
		return NULL;
	d->machine = NOWHERE;
	d->number = o->ndisks;
	return d;
}

static int add_disk(struct ovf_reader *rd, const struct xml *node)
{
	struct ovf *o = rd->ovf;
	const char *capacity = xml_attr(node, "capacity"), *file = xml_attr(node, "fileRef");
	struct ovf_disk *d = new_disk(rd);

	if (!d)
		return -rd->e->code;
	d->id = xml_attr(node, "diskId");
	d->uuid = xml_attr(node, "uuid");
	d->parent = xml_attr(node, "parentRef");
	d->file = find_file(o, file);
	if (!d->file && file && *file)
		return err_set(rd->e, EINVAL,
			"disk \"%s\" has the file \"%s\", which is not listed", d->id ? d->id : "",
			file);
	if (capacity)
		d->capacity = ovf_capacity(capacity, xml_attr(node, "capacityAllocationUnits"));
	d->is_raw = is_raw_format(xml_attr(node, "format"));
	return 0;
}

static int add_item(struct ovf_reader *rd, const struct xml *node)
{
	struct item *item = add_entry(&rd->items, &rd->nitems, sizeof *item, rd->e);

	if (!item)
		return -rd->e->code;
	item->node = node;
	item->id = xml_text(node, xml_child(node, "InstanceID") ? "InstanceID" : "InstanceId");
	return 0;
}

/* Files are read before disks, in any order of the sections: some writers violate the schema. */
static int read_tables(struct ovf_reader *rd, const struct xml *root)
{
	int r = 0;

	for (const struct xml *x = root; r == 0 && x; x = next_element(root, x))
		if (is_called(x, "File") && is_called(x->parent, "References"))
			r = add_file(rd, x);
	for (const struct xml *x = root; r == 0 && x; x = next_element(root, x)) {
		if (!x->parent || !ends_in(x->parent->name, "Section"))
			continue;
		if (is_called(x, "Disk"))
			r = add_disk(rd, x);
		else if (is_called(x, "Item") || is_called(x, "StorageItem"))
			r = add_item(rd, x);
	}
	return r;
}

static bool share_machine(const struct ovf_reader *rd, size_t a, size_t b)
{
	return rd->items[a].node->parent == rd->items[b].node->parent;
}

/* The index of the controller that item is attached to; without one, the index of item. */
static size_t find_controller(const struct ovf_reader *rd, size_t item)
{
	const char *parent = xml_text(rd->items[item].node, "Parent");

	for (size_t i = 0; *parent && i < rd->nitems; i++)
		if (share_machine(rd, i, item) && strcmp(rd->items[i].id, parent) == 0)
			return i;
	return item;
}

/* The ID in "ovf:/KIND/ID" or "/KIND/ID", or NULL. */
static const char *resource_id(const char *text, const char *kind)
{
	size_t n = strlen(kind);

	if (strncmp(text, "ovf:", 4) == 0)
		text += 4;
	text += strspn(text, "/");
	return strncmp(text, kind, n) == 0 && text[n] == '/' ? text + n + 1 : NULL;
}

static int attach(struct ovf_reader *rd, size_t item, const char *resource)
{
	const struct xml *node = rd->items[item].node;
	const char *id = resource_id(resource, "disk");
	const struct ovf_file *file;
	struct ovf *o = rd->ovf;
	struct ovf_disk *d = NULL;

	for (size_t i = 0; id && !d && i < o->ndisks; i++)
		if (o->disks[i].id && strcmp(o->disks[i].id, id) == 0)
			d = &o->disks[i];
	/* A drive may have a file without a Disk. */
	if (!d && strcmp(xml_text(node, "ResourceType"), HARD_DISK) == 0) {
		file = find_file(o, resource_id(resource, "file"));
		d = file ? new_disk(rd) : NULL;
		if (file && !d)
			return -rd->e->code;
		if (d)
			d->file = file;
	}
	if (!d || d->machine != NOWHERE)
		return 0;
	for (d->machine = item; d->machine > 0; d->machine--)
		if (!share_machine(rd, d->machine - 1, item))
			break;
	d->controller = find_controller(rd, item);
	d->address = strtoul(xml_text(node, "AddressOnParent"), NULL, 10);
	return 0;
}

static int compare_disks(const void *a, const void *b)
{
	const struct ovf_disk *x = a, *y = b;

	if (x->machine != y->machine)
		return x->machine < y->machine ? -1 : 1;
	if (x->controller != y->controller)
		return x->controller < y->controller ? -1 : 1;
	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

/* The disk has no file, or that of one of the disks kept before it. */
static bool is_redundant(const struct ovf *o, const struct ovf_disk *d, size_t nkept)
{
	for (size_t i = 0; d->file && i < nkept; i++)
		if (o->disks[i].file == d->file ||
			strcmp(o->disks[i].file->href, d->file->href) == 0)
			return true;
	return !d->file;
}

static void sort_disks(struct ovf *o)
{
	size_t n = 0;

	if (o->ndisks > 0)
		qsort(o->disks, o->ndisks, sizeof o->disks[0], compare_disks);
	for (size_t i = 0; i < o->ndisks; i++)
		if (!is_redundant(o, &o->disks[i], n))
			o->disks[n++] = o->disks[i];
	o->ndisks = n;
}

/* In VirtualBox's own description of the machine, properties of an encrypted medium. */
static bool is_encrypted(const struct xml *medium)
{
	const struct xml *p = xml_child(medium, "Property");

	for (; p; p = xml_again(p)) {
		const char *name = xml_attr(p, "name");

		if (name && strncmp(name, "CRYPT/", 6) == 0)
			return true;
	}
	return false;
}

/* VirtualBox writes UUIDs with and without braces. */
static bool is_medium(const struct ovf_disk *d, const struct xml *medium)
{
	const char *uuid = xml_attr(medium, "uuid"), *location = xml_attr(medium, "location");

	if (d->uuid && uuid && *d->uuid && strcasestr(uuid, d->uuid))
		return true;
	return location && *d->file->href && ends_in(location, d->file->href);
}

static void refuse_encrypted(struct ovf *o)
{
	for (const struct xml *x = o->root; x; x = next_element(o->root, x)) {
		if (!is_called(x, "HardDisk") || !is_encrypted(x))
			continue;
		for (size_t i = 0; i < o->ndisks; i++)
			if (is_medium(&o->disks[i], x))
				o->disks[i].refusal =
					"its data is encrypted, which is not supported";
	}
}

int ovf_parse(const char *text, size_t len, struct ovf *o, struct err *e)
{
	struct ovf_reader rd = {.ovf = o, .e = e};
	int r;

	*o = (struct ovf){0};
	r = xml_parse(text, len, &o->root, e);
	if (r == 0 && !is_called(o->root, "Envelope"))
		r = err_set(
			e, EINVAL, "its root is \"%s\", \"Envelope\" was expected", o->root->name);
	if (r == 0)
		r = read_tables(&rd, o->root);
	for (size_t i = 0; r == 0 && i < rd.nitems; i++)
		r = attach(&rd, i, xml_text(rd.items[i].node, "HostResource"));
	free(rd.items);
	if (r < 0) {
		ovf_free(o);
		return r;
	}
	sort_disks(o);
	refuse_encrypted(o);
	return 0;
}

int ovf_read(struct io *io, struct ovf *o, struct err *e)
{
	char *text;
	int r = io_read_text(io, XML_MAX_BYTES, &text, e);

	if (r < 0)
		return r;
	r = ovf_parse(text, io->size, o, e);
	free(text);
	return r < 0 ? err_in(e, "%s", io->name) : 0;
}

void ovf_free(struct ovf *o)
{
	for (size_t i = 0; i < o->nfiles; i++)
		free(o->files[i].path);
	free(o->files);
	free(o->disks);
	xml_free(o->root);
	*o = (struct ovf){0};
}
