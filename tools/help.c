/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* help.c - the table of verbs and options as text. */
#include <stdio.h>
#include <string.h>

#include "lib/verb.h"

#define HELP_COLUMN 29

void help_all(void)
{
	puts("Usage: vdisk VERB [options] IMAGE...\n"
	     "\n"
	     "Works on disk images of virtual machines, with the words of qemu-img.\n"
	     "\n"
	     "Verbs:");
	for (const struct verb *v = verbs; v->name; v++)
		printf("    %-11s %s\n", v->name, v->summary);
	puts("\n"
	     "\"vdisk VERB --help\" tells of the options of a verb.\n"
	     "\n"
	     "    -h, --help             this text\n"
	     "    -V, --version          the version\n"
	     "    --list-formats         the image formats, and what can be done with them");
}

/* "-f, --format=FMT"; how long that is. */
static int print_option(const struct option_row *row)
{
	char text[80];
	int n = 0;

	if (row->letter)
		n = snprintf(text, sizeof text, "-%c, ", row->letter);
	n += snprintf(text + n, sizeof text - n, "--%s", row->name);
	if (row->kind == VALUE_SVG)
		n += snprintf(text + n, sizeof text - n, "[=%s]", row->value);
	else if (row->value)
		n += snprintf(text + n, sizeof text - n, "=%s", row->value);
	return printf("    %s", text);
}

void help_verb(const struct verb *v)
{
	printf("Usage: vdisk %s [options]%s%s\n\n", v->name, v->operands[0] ? " " : "",
		v->operands);
	printf("%c%s.\n\nOptions:\n", v->summary[0] - 'a' + 'A', v->summary + 1);
	for (const struct option_row *row = v->options; row->key != OPT_END; row++) {
		int n = print_option(row);

		if (n >= HELP_COLUMN) {
			putchar('\n');
			n = 0;
		}
		printf("%*s%s\n", HELP_COLUMN - n, "", row->help);
	}
}
