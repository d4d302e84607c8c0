/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* help.c - the verb help; see help.h. */
#include "help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/format.h"
#include "lib/args.h"
#include "lib/report.h"
#include "open/registry.h"
#include "util/nearest.h"
#include "verbs.h"

#define HELP_COLUMN 29

static void print_syntax(const struct verb *v)
{
	printf("  %s", v->name);
	for (const struct option_row *row = v->options; row->key != OPT_END; row++) {
		fputs(" [", stdout);
		if (row->letter)
			printf("-%c|", row->letter);
		printf("--%s%s%s]", row->name, row->value ? "=" : "", row->value ? row->value : "");
	}
	printf("%s%s\n", v->operands[0] ? " " : "", v->operands);
}

/* Programs look for options and formats here. */
static void print_as_qemu_img(const struct verb *verbs)
{
	puts("usage: qemu-img VERB [options] IMAGE...\n"
	     "\n"
	     "This is vdisk, called by another name; vdisk --help explains the verbs.\n"
	     "\n"
	     "Command syntax:");
	for (const struct verb *v = verbs; v->name; v++)
		print_syntax(v);
	fputs("\nSupported formats:", stdout);
	for (const struct format *const *f = registry; *f; f++)
		printf(" %s", (*f)->name);
	putchar('\n');
}

void help_print(const struct verb *verbs)
{
	if (report_is_qemu_img()) {
		print_as_qemu_img(verbs);
		return;
	}
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
