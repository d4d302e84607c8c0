/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guid.h - GUIDs in Microsoft's order: three little-endian fields, then eight bytes. */
#ifndef VDISK_UTIL_GUID_H
#define VDISK_UTIL_GUID_H

#include <stdbool.h>

struct err;

#define GUID_LEN  16u
#define GUID_TEXT 37 /* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" and the NUL */

/* As text has it: GUID_BYTES(0x2dc27766, 0xf623, 0x4200, 0x9d, 0x64, 0x11, ...). */
#define GUID_BYTES(a, b, c, ...)                                                                   \
	{                                                                                          \
		(a) & 0xff, (a) >> 8 & 0xff, (a) >> 16 & 0xff, (a) >> 24, (b)&0xff, (b) >> 8,      \
			(c)&0xff, (c) >> 8, __VA_ARGS__                                            \
	}

void guid_text(char text[GUID_TEXT], const unsigned char *p);
/* A new one, of random bits (RFC 9562, version 4). */
int guid_random(unsigned char p[GUID_LEN], struct err *e);

bool guid_is_zero(const unsigned char *p);

/* Reads what guid_text writes, in either case and perhaps in braces; false: text is something
 * else, and p is as it was. */
bool guid_parse(unsigned char p[GUID_LEN], const char *text);

/* The rest of a text that begins with a GUID and ":", which goes to guid in lower case; otherwise
 * the text itself, and guid is "". */
const char *guid_cut(const char *text, char guid[GUID_TEXT]);

#endif
