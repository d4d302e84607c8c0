/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* md.c - arrays of md as files, of the contents of another file. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/bytes.h"
#include "md-make.h"
#include "mkimage.h"

struct array {
	struct md_spec spec;
	const char *rows; /* pictures, with blanks in between */
	const char *prefix;
	int from; /* the contents */
	uint64_t size;
	int members[MD_MAKE_MOST];
};

static unsigned long number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 0);

	if (*end || !*text)
		die("%s is no number", text);
	return n;
}

static size_t columns(const struct array *a)
{
	size_t n = 0;

	for (const char *p = a->rows; *p && *p != ' '; p++)
		if (*p >= '0' && *p <= '9')
			n = MAX(n, (size_t)(*p - '0') + 1);
	return n;
}

static void write_rows(const struct array *a)
{
	size_t chunk = a->spec.chunk, n = a->spec.n, row_len = columns(a) * chunk;
	unsigned char *data = malloc(row_len), *chunks = malloc(n * chunk);
	const char *row = a->rows;

	if (!data || !chunks)
		die("out of memory");
	for (uint64_t i = 0; i * row_len < a->size; i++) {
		memset(data, 0, row_len);
		get(a->from, i * row_len, data, MIN(row_len, a->size - i * row_len));
		md_make_row(chunks, row, n, data, chunk,
			a->spec.level == 6 && a->spec.layout >= 8 && a->spec.layout <= 10);
		for (size_t k = 0; k < n; k++)
			if (!is_zero(chunks + k * chunk, chunk))
				put(a->members[k], md_make_data(&a->spec) + i * chunk,
					chunks + k * chunk, chunk);
		row += n;
		row = *row ? row + 1 : a->rows;
	}
	free(data);
	free(chunks);
}

static void open_members(struct array *a)
{
	char name[4096];

	for (unsigned i = 0; i < a->spec.n; i++) {
		snprintf(name, sizeof name, "%s%u", a->prefix, i);
		a->members[i] = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
		if (a->members[i] < 0)
			die("cannot create %s", name);
		file_resize(a->members[i], md_make_size(&a->spec));
	}
}

static void write_supers(const struct array *a)
{
	unsigned char super[MD_MAKE_SUPER];

	for (unsigned i = 0; i < a->spec.n; i++) {
		md_make_super(super, &a->spec, i);
		put(a->members[i], md_make_place(&a->spec), super, sizeof super);
		close(a->members[i]);
	}
}

void md_files(char **args)
{
	struct array a = {.rows = args[4], .prefix = args[6]};
	struct stat st;
	size_t row_len;

	a.spec.version = args[0];
	a.spec.level = strcmp(args[1], "linear") == 0 ? -1 : (int)number(args[1]);
	a.spec.layout = (uint32_t)number(args[2]);
	a.spec.chunk = (uint32_t)number(args[3]);
	a.spec.n = (unsigned)strcspn(a.rows, " ");
	a.spec.name = "guest:data";
	a.from = open(args[5], O_RDONLY);
	if (a.from < 0 || fstat(a.from, &st) < 0)
		die("cannot open %s", args[5]);
	if (a.spec.n == 0 || a.spec.n > MD_MAKE_MOST || a.spec.chunk == 0)
		die("no array: %s", a.rows);
	a.size = (uint64_t)st.st_size;
	/* A linear array is a row of one large chunk for each member. */
	if (a.spec.level == -1)
		a.spec.chunk = (uint32_t)round_up(div_round_up(a.size, a.spec.n), 64 << 10);
	row_len = columns(&a) * a.spec.chunk;
	a.spec.used = div_round_up(a.size, row_len) * a.spec.chunk;
	/* A superblock 0.90 has no size of level 0. */
	if (a.spec.level == 0 && strcmp(a.spec.version, "0.90") == 0)
		a.spec.used = round_up(a.spec.used, 64 << 10);
	open_members(&a);
	write_rows(&a);
	if (a.spec.level == -1 || a.spec.level == 1)
		a.spec.chunk = 0; /* as mdadm has it */
	write_supers(&a);
}
