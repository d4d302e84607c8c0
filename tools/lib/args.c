/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* args.c - the command line by the table, getopt_long doing the work. */
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

/* Long options are told apart from letters by values above all characters. */
#define LONG_BASE 256

struct spec {
	char letters[3 * MAX_ROWS + 2];
	struct option names[MAX_ROWS + 1];
};

static int has_value(const struct option_row *row)
{
	if (row->kind == VALUE_NONE)
		return no_argument;
	return row->kind == VALUE_SVG ? optional_argument : required_argument;
}

static void make_spec(struct spec *spec, const struct option_row *rows)
{
	char *p = spec->letters;

	*p++ = ':';
	memset(spec->names, 0, sizeof spec->names);
	for (size_t i = 0; rows[i].key != OPT_END; i++) {
		if (i == MAX_ROWS)
			abort(); /* the table has outgrown us */
		spec->names[i].name = rows[i].name;
		spec->names[i].has_arg = has_value(&rows[i]);
		spec->names[i].val = LONG_BASE + (int)i;
		if (!rows[i].letter)
			continue;
		*p++ = rows[i].letter;
		if (rows[i].kind != VALUE_NONE)
			*p++ = ':';
	}
	*p = '\0';
}

static const struct option_row *find_row(const struct option_row *rows, int c)
{
	if (c >= LONG_BASE)
		return &rows[c - LONG_BASE];
	while (rows->letter != c)
		rows++;
	return rows;
}

static void give(struct given *g, const char *value)
{
	const char **v = reallocarray(g->v, g->n + 2, sizeof v[0]);

	if (!v)
		abort(); /* a command line that does not fit into memory was never passed to us */
	g->v = v;
	v[g->n++] = value;
	v[g->n] = NULL;
}

static void refuse_name(const struct option_row *rows, const char *word)
{
	struct nearest near = nearest_to(word + strlen("--"));

	for (; rows->key != OPT_END; rows++)
		nearest_offer(&near, rows->name);
	if (near.best)
		args_misused("unrecognized option '%s'; did you mean '--%s'?", word, near.best);
	else
		args_misused("unrecognized option '%s'", word);
}

/* getopt has found that argv[optind - 1] is no option of ours, or one without its value. */
static bool refuse(int c, const struct option_row *rows, char **argv)
{
	const char *word = argv[optind - 1];

	if (c == ':')
		args_misused("option '%s' requires an argument", word);
	else if (strncmp(word, "--", 2) == 0 && optopt >= LONG_BASE)
		args_misused("option '%s' doesn't allow an argument", word);
	else if (strncmp(word, "--", 2) == 0)
		refuse_name(rows, word);
	else
		args_misused("invalid option -- '%c'", optopt);
	return false;
}

static bool is_shrinking(const char *word)
{
	return word[0] == '-' && word[1] >= '0' && word[1] <= '9';
}

bool args_parse(
	struct args *a, const struct verb *verbs, const struct verb *verb, int argc, char **argv)
{
	struct spec spec;
	int c, kept = 0;

	*a = (struct args){.verb = verb, .verbs = verbs};
	make_spec(&spec, verb->options);
	opterr = 0;
	optind = 0;
	/* What begins like a negative size is one, and no option. */
	if (argc > 2 && is_shrinking(argv[argc - 1]))
		kept = 1;
	argc -= kept;
	while ((c = getopt_long(argc, argv, spec.letters, spec.names, NULL)) != -1) {
		if (c == ':' || c == '?')
			return refuse(c, verb->options, argv);
		give(&a->options[find_row(verb->options, c)->key], optarg);
	}
	a->operands = (const char *const *)argv + optind;
	a->n = (size_t)(argc + kept - optind);
	return true;
}

void args_free(struct args *a)
{
	for (size_t i = 0; i < OPT_COUNT; i++)
		free(a->options[i].v);
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

bool args_want_json(const struct args *a, bool *json)
{
	const char *word = args_value(a, OPT_OUTPUT);

	*json = word && strcmp(word, "json") == 0;
	if (word && !*json && strcmp(word, "human") != 0) {
		report("--output must be used with human or json as argument.");
		return false;
	}
	return true;
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
	fputs("vdisk: ", stderr);
	va_start(ap, fmt);
	printable_vprint(stderr, fmt, ap);
	va_end(ap);
	fputs("\nTry 'vdisk --help' for more information\n", stderr);
	return EXIT_FAILURE;
}
