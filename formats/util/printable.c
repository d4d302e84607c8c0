/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "printable.h"

#include <stdlib.h>

#include "err.h"

void printable_vprint(FILE *f, const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		return;
	err_clean(text);
	fputs(text, f);
	free(text);
}

void printable_print(FILE *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printable_vprint(f, fmt, ap);
	va_end(ap);
}
