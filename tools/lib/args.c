/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* args.c - parses the command line with getopt_long(3), by the rows of the verb's table. */
#include "args.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/printable.h"
#include "util/nearest.h"
#include "report.h"
#include "util/size.h"

#define MAX_ROWS 40

/* getopt_long returns LONG_BASE and the index of the row for a long option, a letter for a short
 * one. */
#define LONG_BASE 256

struct spec {
	char letters[3 * MAX_ROWS + 2];
	struct option names[MAX_ROWS + 1];
};

static void make_spec(struct spec *spec, const struct option_row *rows)
{
	char *p = spec->letters;

	*p++ = ':';
	memset(spec->names, 0, sizeof spec->names);
	for (size_t i = 0; rows[i].key != OPT_END; i++) {
		if (i == MAX_ROWS)
			abort(); /* the table has outgrown MAX_ROWS */
		spec->names[i].name = rows[i].name;
		spec->names[i].has_arg = rows[i].kind == VALUE_NONE  ? no_argument
					 : rows[i].kind == VALUE_SVG ? optional_argument
								     : required_argument;
		spec->names[i].val = LONG_BASE + (int)i;
		if (!rows[i].letter)
			continue;
		*p++ = rows[i].letter;
		if (rows[i].kind != VALUE_NONE)
			*p++ = ':';
	}
	*p = '\0';
}

static void add_value(struct given *g, const char *value)
{
	const char **v = reallocarray(g->v, g->n + 2, sizeof v[0]);

	if (!v)
		abort(); /* exec(2) limits command lines to much less than memory */
	g->v = v;
	v[g->n++] = value;
	v[g->n] = NULL;
}

static void add_key(struct args *a, enum option_key key)
{
	enum option_key *order = reallocarray(a->order, a->norder + 1, sizeof order[0]);

	if (!order)
		abort();
	a->order = order;
	order[a->norder++] = key;
}

/* Reports argv[optind - 1], which getopt_long did not accept. */
static bool refuse(int c, const struct option_row *rows, char **argv)
{
	const char *word = argv[optind - 1];
	bool is_long = strncmp(word, "--", 2) == 0;
	struct nearest near = nearest_to(is_long ? word + 2 : word);

	for (; is_long && rows->key != OPT_END; rows++)
		nearest_offer(&near, rows->name);
	if (c == ':')
		args_misused("option '%s' requires an argument", word);
	else if (is_long && optopt >= LONG_BASE)
		args_misused("option '%s' doesn't allow an argument", word);
	else if (!is_long)
		args_misused("invalid option -- '%c'", optopt);
	else if (near.best)
		args_misused("unrecognized option '%s'; did you mean '--%s'?", word, near.best);
	else
		args_misused("unrecognized option '%s'", word);
	return false;
}

bool args_parse(
	struct args *a, const struct verb *verbs, const struct verb *verb, int argc, char **argv)
{
	const struct option_row *row;
	const char *last = argv[argc - 1];
	struct spec spec;
	int c, kept = 0;

	*a = (struct args){.verbs = verbs};
	make_spec(&spec, verb->options);
	opterr = 0;
	optind = 0;
	/* "-1G", for resize, is an operand and not the option -1. */
	if (argc > 2 && last[0] == '-' && last[1] >= '0' && last[1] <= '9')
		kept = 1;
	argc -= kept;
	while ((c = getopt_long(argc, argv, spec.letters, spec.names, NULL)) != -1) {
		if (c == ':' || c == '?')
			return refuse(c, verb->options, argv);
		row = verb->options + (c >= LONG_BASE ? c - LONG_BASE : 0);
		while (c < LONG_BASE && row->letter != c)
			row++;
		add_value(&a->options[row->key], optarg);
		add_key(a, row->key);
	}
	a->operands = (const char *const *)argv + optind;
	a->n = (size_t)(argc + kept - optind);
	return true;
}

void args_free(struct args *a)
{
	for (size_t i = 0; i < OPT_COUNT; i++)
		free(a->options[i].v);
	free(a->order);
}

bool args_has(const struct args *a, enum option_key key)
{
	return a->options[key].n > 0;
}

const char *args_value(const struct args *a, enum option_key key)
{
	const struct given *g = &a->options[key];

	return g->n > 0 ? g->v[g->n - 1] : NULL;
}

bool args_is(const struct args *a, enum option_key key, const char *word)
{
	const char *value = args_value(a, key);

	return value && strcmp(value, word) == 0;
}

bool args_want_json(const struct args *a, bool *json)
{
	*json = args_is(a, OPT_OUTPUT, "json");
	if (!args_has(a, OPT_OUTPUT) || *json || args_is(a, OPT_OUTPUT, "human"))
		return true;
	return !report("--output must be used with human or json as argument.");
}

bool args_check_cache(const struct args *a, enum option_key key, const char *what)
{
	static const char *const modes[] = {
		"none", "off", "writeback", "writethrough", "directsync", "unsafe"};

	for (size_t i = 0; args_has(a, key) && i < sizeof modes / sizeof modes[0]; i++)
		if (args_is(a, key, modes[i]))
			return true;
	return !args_has(a, key) || !report("Invalid %s: %s", what, args_value(a, key));
}

bool args_size(const struct args *a, enum option_key key, const char *what, uint64_t *size)
{
	const char *word = args_value(a, key);
	int r = word ? size_parse(word, size) : 0;

	if (r == -ERANGE)
		report("Invalid %s specified: %s is more than 8 EiB less one byte.", what, word);
	else if (r < 0)
		report("Invalid %s specified: %s. Sizes are numbers of bytes, or with k, M, G, T, "
		       "P or E of powers of 1024.",
			what, word);
	return r == 0;
}

int args_misused(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s: ", report_name());
	va_start(ap, fmt);
	printable_vprint(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nTry '%s --help' for more information\n", report_name());
	return EXIT_FAILURE;
}
