/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize.c - resizes a disk in one sparse file with an embedded descriptor.
 *
 * A longer disk has more grain tables, all of which VMware wants to be allocated: they are appended
 * to the file, and so are the grain directories when they no longer fit.  The size of the disk is
 * in the header and in two lines of the descriptor, which change last.  An extent may be longer
 * than its extent line, never shorter: the header of a disk that grows is durable before the
 * descriptor changes, that of a disk that shrinks is written after it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/bytes.h"
#include "util/err.h"
#include "util/limits.h"
#include "io/meta.h"
#include "io/io.h"
#include "io/writeback.h"
#include "view/view.h"
#include "view/writer.h"
#include "alloc.h"
#include "disk.h"
#include "metadata.h"
#include "vmdk.h"

/* Positions in the header. */
#define AT_CAPACITY    12u
#define AT_DESC_LEN    36u
#define AT_DIRECTORIES 48u /* the redundant one comes first */

/* The extent after the change. */
struct shape {
	uint64_t capacity; /* bytes */
	uint64_t ntables;
	uint64_t gd, rgd; /* positions of the directories; rgd 0: there is none */
};

static uint64_t tables_for(const struct vmdk_tables *t, uint64_t capacity)
{
	return div_round_up(div_round_up(capacity, t->grain), t->per_table);
}

static int check_size(const struct vmdk *v, uint64_t size, struct err *e)
{
	const struct vmdk_tables *t = v->extents[0].tables;

	if (!v->embedded || v->desc.nlines != 1 || !t)
		return err_set(e, EOPNOTSUPP, "only a disk in one sparse file can be resized");
	if (v->view.below)
		return err_set(e, EOPNOTSUPP, "growing it would expose data of its parent");
	if (v->io->is_block)
		return err_set(e, EOPNOTSUPP, "a device has no space for more tables");
	if (size % VMDK_SECTOR != 0)
		return err_set(e, EINVAL, "%" PRIu64 " bytes are not whole sectors", size);
	if (tables_for(t, size) > VMDK_MAX_GD_BYTES / VMDK_ENTRY)
		return err_set(
			e, EFBIG, "a disk of %" PRIu64 " bytes has too many grain tables", size);
	if (size > v->view.size && !vmdk_alloc_has_tail(t))
		return err_set(e, EOPNOTSUPP, "its last grain table has no space for more entries");
	if (size < v->view.size && view_stores_beyond(&v->view, size))
		return err_set(e, EOPNOTSUPP, "grains are allocated beyond the new end");
	return 0;
}

static int append_zeroes(struct vmdk_tables *t, uint64_t len, uint64_t *pos, struct err *e)
{
	int r = vmdk_alloc_append(t, round_up(len, t->grain), pos, e);

	return r == 0 ? io_zero(t->io, *pos, len, e) : r;
}

/* Moves the directories to the end of the file when they need more sectors.  The rest of the last
 * sector of a directory is free. */
static int make_directories(struct vmdk_tables *t, struct shape *s, struct err *e)
{
	uint64_t len = round_up(s->ntables * VMDK_ENTRY, VMDK_SECTOR);
	int r;

	if (len <= round_up(t->gd_len, VMDK_SECTOR))
		return 0;
	r = append_zeroes(t, len * (s->rgd ? 2 : 1), &s->gd, e);
	if (r == 0)
		r = meta_copy(t->cache, t->io, t->gd_pos, t->gd_len, s->gd, ORDER_TABLES_ROOT, e);
	if (r < 0 || !s->rgd)
		return r;
	s->rgd = s->gd + len;
	return meta_copy(t->cache, t->io, t->rgd_pos, t->gd_len, s->rgd, ORDER_TABLES_ROOT, e);
}

/* Sets the entries of a directory from first on to tables that lie one after another from pos
 * on. */
static int list_tables(const struct vmdk_tables *t, const struct shape *s, uint64_t directory,
	uint64_t first, uint64_t pos, struct err *e)
{
	uint64_t table_len = round_up((uint64_t)t->per_table * VMDK_ENTRY, VMDK_SECTOR);
	unsigned char entry[VMDK_ENTRY];
	int r = 0;

	for (uint64_t i = first; r == 0 && i < s->ntables; i++, pos += table_len) {
		store_le32(entry, pos / VMDK_SECTOR);
		r = meta_write(
			t->io, entry, VMDK_ENTRY, directory + i * VMDK_ENTRY, ORDER_TABLES_ROOT, e);
	}
	return r;
}

