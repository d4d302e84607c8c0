/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create-args.c - see create-args.h. */
#include "create-args.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "util/printable.h"
#include "image/format.h"
#include "open/registry.h"
#include "filenames.h"
#include "report.h"
#include "util/size.h"
#include "input.h"
#include "view/view.h"

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

/* Splits the values of all -o into "NAME=VALUE"s. */
static bool read_options(struct string_list *options, const struct args *a)
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

/* Removes all options NAME=... and returns the value of the last one, malloc'ed; NULL: none. */
static char *take(struct string_list *options, const char *name)
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
	return taken;
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
};

static void print_help(const struct format *f)
{
	puts("Supported options:");
	if (f->can_back)
		puts("  backing_file=<str>     - File name of a base image\n"
		     "  backing_fmt=<str>      - Image format of the base image");
	for (const struct create_option *o = f->create_options; o && o->name; o++) {
		int n = printf("  %s=<%s>", o->name, kinds[o->kind]);

		printf("%*s - %s", n < 24 ? 24 - n : 0, "", o->help);
		if (o->standard)
			printf(" (default: %s)", o->standard);
		putchar('\n');
	}
	puts("  size=<size>            - Virtual disk size");
}

bool create_args_begin(struct create_args *m, const struct input_session *s, const struct format *f,
	const char *name, int *status)
{
	const struct args *a = s->args;

	*m = (struct create_args){.args = a, .format = f, .how = input_session_options(s, NULL)};
	*status = EXIT_FAILURE;
	if (!read_options(&m->options, a))
		return false;
	if (asks_for_help(&m->options)) {
		print_help(f);
		*status = EXIT_SUCCESS;
		return false;
	}
	m->backing = take(&m->options, "backing_file");
	m->backing_format = take(&m->options, "backing_fmt");
	m->size = take(&m->options, "size");
	m->request = (struct create_request){
		.size = CREATE_NO_SIZE,
		.backing = m->backing ? m->backing : args_value(a, OPT_BACKING),
		.backing_format =
			m->backing_format ? m->backing_format : args_value(a, OPT_BACKING_FORMAT),
		.unchecked = args_has(a, OPT_UNSAFE),
		.options = (const char *const *)m->options.v,
		.how = &m->how,
	};
	/* With -n nothing is recorded, so the format can be left out. */
	if (m->request.backing && !m->request.backing_format && !args_has(a, OPT_NO_CREATE)) {
		report("Backing file specified without backing format");
		filenames_hint_backing_format(name ? name : "", m->request.backing);
		return false;
	}
	return true;
}

void create_args_end(struct create_args *m)
{
	string_list_free(&m->options);
	free(m->backing);
	free(m->backing_format);
	free(m->size);
}

static bool size_of_backing(struct create_args *m, const char *name)
{
	struct image_options how = m->how;
	struct input input = {0};
	char *path = filenames_beside(name, m->request.backing);
	bool good;

	how.format = m->request.backing_format;
	good = path && input_open_as(&input, path, "-F ", &how);
	if (good)
		m->request.size = input.state->view->size;
	input_close(&input);
	free(path);
	return good;
}

bool create_args_size(struct create_args *m, const char *name, const char *size)
{
	const char *word = m->size ? m->size : size;

	if (word && size_parse(word, &m->request.size) == 0)
		return true;
	if (word) {
		report("Invalid image size specified: '%s'. You may use k, M, G, T, P or E "
		       "suffixes "
		       "for kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.",
			word);
		return false;
	}
	if (m->request.backing && !m->request.unchecked)
		return size_of_backing(m, name);
	report("%s: Image creation needs a size parameter", name);
	return false;
}

void create_args_print(const struct create_args *m, const char *name)
{
	const struct create_request *r = &m->request;
	uint64_t bytes;

	printable_print(
		stdout, "Formatting '%s', fmt=%s size=%" PRIu64, name, m->format->name, r->size);
	if (r->backing)
		printable_print(
			stdout, " backing_file=%s backing_fmt=%s", r->backing, r->backing_format);
	for (const struct create_option *o = m->format->create_options; o && o->name; o++) {
		/* qemu-img prints defaults, too, except those of options that are words. */
		const char *value = o->kind == CREATE_WORD ? NULL : o->standard, *given;

		for (size_t i = 0; i < m->options.n; i++)
			if ((given = value_of(m->options.v[i], o->name)))
				value = given;
		if (value && o->kind == CREATE_SIZE && size_parse(value, &bytes) == 0)
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
