/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* report.c - see report.h. */
#include "report.h"

#include <errno.h>
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
#include "util/text.h"
#include "verb.h"

static bool is_qemu_img;

void report_program(const char *path)
{
	is_qemu_img = strcmp(text_basename(path), "qemu-img") == 0;
}

bool report_is_qemu_img(void)
{
	return is_qemu_img;
}

const char *report_name(void)
{
	return is_qemu_img ? "qemu-img" : "vdisk";
}

static void __attribute__((format(printf, 1, 0))) print(const char *fmt, va_list ap)
{
	fflush(stdout);
	fprintf(stderr, "%s: ", report_name());
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
	[HINT_BACKING] = OPT_PARENT,
	[HINT_TLS] = OPT_TLS_CERTS,
	[HINT_TLS_PSK] = OPT_TLS_PSK,
};

/* qemu-img's words for a file that another program has locked; NULL: it is another error. */
static const char *lock_words(const struct err *e)
{
	if (e->code != EBUSY)
		return NULL;
	return e->hints & 1u << HINT_LOCK_READ    ? "Failed to get \"consistent read\" lock"
	       : e->hints & 1u << HINT_LOCK_WRITE ? "Failed to get \"write\" lock"
	       : e->hints & 1u << HINT_LOCK_SHARE ? "Failed to get shared \"write\" lock"
						  : NULL;
}

void report_hint(const struct err *e, const char *option)
{
	struct hint_words words = hint_words_vdisk;
	char line[HINT_LINE], mounted[HINT_LINE], *dir = NULL;
	const char *locked = lock_words(e);
	struct err stricter = *e;

	if (locked)
		printable_print(stderr, "Is another process using the image [%s]?", e->hint_arg);
	if (locked)
		fputc('\n', stderr);
	if (is_qemu_img) {
		stricter.hints &= 1u << HINT_ALLOW | 1u << HINT_ENTER | 1u << HINT_PASSPHRASE;
		locked = NULL;
	}

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
	if (!hint_line(&stricter, &words, line))
		line[0] = '\0';
	if (locked || line[0])
		fprintf(stderr, "hint: %s%s%s\n", locked ? e->text : "",
			locked && line[0] ? "; " : "", line);
}

int report_err(const struct err *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print(fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", lock_words(e) ? lock_words(e) : e->text);
	report_hint(e, hint_words_vdisk.format);
	return EXIT_FAILURE;
}

int report_format(const char *lead, const char *name)
{
	const char *near = registry_nearest(name);

	report("%s '%s'%s%s%s", lead, name, near ? "; did you mean '" : "", near ? near : "",
		near ? "'?" : "");
	report_advice("vdisk --list-formats lists the known formats");
	return EXIT_FAILURE;
}

int report_failure(const struct err *e)
{
	report("%s", lock_words(e) ? lock_words(e) : e->text);
	report_hint(e, hint_words_vdisk.format);
	return EXIT_FAILURE;
}

const char *report_reason(const char *name, const struct err *e)
{
	char clean[ERR_TEXT];
	size_t n;

	if (lock_words(e))
		return lock_words(e);
	n = snprintf(clean, sizeof clean, "%s", name);

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
	const char *reason = report_reason(name, e);

	/* qemu-img says it twice, of the image and of the file. */
	if (is_qemu_img && strcmp(reason, strerror(e->code)) == 0)
		report("Could not open '%s': Could not open '%s': %s", name, name, reason);
	else
		report("Could not open '%s': %s", name, reason);
	report_hint(e, option);
	return EXIT_FAILURE;
}

void report_advice(const char *fmt, ...)
{
	va_list ap;

	if (is_qemu_img)
		return;
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
