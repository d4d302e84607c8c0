/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main.c - finds the row of the verb, parses its options and runs it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/args.h"
#include "open/registry.h"
#include "lib/report.h"
#include "util/version.h"
#include "verb/help.h"
#include "verb/verbs.h"

/* Programs that call qemu-img decide by its version on the options that they use. */
#define QEMU_VERSION "11.1.0"

static void print_version(void)
{
	if (report_is_qemu_img())
		printf("qemu-img version " QEMU_VERSION " (vdisk %s)\n", version_text);
	else
		printf("vdisk %s\n", version_text);
}

/* Handles an option in the place of the verb; false if word is none. */
static bool answer(const char *word)
{
	if (strcmp(word, "-V") == 0 || strcmp(word, "--version") == 0)
		print_version();
	else if (strcmp(word, "--list-formats") == 0)
		registry_print();
	else if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
		help_print(verb_table);
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
	if (answer(argv[1]))
		return EXIT_SUCCESS;
	verb = help_find(verb_table, argv[1]);
	if (!verb)
		return EXIT_FAILURE;
	report_verb(verb);
	if (!args_parse(&a, verb_table, verb, argc - 1, argv + 1)) {
		status = EXIT_FAILURE;
	} else if (args_has(&a, OPT_HELP)) {
		help_print_verb(verb);
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
	report_program(argc > 0 ? argv[0] : "");
	status = run(argc, argv);
	/* Output to a full disk is lost. */
	if (fflush(stdout) != 0 && status == EXIT_SUCCESS)
		status = report("standard output: %s", strerror(errno));
	return status;
}
