/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main.c - from a verb to what runs it. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "format.h"
#include "report.h"
#include "verb.h"

static void list_formats(void)
{
	char abilities[FORMAT_ABILITIES];

	for (const struct format *const *f = formats; *f; f++) {
		format_abilities(*f, abilities);
		printf("%-9s  %-36s  %s\n", (*f)->name, (*f)->title, abilities);
	}
}

/* What is asked of the program as a whole; false: it was nothing of the kind. */
static bool answer(int argc, char **argv, int *status)
{
	const char *word = argv[1];
	const struct verb *v = argc > 2 ? verb_find(argv[2]) : NULL;

	*status = EXIT_SUCCESS;
	if (strcmp(word, "-V") == 0 || strcmp(word, "--version") == 0)
		puts("vdisk " VDISK_VERSION);
	else if (strcmp(word, "--list-formats") == 0)
		list_formats();
	else if (strcmp(word, "help") == 0 && v)
		help_verb(v);
	else if (strcmp(word, "help") == 0 && argc > 2)
		*status = args_misused("Command not found: %s", argv[2]);
	else if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0 ||
		 strcmp(word, "help") == 0)
		help_all();
	else if (strcmp(word, "completion") == 0 && argc == 3)
		*status = completion_print(argv[2])
				  ? EXIT_SUCCESS
				  : report("completion: expected bash, zsh or fish");
	else
		return false;
	return true;
}

static int run(int argc, char **argv)
{
	const struct verb *verb;
	struct args a;
	int status;

	if (argc < 2)
		return args_misused("Not enough arguments");
	if (answer(argc, argv, &status))
		return status;
	verb = verb_find(argv[1]);
	if (!verb)
		return args_misused(
			argv[1][0] == '-' ? "unrecognized option '%s'" : "Command not found: %s",
			argv[1]);
	if (!args_parse(&a, verb, argc - 1, argv + 1)) {
		status = EXIT_FAILURE;
	} else if (args_has(&a, OPT_HELP)) {
		help_verb(verb);
		status = EXIT_SUCCESS;
	} else {
		status = verb->run(&a);
	}
	args_free(&a);
	return status;
}

int main(int argc, char **argv)
{
	int status;

	signal(SIGXFSZ, SIG_IGN);
	status = run(argc, argv);
	/* What was printed into a full disk is not there. */
	if (fflush(stdout) != 0 && status == EXIT_SUCCESS)
		status = report("standard output: %s", strerror(errno));
	return status;
}
