/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* utf16.h - text as Windows and firmware store it. */
#ifndef VDISK_UTIL_UTF16_H
#define VDISK_UTIL_UTF16_H

#include <stdbool.h>
#include <stddef.h>

enum utf16_order { UTF16_LE, UTF16_BE };

#define UTF16_AS_UTF8(units) (3 * (units) + 1) /* bytes that they take at most, with the NUL */

/* Writes the n units at p, or those before the first NUL, as UTF-8 to text.  Half a surrogate pair
 * becomes U+FFFD, and the answer is false. */
bool utf16_to_utf8(char *text, const unsigned char *p, size_t n, enum utf16_order order);

/* Writes text as at most max units to p, without a NUL; n of them.  False: it is not UTF-8 or too
 * long. */
bool utf16_from_utf8(
	unsigned char *p, size_t max, size_t *n, const char *text, enum utf16_order order);

#endif
