/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "option-list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "image/creation.h"
#include "image/format.h"
#include "report.h"

static bool add(struct option_list *w, char *word)
{
	char **v = word ? reallocarray(w->v, w->n + 2, sizeof v[0]) : NULL;

	if (!v) {
		free(word);
		report("out of memory");
		return false;
	}
	w->v = v;
	v[w->n++] = word;
	v[w->n] = NULL;
	return true;
}

/* The word that list begins with; *end moves behind it and its comma. */
static char *first_word(const char *list, const char **end)
{
	char *word = malloc(strlen(list) + 1), *p = word;

	if (!word)
		return NULL;
	for (; *list && (*list != ',' || list[1] == ','); list++) {
		list += *list == ',';
		*p++ = *list;
	}
	*p = '\0';
	*end = *list ? list + 1 : list;
	return word;
}

bool option_list_read(struct option_list *w, const struct args *a)
{
	const struct given *g = &a->options[OPT_OPTIONS];

	*w = (struct option_list){0};
	for (size_t i = 0; i < g->n; i++)
		for (const char *list = g->v[i]; *list;)
			if (!add(w, first_word(list, &list)))
				return false;
	return true;
}

void option_list_free(struct option_list *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->v[i]);
	free(w->v);
}

char *option_list_take(struct option_list *w, const char *name)
{
	size_t len = strlen(name), kept = 0;
	char *value = NULL;

	for (size_t i = 0; i < w->n; i++) {
		if (strncmp(w->v[i], name, len) != 0 || w->v[i][len] != '=') {
			w->v[kept++] = w->v[i];
			continue;
		}
		free(value);
		value = strdup(w->v[i] + len + 1);
		free(w->v[i]);
	}
	w->n = kept;
	if (w->v)
		w->v[kept] = NULL;
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

bool option_list_help(const struct option_list *w, const struct format *f)
{
	for (size_t i = 0; i < w->n; i++) {
		if (strcmp(w->v[i], "help") != 0 && strcmp(w->v[i], "?") != 0)
			continue;
		print_help(f);
		return true;
	}
	return false;
}
