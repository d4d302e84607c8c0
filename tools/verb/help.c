/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* help.c - the verb help; see help.h. */
#include "help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/args.h"
#include "util/nearest.h"
#include "verbs.h"

#define HELP_COLUMN 29

void help_print(const struct verb *verbs)
{
	puts("Usage: vdisk VERB [options] IMAGE...\n"
	     "\n"
	     "Works on disk images of virtual machines, with verbs and options of qemu-img.\n"
	     "\n"
	     "Verbs:");
	for (const struct verb *v = verbs; v->name; v++)
		printf("    %-11s %s\n", v->name, v->summary);
	puts("\n"
	     "\"vdisk VERB --help\" lists the options of a verb.\n"
	     "\n"
	     "    -h, --help             print this help\n"
	     "    -V, --version          print the version\n"
	     "    --list-formats         list the formats and what is supported for each");
}

void help_print_verb(const struct verb *v)
{
	printf("Usage: vdisk %s [options]%s%s\n\n", v->name, v->operands[0] ? " " : "",
		v->operands);
	printf("%c%s.\n\nOptions:\n", v->summary[0] - 'a' + 'A', v->summary + 1);
	for (const struct option_row *row = v->options; row->key != OPT_END; row++) {
		int n = printf("    ");

		if (row->letter)
			n += printf("-%c, ", row->letter);
		n += printf("--%s", row->name);
		if (row->kind == VALUE_SVG)
			n += printf("[=%s]", row->value);
		else if (row->value)
			n += printf("=%s", row->value);
		if (n >= HELP_COLUMN) {
			putchar('\n');
			n = 0;
		}
		printf("%*s%s\n", HELP_COLUMN - n, "", row->help);
	}
}

const struct verb *help_find(const struct verb *verbs, const char *name)
{
	struct nearest near = nearest_to(name);

	for (const struct verb *v = verbs; v->name; v++) {
		if (strcmp(v->name, name) == 0)
			return v;
		nearest_offer(&near, v->name);
	}
	if (name[0] == '-')
		args_misused("unrecognized option '%s'", name);
	else if (near.best)
		args_misused("Command not found: %s; did you mean '%s'?", name, near.best);
	else
		args_misused("Command not found: %s", name);
	return NULL;
}

int run_help(const struct args *a)
{
	const struct verb *v;

	if (a->n > 1)
		return args_misused("Expecting one verb");
	if (a->n == 0) {
		help_print(a->verbs);
		return EXIT_SUCCESS;
	}
	v = help_find(a->verbs, a->operands[0]);
	if (v)
		help_print_verb(v);
	return v ? EXIT_SUCCESS : EXIT_FAILURE;
}
