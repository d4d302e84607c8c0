/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create-args.c - see create-args.h. */
#include "create-args.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "open/open.h"
#include "util/err.h"
#include "util/printable.h"
#include "image/format.h"
#include "open/registry.h"
#include "filenames.h"
#include "report.h"
#include "util/size.h"
#include "input.h"
#include "view/view.h"

#define MAX_OPTIONS 40 /* of a format and the host */

const struct format *create_args_format(const struct args *a, enum option_key key)
{
	const char *name = args_value(a, key);
	const struct format *f = registry_find(name ? name : "raw");

	if (!f)
		report_format("Unknown file format", name);
	return f;
}

/* Splits list at single commas, in place: an option is never longer than its escaped form. */
static bool split(struct string_list *options, char *list)
{
	while (*list) {
		char *in = list, *out = list, *next;

		for (; *in && (in[0] != ',' || in[1] == ','); in++) {
			in += *in == ',';
			*out++ = *in;
		}
		next = *in ? in + 1 : in;
		*out = '\0';
		if (!string_list_add(options, list))
			return false;
		list = next;
	}
	return true;
}

bool create_args_read(struct string_list *options, const struct args *a)
{
	const struct given *g = &a->options[OPT_OPTIONS];
	bool good = true;

	for (size_t i = 0; i < g->n && good; i++) {
		char *list = strdup(g->v[i]);

		good = list && split(options, list);
		free(list);
	}
	return good || !report("out of memory");
}

static const char *value_of(const char *option, const char *name)
{
	size_t len = strlen(name);

	return strncmp(option, name, len) == 0 && option[len] == '=' ? option + len + 1 : NULL;
}

/* Removes all options NAME=... and returns the value of the last one, malloc'ed, instead of one
 * that an option of the command line has given; NULL: none. */
static char *take(struct string_list *options, const char *name, const char *instead)
{
	char *taken = NULL;
	size_t kept = 0;

	for (size_t i = 0; i < options->n; i++) {
		const char *value = value_of(options->v[i], name);

		if (!value) {
			options->v[kept++] = options->v[i];
			continue;
		}
		free(taken);
		taken = strdup(value);
		free(options->v[i]);
	}
	options->n = kept;
	if (options->v)
		options->v[kept] = NULL;
	if (!instead)
		return taken;
	free(taken);
	return strdup(instead);
}

static bool asks_for_help(const struct string_list *options)
{
	for (size_t i = 0; i < options->n; i++)
		if (strcmp(options->v[i], "help") == 0 || strcmp(options->v[i], "?") == 0)
			return true;
	return false;
}

static const char *const kinds[] = {
	[CREATE_SIZE] = "size",
	[CREATE_NUMBER] = "num",
	[CREATE_FLAG] = "bool (on/off)",
	[CREATE_WORD] = "str",
	[CREATE_TEXT] = "str",
	[CREATE_MEMBER] = "str",
};

static void print_help_line(const struct create_option *o)
{
	bool is_size = o->kind == CREATE_MEMBER && strcmp(o->name, "size") == 0;
	int n = printf("  %s=<%s>", o->name, is_size ? "size" : kinds[o->kind]);

	printf("%*s - %s", n < 24 ? 24 - n : 0, "", o->help);
	if (o->standard)
		printf(" (default: %s)", o->standard);
	putchar('\n');
}

static int by_name(const void *a, const void *b)
{
	const struct create_option *const *first = a, *const *second = b;

	return strcmp((*first)->name, (*second)->name);
}

static void print_help(const struct format *f)
{
	const struct create_option *sorted[MAX_OPTIONS] = {NULL},
				   *tables[] = {f->create_options, creation_host_options};
	size_t n = 0;

	for (size_t i = 0; i < 2; i++)
		for (const struct create_option *o = tables[i]; o && o->name; o++)
			if (n < MAX_OPTIONS)
				sorted[n++] = o;
	qsort(sorted, n, sizeof sorted[0], by_name);
	printf("Supported %s options:\n", f->name);
	for (size_t i = 0; i < n; i++)
		print_help_line(sorted[i]);
}

/* The options that qemu-img refuses in these words; the others are checked with the table of the
 * format. */
static bool check_together(const struct create_args *m, const char *name)
{
	const struct create_request *r = &m->request;
	char *path;

	if (!r->backing && r->backing_format)
		return !report("%s: Backing format cannot be used without backing file", name);
	if (r->backing && !*r->backing)
		return !report("%s: Expected backing file name, got empty string", name);
	if (r->backing && strcmp(name, r->backing) == 0)
		return !report("%s: Error: Trying to create an image with the same filename as the "
			       "backing file",
			name);
	/* With -n nothing is recorded, so the format can be left out. */
	if (!r->backing || r->backing_format || args_has(m->args, OPT_NO_CREATE))
		return true;
	path = filenames_beside(name, r->backing);
	if (path && access(path, F_OK) < 0) {
		report("%s: Could not open '%s': %s", name, path, strerror(errno));
		fputs("Could not open backing image.\n", stderr);
		free(path);
		return false;
	}
	free(path);
	report("%s: Backing file specified without backing format", name);
	filenames_hint_backing_format(name, r->backing);
	return false;
}

