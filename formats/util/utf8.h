/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* utf8.h - characters of UTF-8 in names, which are just bytes in images. */
#ifndef VDISK_UTIL_UTF8_H
#define VDISK_UTIL_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number of bytes, 1 to 4, of the character at p of which n > 0 bytes are there; 0 when they
 * are no well-formed UTF-8 (overlong forms, surrogates and what is past U+10FFFF are not). */
size_t utf8_length(const char *p, size_t n);

/* The character at p, of len bytes by utf8_length. */
uint32_t utf8_decode(const char *p, size_t len);

/* May that character of len bytes be shown to a user?  Not when it controls a terminal, ends a
 * line, or changes how the text round it is read, as U+202E does. */
bool utf8_is_visible(const char *p, size_t len);

#endif
