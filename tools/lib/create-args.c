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
#include "option-list.h"
#include "view/view.h"

const struct format *create_args_format(const struct args *a, enum option_key key)
{
	const char *name = args_value(a, key);
	const struct format *f = registry_find(name ? name : "raw");

	if (!f)
		report_format("Unknown file format", name);
	return f;
}

/* The value of -o, else that of the option key; NULL: neither is given. */
static const char *choose(char *word, const struct args *a, enum option_key key)
{
	return word ? word : args_value(a, key);
}

bool create_args_begin(struct create_args *m, const struct input_session *s, const struct format *f,
	const char *name, int *status)
{
	const struct args *a = s->args;

	*m = (struct create_args){.args = a, .format = f, .how = input_session_options(s, NULL)};
	*status = EXIT_FAILURE;
	if (!option_list_read(&m->options, a))
		return false;
	if (option_list_help(&m->options, f)) {
		*status = EXIT_SUCCESS;
		return false;
	}
	m->backing = option_list_take(&m->options, "backing_file");
	m->backing_format = option_list_take(&m->options, "backing_fmt");
	m->size = option_list_take(&m->options, "size");
	m->request = (struct create_request){
		.size = CREATE_NO_SIZE,
		.backing = choose(m->backing, a, OPT_BACKING),
		.backing_format = choose(m->backing_format, a, OPT_BACKING_FORMAT),
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

static const char *given_word(const struct create_args *m, const char *name)
{
	size_t len = strlen(name);
	const char *value = NULL;

	for (size_t i = 0; i < m->options.n; i++)
		if (strncmp(m->options.v[i], name, len) == 0 && m->options.v[i][len] == '=')
			value = m->options.v[i] + len + 1;
	return value;
}

/* Prints defaults, too, as qemu-img does, except those of options that are words. */
static void print_option(const struct create_args *m, const struct create_option *o)
{
	const char *value = given_word(m, o->name);
	uint64_t bytes;

	if (!value && o->kind != CREATE_WORD)
		value = o->standard;
	if (!value)
		return;
	if (o->kind == CREATE_SIZE && size_parse(value, &bytes) == 0)
		printf(" %s=%" PRIu64, o->name, bytes);
	else
		printable_print(stdout, " %s=%s", o->name, value);
}

void create_args_print(const struct create_args *m, const char *name)
{
	const struct create_request *r = &m->request;

	printable_print(
		stdout, "Formatting '%s', fmt=%s size=%" PRIu64, name, m->format->name, r->size);
	if (r->backing)
		printable_print(
			stdout, " backing_file=%s backing_fmt=%s", r->backing, r->backing_format);
	for (const struct create_option *o = m->format->create_options; o && o->name; o++)
		print_option(m, o);
	putchar('\n');
}

void create_args_warn_raw(const struct create_args *m, const char *name, enum option_key key)
{
	const struct format *by_name = registry_find_by_filename(name);

	if (args_has(m->args, key) || args_has(m->args, OPT_QUIET) || !by_name ||
		by_name == m->format || !by_name->create)
		return;
	fflush(stdout);
	fprintf(stderr,
		"vdisk: warning: %s: created as a raw disk, since no format was given; "
		"-%c %s creates a %s image\n",
		name, key == OPT_FORMAT ? 'f' : 'O', by_name->name, by_name->name);
}
