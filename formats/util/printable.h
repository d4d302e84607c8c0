/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* printable.h - text for terminals.  Names come from images and command lines, and terminals obey
 * control characters in them.
 */
#ifndef VDISK_UTIL_PRINTABLE_H
#define VDISK_UTIL_PRINTABLE_H

#include <stdarg.h>
#include <stdio.h>

/* Like fprintf, with err_clean applied to the result.  Line ends are control characters, too: they
 * are the caller's to print. */
void printable_print(FILE *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void printable_vprint(FILE *f, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

#endif
