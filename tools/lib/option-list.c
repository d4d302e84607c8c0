/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* option-list.c - see option-list.h. */
#include "option-list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "image/creation.h"
#include "image/format.h"
#include "report.h"
#include "util/string-list.h"

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

bool option_list_read(struct string_list *options, const struct args *a)
{
	const struct given *g = &a->options[OPT_OPTIONS];
	bool good = true;

	*options = (struct string_list){0};
	for (size_t i = 0; i < g->n && good; i++) {
		char *list = strdup(g->v[i]);

		good = list && split(options, list);
		free(list);
	}
	return good || !report("out of memory");
}

char *option_list_take(struct string_list *options, const char *name)
{
	size_t len = strlen(name), kept = 0;
	char *value = NULL;

	for (size_t i = 0; i < options->n; i++) {
		if (strncmp(options->v[i], name, len) != 0 || options->v[i][len] != '=') {
			options->v[kept++] = options->v[i];
			continue;
		}
		free(value);
		value = strdup(options->v[i] + len + 1);
		free(options->v[i]);
	}
	options->n = kept;
	if (options->v)
		options->v[kept] = NULL;
	return value;
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

bool option_list_help(const struct string_list *options, const struct format *f)
{
	for (size_t i = 0; i < options->n; i++) {
		if (strcmp(options->v[i], "help") != 0 && strcmp(options->v[i], "?") != 0)
			continue;
		print_help(f);
		return true;
	}
	return false;
}