static int add_tables(struct vmdk_tables *t, const struct shape *s, struct err *e)
{
	uint64_t first = t->gd_len / VMDK_ENTRY, pos, len;
	int r;

	if (first >= s->ntables)
		return 0;
	len = (s->ntables - first) * round_up((uint64_t)t->per_table * VMDK_ENTRY, VMDK_SECTOR);
	r = append_zeroes(t, len * (s->rgd ? 2 : 1), &pos, e);
	if (r == 0)
		r = list_tables(t, s, s->gd, first, pos, e);
	return r == 0 && s->rgd ? list_tables(t, s, s->rgd, first, pos + len, e) : r;
}

/* Clears the entries of the last tables that the disk did not need: they may have any value. */
static int clear_entries(struct vmdk_tables *t, struct err *e)
{
	struct vmdk_metadata m;
	int r = vmdk_metadata_read(t, &m, e);

	for (size_t i = 0; r == 0 && i < m.ntails; i++)
		r = meta_zero(t->io, m.tail_len, m.tails[i], ORDER_TABLES, e);
	vmdk_metadata_free(&m);
	return r;
}

/* Clears the rest of a last grain that ends after the disk: it is not always zeroes. */
static int clear_tail(const struct view *v, const struct vmdk_tables *t, struct err *e)
{
	uint64_t skip = v->size % t->grain;
	struct extent x;
	int r = skip ? view_map(v, v->size - 1, 1, &x, e) : 0;

	if (r < 0 || skip == 0 || x.kind != EXTENT_FILE)
		return r;
	return io_zero(x.io, x.pos + 1, MIN(t->grain - skip, x.io->size - (x.pos + 1)), e);
}

/* The descriptor. */

static char *next_line(const char *line)
{
	char *end = strchr(line, '\n');

	return end ? end + 1 : NULL;
}

/* The digits of the number that the line assigns to key, or NULL. */
static const char *value_of(const char *line, const char *key)
{
	size_t n = strlen(key);

	if (strncasecmp(line, key, n) != 0)
		return NULL;
	line += n;
	line += strspn(line, " \t=\"");
	return *line >= '0' && *line <= '9' ? line : NULL;
}

static uint64_t find_value(const char *text, const char *key)
{
	const char *value = NULL;

	for (; text && !value; text = next_line(text))
		value = value_of(text, key);
	return value ? strtoull(value, NULL, 10) : 0;
}

static uint64_t cylinders_of(const char *text, uint64_t sectors)
{
	uint64_t heads = find_value(text, "ddb.geometry.heads");
	uint64_t per_track = find_value(text, "ddb.geometry.sectors");

	if (heads == 0 || heads > 255 || per_track == 0 || per_track > 255)
		return find_value(text, "ddb.geometry.cylinders");
	return MIN(sectors / (heads * per_track), heads == 16 ? 16383 : 65535);
}

/* Writes a line of text with the number in it changed, if it is that of the extent or of the
 * cylinders. */
static void edit_line(FILE *out, const char *text, const char *line, uint64_t sectors)
{
	const char *digits = value_of(line, "RW "), *rest = line;
	uint64_t number = sectors;

	if (!digits) {
		digits = value_of(line, "ddb.geometry.cylinders");
		number = digits ? cylinders_of(text, sectors) : 0;
	}
	if (digits) {
		fwrite(line, 1, (size_t)(digits - line), out);
		fprintf(out, "%" PRIu64, number);
		rest = digits + strspn(digits, "0123456789");
	}
	fwrite(rest, 1, strcspn(rest, "\n"), out);
}

/* Pads or cuts the comment before the extent line ("# Extent description") by the digits that the
 * numbers lost or gained.  Then the text after them does not move, and the change lies, as a rule,
 * in one sector: a power cut cannot tear it. */
static void keep_length(char *edited, size_t len)
{
	size_t now = strlen(edited), rest;
	char *comment = NULL, *line = edited, *end;

	/* The first line identifies a descriptor: it stays as it is. */
	for (; line && !value_of(line, "RW "); line = next_line(line))
		if (*line == '#' && line > edited)
			comment = line;
	end = line && comment ? strchr(comment, '\n') : NULL;
	if (!end)
		return;
	rest = now - (size_t)(end - edited) + 1;
	if (now < len) {
		memmove(end + (len - now), end, rest);
		memset(end, ' ', len - now);
	} else if (now - len < (size_t)(end - comment)) {
		memmove(end - (now - len), end, rest);
	}
}

