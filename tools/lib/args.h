/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* args.h - the parsed command line of one verb.
 *
 * Errors are reported where they are found, in the words of qemu-img; the caller only exits. */
#ifndef VDISK_TOOLS_LIB_ARGS_H
#define VDISK_TOOLS_LIB_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "verb.h"

/* All occurrences of one option, in their order. */
struct given {
	const char **v; /* its values, NULL for a flag; NULL-terminated */
	size_t n;
};

struct args {
	const struct verb *verbs; /* the table of all */
	struct given options[OPT_COUNT];
	enum option_key *order; /* of all options, as they were given */
	size_t norder;
	const char *const *operands;
	size_t n;
};

/* argv[0] is the name of verb, a row of verbs.  False after an error.  Free a in either case.  argv
 * is reordered, and must outlive a. */
bool args_parse(
	struct args *a, const struct verb *verbs, const struct verb *verb, int argc, char **argv);
void args_free(struct args *a);

bool args_has(const struct args *a, enum option_key key);

/* The value of the last occurrence, or NULL. */
const char *args_value(const struct args *a, enum option_key key);

/* Is word the value of the last occurrence? */
bool args_is(const struct args *a, enum option_key key, const char *word);

/* Sets *json for --output=json, clears it for human or without the option; else false. */
bool args_want_json(const struct args *a, bool *json);

/* Does the caching mode of key, if there is one, exist?  what is its name for the message. */
bool args_check_cache(const struct args *a, enum option_key key, const char *what);

/* Parses the value of key into *size, which stays unchanged without the option.  False: no size.
 * what is its name for the message. */
bool args_size(const struct args *a, enum option_key key, const char *what, uint64_t *size);

/* Reports a wrong use of the command line, and refers to --help.  Returns 1, an exit status. */
int args_misused(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
