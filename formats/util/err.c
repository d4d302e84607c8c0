/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "utf8.h"

/* Names in messages come from images, and terminals obey control characters: those, others that are
 * not visible, and what is no UTF-8, become question marks.  So a sentence is also always one line.
 */
void err_clean(char *text)
{
	size_t n = strlen(text), len;

	for (char *p = text; n > 0; p += len, n -= len) {
		size_t good = utf8_length(p, n);

		len = MAX(good, 1);
		if (good == 0 || !utf8_is_visible(p, good))
			memset(p, '?', len);
	}
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	err_clean(e->text);
	e->code = code;
	e->hints = e->hint_with_arg = 0;
	e->hint_arg[0] = '\0';
	e->logged = NULL;
	return -code;
}

int err_in(struct err *e, const char *fmt, ...)
{
	char old[ERR_TEXT];
	va_list ap;
	size_t n, size;

	memcpy(old, e->text, sizeof old);
	/* If both do not fit the context is cut: the reason is at the end. */
	size = sizeof e->text - strlen(": ") - MIN(strlen(old), sizeof e->text / 2);
	va_start(ap, fmt);
	vsnprintf(e->text, size, fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof e->text - n, ": %s", old);
	err_clean(e->text);
	return -e->code;
}

int err_hint_code(struct err *e, enum hint hint, const char *arg)
{
	if (arg) {
		snprintf(e->hint_arg, sizeof e->hint_arg, "%s", arg);
		err_clean(e->hint_arg);
		e->hints &= ~e->hint_with_arg;
		e->hint_with_arg = 1u << hint;
	}
	e->hints |= 1u << hint;
	return -e->code;
}

int err_hint(struct err *e, const char *fmt, ...)
{
	char text[ERR_HINT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_hint_code(e, HINT_TEXT, text);
}

bool err_is_first(const struct err *e)
{
	return !e->logged || !atomic_exchange(e->logged, true);
}

int err_nomem(struct err *e)
{
	return err_set(e, ENOMEM, "out of memory");
}
