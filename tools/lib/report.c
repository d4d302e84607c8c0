/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report.c - see report.h. */
#include "report.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/printable.h"
#include "util/err.h"
#include "open/registry.h"
#include "util/hint.h"
#include "mount-table.h"
#include "util/shell.h"
#include "verb.h"

static void __attribute__((format(printf, 1, 0))) print(const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("vdisk: ", stderr);
	printable_vprint(stderr, fmt, ap);
}

int report(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

static const struct verb *current; /* NULL before report_verb */

void report_verb(const struct verb *v)
{
	current = v;
}

static bool has_option(const struct verb *v, enum option_key key)
{
	for (const struct option_row *row = v->options; row->key != OPT_END; row++)
		if (row->key == key)
			return true;
	return false;
}

/* The option that each hint names. */
static const enum option_key advised[HINT_COUNT] = {
	[HINT_ALLOW] = OPT_ALLOW,
	[HINT_ENTER] = OPT_ALLOW,
	[HINT_SEARCH] = OPT_SEARCH,
	[HINT_PARENT_FORMAT] = OPT_PARENT_FORMAT,
	[HINT_IGNORE_PARENT_ID] = OPT_IGNORE_PARENT_ID,
	[HINT_SHARE] = OPT_SHARE,
	[HINT_NOSNAPSHOTS] = OPT_NO_SNAPSHOTS,
	[HINT_PASSPHRASE] = OPT_PASSPHRASE,
	[HINT_TLS] = OPT_TLS_CERTS,
};

void report_hint(const struct err *e, const char *option)
{
	struct hint_words words = hint_words_vdisk;
	char line[HINT_LINE], mounted[HINT_LINE], *dir = NULL;

	words.format = option;
	for (unsigned i = 0; current && i < HINT_COUNT; i++)
		if (advised[i] != OPT_END && !has_option(current, advised[i]))
			words.options[i] = NULL;
	if (e->hints & 1u << HINT_MOUNTED)
		dir = mount_table_holder(e->hint_arg);
	if (dir && snprintf(mounted, sizeof mounted, "vdisk umount %s releases it (see vdisk list)",
			   shell_word(dir).text) < HINT_LINE)
		words.mounted = mounted;
	free(dir);
	if (hint_line(e, &words, line))
		fprintf(stderr, "hint: %s\n", line);
}

int report_err(const struct err *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", e->text);
	report_hint(e, hint_words_vdisk.format);
	return EXIT_FAILURE;
}

int report_format(const char *lead, const char *name)
{
	const char *near = registry_nearest(name);

	report("%s '%s'%s%s%s", lead, name, near ? "; did you mean '" : "", near ? near : "",
		near ? "'?" : "");
	fputs("hint: vdisk --list-formats lists the known formats\n", stderr);
	return EXIT_FAILURE;
}

int report_failure(const struct err *e)
{
	report("%s", e->text);
	report_hint(e, hint_words_vdisk.format);
	return EXIT_FAILURE;
}

const char *report_reason(const char *name, const struct err *e)
{
	char clean[ERR_TEXT];
	size_t n = snprintf(clean, sizeof clean, "%s", name);

	err_clean(clean); /* as err_set cleaned the name in the text */
	return n < sizeof clean && strncmp(e->text, clean, n) == 0 &&
			       strncmp(e->text + n, ": ", 2) == 0
		       ? e->text + n + 2
		       : e->text;
}

int report_about(const char *name, const struct err *e)
{
	report("%s: %s", name, report_reason(name, e));
	report_hint(e, hint_words_vdisk.format);
	return EXIT_FAILURE;
}

int report_open(const char *name, const char *option, const struct err *e)
{
	report("Could not open '%s': %s", name, report_reason(name, e));
	report_hint(e, option);
	return EXIT_FAILURE;
}

void report_advice(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("hint: ", stderr);
	printable_vprint(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void report_warning(const char *text)
{
	report("warning: %s", text);
}