bool create_args_begin(struct create_args *m, const struct input_session *s, const struct format *f,
	const char *name, int *status)
{
	const struct args *a = s->args;

	*m = (struct create_args){.args = a, .format = f, .how = input_session_options(s, NULL)};
	*status = EXIT_FAILURE;
	if (!create_args_read(&m->options, a))
		return false;
	if (asks_for_help(&m->options)) {
		print_help(f);
		*status = EXIT_SUCCESS;
		return false;
	}
	m->backing = take(&m->options, "backing_file", args_value(a, OPT_BACKING));
	m->backing_format = take(&m->options, "backing_fmt", args_value(a, OPT_BACKING_FORMAT));
	m->size = take(&m->options, "size", NULL);
	m->request = (struct create_request){
		.size = CREATE_NO_SIZE,
		.backing = m->backing,
		.backing_format = m->backing_format,
		.unchecked = args_has(a, OPT_UNSAFE),
		.options = (const char *const *)m->options.v,
		.how = &m->how,
	};
	return check_together(m, name ? name : "");
}

void create_args_end(struct create_args *m)
{
	string_list_free(&m->options);
	free(m->backing);
	free(m->backing_format);
	free(m->size);
}

/* Opens the backing file, so that one that cannot be opened is reported before the work begins. */
static bool check_backing(struct create_args *m, const char *name)
{
	struct image_options how = m->how;
	struct err e = ERR_INIT;
	struct image *img = NULL;

	if (!m->format->can_back)
		return !report("%s: Backing file not supported for file format '%s'", name,
			m->format->name);
	how.format = m->request.backing_format;
	how.share = true;
	if (image_open_backing(name, m->request.backing, &how, &img, &e) < 0) {
		report("%s: Could not open '%s': %s", name, m->request.backing,
			report_reason(m->request.backing, &e));
		fputs("Could not open backing image.\n", stderr);
		report_hint(&e, "-F ");
		return false;
	}
	if (m->request.size == CREATE_NO_SIZE)
		m->request.size = img->states[0]->view->size;
	image_close(img);
	return true;
}

/* As qemu-img, tells a number of 2^63 and more from text that is no size. */
static bool parse_size(struct create_args *m, const char *name, const char *size)
{
	int r = size_parse(m->size ? m->size : size, &m->request.size);

	if (r < 0 && m->size)
		report("%s: Parameter 'size' expects a size such as 64k, not '%s'", name, m->size);
	else if (r == -ERANGE)
		report("Invalid image size specified. Must be between 0 and %" PRId64 ".",
			INT64_MAX);
	else if (r < 0)
		report("Invalid image size specified. You may use k, M, G, T, P or E suffixes for "
		       "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
	return r == 0;
}

bool create_args_size(struct create_args *m, const char *name, const char *size)
{
	if (m->size && size)
		return !report("%s: The image size must be specified only once", name);
	if ((m->size || size) && !parse_size(m, name, size))
		return false;
	if (m->request.backing && !m->request.unchecked)
		return check_backing(m, name);
	return m->size || size || !report("%s: Image creation needs a size parameter", name);
}

/* The value of an option in the "Formatting" line, or NULL. */
static const char *shown_value(const struct create_args *m, const struct create_option *o)
{
	size_t len = strlen(o->name);
	const char *value = o->shown;

	for (size_t i = 0; i < m->options.n; i++) {
		const char *option = m->options.v[i];

		if (strncmp(option, o->name, len) == 0 && (option[len] == '=' || !option[len]))
			value = option[len] ? option + len + 1 : "on";
	}
	return value;
}

static void print_member(const struct create_request *r, const char *name)
{
	const char *text = strcmp(name, "backing_file") == 0 ? r->backing : r->backing_format;

	if (strcmp(name, "size") == 0)
		printf(" size=%" PRIu64, r->size);
	else if (text)
		printable_print(stdout, " %s=%s", name, text);
}

void create_args_print(const struct create_args *m, const char *name)
{
	const struct create_option *tables[] = {m->format->create_options, creation_host_options};
	uint64_t bytes;

	printable_print(stdout, "Formatting '%s', fmt=%s", name, m->format->name);
	for (size_t i = 0; i < 2; i++)
		for (const struct create_option *o = tables[i]; o && o->name; o++) {
			const char *value = shown_value(m, o);

			if (o->kind == CREATE_MEMBER)
				print_member(&m->request, o->name);
			else if (value && o->kind == CREATE_SIZE && size_parse(value, &bytes) == 0)
				printf(" %s=%" PRIu64, o->name, bytes);
			else if (value)
				printable_print(stdout, " %s=%s", o->name, value);
		}
	putchar('\n');
}

void create_args_warn_raw(const struct create_args *m, const char *name, enum option_key key)
{
	const struct format *by_name = registry_find_by_filename(name);

	if (args_has(m->args, key) || args_has(m->args, OPT_QUIET) || !by_name ||
		by_name == m->format || !by_name->create)
		return;
	report("warning: %s: created as a raw disk, since no format was given; "
	       "-%c %s creates a %s image",
		name, key == OPT_FORMAT ? 'f' : 'O', by_name->name, by_name->name);
}
