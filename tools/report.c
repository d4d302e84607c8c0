/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report.c - errors as lines.  The library names options as vdiskfs has them. */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

static const char *const spellings[][2] = {
	{"vdiskfs --list-formats", "vdisk --list-formats"},
	{"-o format=", "-f "},
	{"-o share", "-U"},
	{"-o allow=", "--allow="},
	{"-o search=", "--search="},
	{"-o passphrase-file=", "--passphrase-file="},
	{"-o ignore_parent_id", "--ignore-parent-id"},
};

#define NSPELLINGS (sizeof spellings / sizeof spellings[0])

/* What only a mount can do is no hint for us. */
static const char *const no_words_of_ours[] = {"-o nobacking", "-o nosnapshots", "-o cow"};

static void __attribute__((format(printf, 1, 0))) say(const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("vdisk: ", stderr);
	vfprintf(stderr, fmt, ap);
}

int report(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

/* Prints what at begins with, in our spelling; how many bytes that was. */
static size_t print_spelled(const char *at)
{
	for (size_t i = 0; i < NSPELLINGS; i++) {
		size_t n = strlen(spellings[i][0]);

		if (strncmp(at, spellings[i][0], n) == 0) {
			fputs(spellings[i][1], stderr);
			return n;
		}
	}
	fputc(*at, stderr);
	return 1;
}

static size_t length_for_us(const char *hint)
{
	size_t length = strlen(hint);

	for (size_t i = 0; i < sizeof no_words_of_ours / sizeof no_words_of_ours[0]; i++) {
		const char *at = strstr(hint, no_words_of_ours[i]);

		if (at && (size_t)(at - hint) < length)
			length = (size_t)(at - hint);
	}
	while (length > 0 && strchr(" ,;", hint[length - 1]))
		length--;
	return length;
}

static void print_hint(const char *hint)
{
	const char *end = hint + length_for_us(hint);

	if (end == hint)
		return;
	fputs("hint: ", stderr);
	while (hint < end)
		hint += print_spelled(hint);
	fputc('\n', stderr);
}

int report_err(const struct err *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", e->text);
	print_hint(e->hint);
	return EXIT_FAILURE;
}

static const char *reason_of(const char *name, const struct err *e)
{
	size_t n = strlen(name);

	return strncmp(e->text, name, n) == 0 && strncmp(e->text + n, ": ", 2) == 0
		       ? e->text + n + 2
		       : e->text;
}

int report_about(const char *name, const struct err *e)
{
	report("%s: %s", name, reason_of(name, e));
	print_hint(e->hint);
	return EXIT_FAILURE;
}

int report_open(const char *name, const struct err *e)
{
	report("Could not open '%s': %s", name, reason_of(name, e));
	print_hint(e->hint);
	return EXIT_FAILURE;
}

void report_warning(const char *text)
{
	report("warning: %s", text);
}