/* The descriptor of a disk of so many sectors; malloc'ed, or NULL without memory. */
static char *edit(const char *text, uint64_t sectors)
{
	char *edited = NULL;
	size_t len, was = strlen(text);
	FILE *out = open_memstream(&edited, &len);

	if (!out)
		return NULL;
	for (const char *line = text; *line;) {
		edit_line(out, text, line, sectors);
		line += strcspn(line, "\n");
		if (*line == '\n')
			fputc(*line++, out);
	}
	/* keep_length may make the text as long as it was. */
	for (size_t i = 0; i < was; i++)
		fputc('\0', out);
	if (fclose(out) == 0) {
		keep_length(edited, was);
		return edited;
	}
	free(edited);
	return NULL;
}

static int change_text(const struct vmdk *v, uint64_t size, struct err *e)
{
	const struct vmdk_tables *t = v->extents[0].tables;
	unsigned char field[8];
	char *text, *edited;
	uint64_t space;
	int r = meta_read(t->cache, v->io, field, sizeof field, AT_DESC_LEN, e);

	if (r < 0)
		return r;
	space = load_le64(field) * VMDK_SECTOR;
	if (space > LIMIT_DESCRIPTOR)
		return err_set(e, EOPNOTSUPP, "its descriptor is too long");
	text = calloc(1, space + 1);
	if (!text)
		return err_nomem(e);
	r = meta_read(t->cache, v->io, text, space, v->text_pos, e);
	edited = r == 0 ? edit(text, size / VMDK_SECTOR) : NULL;
	if (r == 0 && !edited)
		r = err_nomem(e);
	if (r == 0 && strlen(edited) > space)
		r = err_set(e, EOPNOTSUPP, "its descriptor has no space for a longer number");
	if (r == 0)
		strncpy(text, edited, space); /* the rest of the space is zeroes */
	for (size_t i = 0; r == 0 && i < space; i += VMDK_SECTOR)
		r = meta_write(v->io, text + i, VMDK_SECTOR, v->text_pos + i, ORDER_HEADER, e);
	free(edited);
	free(text);
	return r;
}

static int change_header(const struct vmdk *v, const struct shape *s, struct err *e)
{
	unsigned char fields[16];
	int r;

	store_le64(fields, s->capacity / VMDK_SECTOR);
	r = meta_write(v->io, fields, 8, AT_CAPACITY, ORDER_HEADER, e);
	if (r < 0 || s->gd == v->extents[0].tables->gd_pos)
		return r;
	store_le64(fields, s->rgd / VMDK_SECTOR);
	store_le64(fields + 8, s->gd / VMDK_SECTOR);
	return meta_write(v->io, fields, sizeof fields, AT_DIRECTORIES, ORDER_HEADER, e);
}

static int change_numbers(const struct vmdk *v, const struct shape *s, struct err *e)
{
	bool grows = s->capacity > v->view.size;
	int r = grows ? change_header(v, s, e) : change_text(v, s->capacity, e);

	if (r == 0)
		r = writer_write_back(v->view.writer, e);
	if (r < 0)
		return r;
	return grows ? change_text(v, s->capacity, e) : change_header(v, s, e);
}

/* Sets the opened disk to the new shape.  The places in the descriptor are cleared: its text may
 * have moved, and its values have changed already. */
static void set_shape(struct vmdk *v, const struct shape *s)
{
	struct vmdk_extent *x = &v->extents[0];
	struct vmdk_tables *t = x->tables;

	memset(&v->desc.at, 0, sizeof v->desc.at);
	v->desc.lines[0].sectors = s->capacity / VMDK_SECTOR;
	t->gd_pos = s->gd;
	t->rgd_pos = s->rgd;
	t->gd_len = s->ntables * VMDK_ENTRY;
	t->capacity = x->len = s->capacity;
	t->ngrains = div_round_up(s->capacity, t->grain);
	v->view.size = s->capacity;
}

int vmdk_resize(struct view *view, uint64_t size, struct err *e)
{
	struct vmdk *v = (struct vmdk *)view;
	int r = check_size(v, size, e);
	struct vmdk_tables *t;
	struct shape s;

	if (r < 0)
		return r;
	t = v->extents[0].tables;
	s = (struct shape){.capacity = size,
		.ntables = tables_for(t, size),
		.gd = t->gd_pos,
		.rgd = t->rgd_pos};
	if (size > view->size)
		r = clear_tail(view, t, e);
	if (r == 0 && size > view->size)
		r = clear_entries(t, e);
	if (r == 0)
		r = make_directories(t, &s, e);
	if (r == 0)
		r = add_tables(t, &s, e);
	if (r == 0)
		r = change_numbers(v, &s, e);
	if (r == 0)
		set_shape(v, &s);
	return r;
}
