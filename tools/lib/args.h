/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* args.h - what was given on the command line. */
#ifndef VDISK_TOOLS_LIB_ARGS_H
#define VDISK_TOOLS_LIB_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "verb.h"

/* The values of one option in their order, NULL where it is a flag; NULL-terminated. */
struct given {
	const char **v;
	size_t n; /* how often it was given */
};

struct args {
	const struct verb *verb, *verbs; /* this one, and the table of all */
	struct given options[OPT_COUNT];
	const char *const *operands;
	size_t n;
};

/* argv[0] is the name of verb, a row of verbs.  False when a line has been printed that says what
 * is wrong.  Free in either case; argv is reordered and must stay. */
bool args_parse(
	struct args *a, const struct verb *verbs, const struct verb *verb, int argc, char **argv);
void args_free(struct args *a);

bool args_has(const struct args *a, enum option_key key);

/* The last one given, or NULL. */
const char *args_value(const struct args *a, enum option_key key);

/* --output: human unless it says json.  False: it says something else, and that has been told. */
bool args_want_json(const struct args *a, bool *json);

/* A size; left alone when the option was not given.  False: it is none, and that has been told.
 * what is a word for the message. */
bool args_size(const struct args *a, enum option_key key, const char *what, uint64_t *size);

/* For a wrong number of operands and the like: the line, and where to look.  Returns 1, a status.
 */
int args_misused(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
